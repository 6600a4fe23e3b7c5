"""E-MAML where an agent must look before it knows: one corner of a grid pays.

A table of logits, one inner update from eight episodes. Nothing is known before; after
adaptation the best return is 5, four steps to the corner and then one per step.
"""

import optax

from jaxmeta import advantages, policies, tasks
from jaxmeta.algorithms import maml
from jaxmeta.recipes.types import Experiment, Recipe


def build(
    *,
    estimator: str = "emaml",
    inner_rate: float = 10.0,
    outer_rate: float = 0.03,
    num_tasks: int = 20,
    num_episodes: int = 8,
) -> Experiment:
    """E-MAML on sparse corners.

    Args:
        estimator: of the meta-gradient, one of ``jaxmeta.estimators``.
        inner_rate: rate of the inner update.
        outer_rate: of the outer Adam.
        num_tasks: tasks per meta-update.
        num_episodes: episodes the inner update learns from.
    """
    distribution = tasks.corners()
    learner = maml(
        distribution,
        policies.mlp(distribution.environment, hidden=()),
        inner_optimizer=optax.sgd(inner_rate),
        outer_optimizer=optax.adam(outer_rate),
        num_tasks=num_tasks,
        num_updates=1,
        num_episodes=num_episodes,
        estimator=estimator,
        advantage=advantages.reward_to_go(discount=1.0),
        rematerialize=False,
        task_batch_size=num_tasks,
    )
    # The four corners are all there are: nothing can be held out.
    return Experiment(learner, learner, distribution)


RECIPE = Recipe(
    name="e-maml-corners",
    summary="E-MAML learns to look into the corners that it may have to go to",
    method="E-MAML",
    tasks="sparse corners",
    build=build,
    num_updates=400,
    num_test_tasks=1000,
    published={},
    # A corner blindly chosen is the right one in four; tests play both.
    optimum=(1.25, 5.0),
    expected_time="less than a minute on two CPU cores",
)
