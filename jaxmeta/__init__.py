"""jaxmeta: a functional meta-reinforcement-learning engine in JAX."""

from jaxmeta import (
    adaptation,
    advantages,
    distributions,
    environments,
    estimators,
    evaluation,
    inner,
    losses,
    objectives,
    optimizers,
    outer,
    policies,
    returns,
    rollouts,
    sampling,
    tasks,
    trees,
    types,
)
from jaxmeta.algorithms import maml
from jaxmeta.evaluation import adaptation_curve, adaptation_curves, bootstrap_interval
from jaxmeta.fit import fit
from jaxmeta.learner import meta_learner, train

__version__ = "0.1.0"

__all__ = [
    "__version__",
    "adaptation",
    "adaptation_curve",
    "adaptation_curves",
    "advantages",
    "bootstrap_interval",
    "distributions",
    "environments",
    "estimators",
    "evaluation",
    "fit",
    "inner",
    "losses",
    "maml",
    "meta_learner",
    "objectives",
    "optimizers",
    "outer",
    "policies",
    "returns",
    "rollouts",
    "sampling",
    "tasks",
    "train",
    "trees",
    "types",
]
