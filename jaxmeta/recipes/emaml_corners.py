"""E-MAML where an agent must look before it knows: sparse rewards in four corners."""

import optax

from jaxmeta import advantages, policies, tasks
from jaxmeta.algorithms import maml
from jaxmeta.recipes.types import Experiment, Recipe

_NUM_UPDATES = 300


def build(
    *,
    estimator: str = "emaml",
    hidden: tuple[int, ...] = (32, 32),
    initial_std: float = 1.0,
    inner_rate: float = 1.0,
    outer_rate: float = 2e-3,
    discount: float = 1.0,
    horizon: int = 20,
    reach: float = 0.3,
    num_tasks: int = 20,
    num_episodes: int = 20,
) -> Experiment:
    """E-MAML on sparse corners.

    Args:
        estimator: of the meta-gradient, one of ``jaxmeta.estimators``.
        hidden: sizes of the policy's hidden layers.
        initial_std: initial standard deviation of the actions.
        inner_rate: rate of the inner update.
        outer_rate: of the outer Adam.
        discount: of the returns.
        horizon: steps in an episode.
        reach: the distance from the corner at which the reward begins.
        num_tasks: tasks per meta-update.
        num_episodes: episodes per inner update.
    """
    distribution = tasks.corners2d(horizon=horizon, reach=reach)
    policy = policies.mlp(
        distribution.environment, hidden=hidden, initial_std=initial_std
    )
    learner = maml(
        distribution,
        policy,
        inner_optimizer=optax.sgd(inner_rate),
        outer_optimizer=optax.adam(outer_rate),
        num_tasks=num_tasks,
        num_updates=1,
        num_episodes=num_episodes,
        estimator=estimator,
        advantage=advantages.linear_baseline(discount=discount),
        inner_advantage=advantages.reward_to_go(discount=discount),
        rematerialize=False,
    )
    return Experiment(learner, learner, distribution)
