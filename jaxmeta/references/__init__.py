"""Exact and classical solutions, to be run in the same evaluation as what is learned.

``bandits``, ``linear`` and ``tabular`` hold strategies for Bernoulli bandits, for
candidates with features and for finite MDPs;
``learner`` makes a meta-learner of one, which ``jaxmeta.adaptation_curve`` evaluates.
The functions give values: of the best possible agent, and of one that is told the task
(an oracle).
"""

from jaxmeta.references import bandits, indices, linear, tabular
from jaxmeta.references.bandit_values import (
    bayes_optimal_bandit_value,
    bernoulli_bandit_oracle,
    gaussian_bandit_oracle,
)
from jaxmeta.references.gaussian_argmax import GaussianArgmax
from jaxmeta.references.gridnavi import (
    gridnavi_bayes_optimal,
    gridnavi_oracle,
    gridnavi_posterior_sampling,
    gridnavi_random,
)
from jaxmeta.references.grids import (
    corners_oracle,
    darkroom_bayes_optimal,
    darkroom_oracle,
    key_to_door_oracle,
)
from jaxmeta.references.learners import Reference, learner
from jaxmeta.references.linear_fits import population_prior, shared_weights
from jaxmeta.references.object_grid import (
    object_grid_action_values,
    object_grid_value,
)
from jaxmeta.references.planning import (
    action_values,
    optimistic_action_values,
    tabular_mdp_oracle,
)
from jaxmeta.references.regrets import slate_regrets
from jaxmeta.references.semicircle import semicircle_oracle
from jaxmeta.references.thompson import ThompsonSampling

__all__ = [
    "GaussianArgmax",
    "Reference",
    "ThompsonSampling",
    "action_values",
    "bandits",
    "bayes_optimal_bandit_value",
    "bernoulli_bandit_oracle",
    "corners_oracle",
    "darkroom_bayes_optimal",
    "darkroom_oracle",
    "gaussian_bandit_oracle",
    "gridnavi_bayes_optimal",
    "gridnavi_oracle",
    "gridnavi_posterior_sampling",
    "gridnavi_random",
    "indices",
    "key_to_door_oracle",
    "learner",
    "linear",
    "object_grid_action_values",
    "object_grid_value",
    "optimistic_action_values",
    "population_prior",
    "semicircle_oracle",
    "shared_weights",
    "slate_regrets",
    "tabular",
    "tabular_mdp_oracle",
]
