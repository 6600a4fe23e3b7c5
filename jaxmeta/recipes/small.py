"""MAML on small tasks: cart-poles, bandits and random finite MDPs."""

import optax

from jaxmeta import advantages, checks, policies, tasks
from jaxmeta.algorithms import maml
from jaxmeta.recipes.types import Experiment, Recipe
from jaxmeta.types import Policy, TaskDistribution


def build_cartpole(
    *,
    hidden: tuple[int, ...] = (64, 64),
    inner_rate: float = 0.5,
    outer_rate: float = 2e-3,
    num_tasks: int = 20,
    num_inner_updates: int = 1,
    num_episodes: int = 10,
    estimator: str = "lvc",
) -> Experiment:
    """MAML on cart-poles whose gravity and push differ, the sign of the push included.

    Args:
        hidden: sizes of the policy's hidden layers.
        inner_rate: of the inner updates.
        outer_rate: of the outer Adam.
        num_tasks: tasks per meta-update.
        num_inner_updates: inner updates.
        num_episodes: episodes per inner update.
        estimator: of the meta-gradient, one of ``jaxmeta.estimators``.
    """
    params = {
        "gravity": tasks.uniform(5, 15),
        "force_mag": tasks.uniform(-10, 10),
    }
    distribution = tasks.from_gymnax("CartPole-v1", horizon=100, params=params)
    policy = policies.mlp(distribution.environment, hidden=hidden)
    return _experiment(
        distribution,
        policy,
        inner_rate=inner_rate,
        outer_rate=outer_rate,
        num_tasks=num_tasks,
        num_updates=num_inner_updates,
        num_episodes=num_episodes,
        estimator=estimator,
    )


def build_bandit(
    *,
    num_arms: int = 5,
    num_pulls: int = 10,
    inner_rate: float = 25.0,
    outer_rate: float = 0.05,
    num_tasks: int = 100,
    estimator: str = "lvc",
) -> Experiment:
    """MAML on Bernoulli bandits: one inner update from as many pulls as are tested.

    Args:
        num_arms: arms.
        num_pulls: pulls to learn from, each an episode.
        inner_rate: of the inner update.
        outer_rate: of the outer Adam.
        num_tasks: tasks per meta-update.
        estimator: of the meta-gradient, one of ``jaxmeta.estimators``.
    """
    distribution = tasks.bernoulli_bandit(num_arms, horizon=1)
    policy = policies.mlp(distribution.environment, hidden=())
    return _experiment(
        distribution,
        policy,
        inner_rate=inner_rate,
        outer_rate=outer_rate,
        num_tasks=num_tasks,
        num_updates=1,
        num_episodes=checks.positive_int("num_pulls", num_pulls),
        estimator=estimator,
    )


def build_tabular(
    *,
    num_states: int = 10,
    num_actions: int = 5,
    inner_rate: float = 50.0,
    outer_rate: float = 0.05,
    num_tasks: int = 40,
    num_inner_updates: int = 3,
    num_episodes: int = 10,
    estimator: str = "lvc",
) -> Experiment:
    """MAML on random finite MDPs, with a table of logits.

    Args:
        num_states: states.
        num_actions: actions.
        inner_rate: of the inner updates.
        outer_rate: of the outer Adam.
        num_tasks: tasks per meta-update.
        num_inner_updates: inner updates.
        num_episodes: episodes per inner update.
        estimator: of the meta-gradient, one of ``jaxmeta.estimators``.
    """
    distribution = tasks.tabular_mdp(num_states=num_states, num_actions=num_actions)
    policy = policies.mlp(distribution.environment, hidden=())
    return _experiment(
        distribution,
        policy,
        inner_rate=inner_rate,
        outer_rate=outer_rate,
        num_tasks=num_tasks,
        num_updates=num_inner_updates,
        num_episodes=num_episodes,
        estimator=estimator,
    )


def _experiment(
    distribution: TaskDistribution,
    policy: Policy,
    *,
    inner_rate: float,
    outer_rate: float,
    num_tasks: int,
    num_updates: int,
    num_episodes: int,
    estimator: str,
) -> Experiment:
    learner = maml(
        distribution,
        policy,
        inner_optimizer=optax.sgd(inner_rate),
        outer_optimizer=optax.adam(outer_rate),
        num_tasks=num_tasks,
        num_updates=num_updates,
        num_episodes=num_episodes,
        estimator=estimator,
        advantage=advantages.linear_baseline(discount=1.0),
        rematerialize=False,
    )
    # All are drawn from a continuum: those of the test were never trained on.
    return Experiment(learner, learner, distribution)


RECIPES = (
    Recipe(
        name="maml-cartpole",
        summary="MAML learns to balance a pole whose pushes may be reversed",
        method="MAML",
        tasks="cart-pole",
        build=build_cartpole,
        num_updates=200,
        num_test_tasks=1000,
        published={},
        optimum=(100.0, 100.0),
        expected_time="half a minute on one CPU core",
    ),
    Recipe(
        name="maml-bandit",
        summary="MAML learns which arm of a bandit pays from ten pulls",
        method="MAML",
        tasks="Bernoulli bandit",
        build=build_bandit,
        num_updates=200,
        num_test_tasks=10000,
        published={},
        # The expected maximum of five uniform numbers, for one who knows them.
        optimum=(5 / 6, 5 / 6),
        expected_time="10 seconds on one CPU core",
    ),
    Recipe(
        name="maml-tabular",
        summary="MAML adapts to random finite MDPs, RL^2's second benchmark",
        method="MAML",
        tasks="random finite MDPs",
        build=build_tabular,
        num_updates=300,
        num_test_tasks=2000,
        published={},
        # Of the optimal policy of every MDP; a test computes it by value iteration.
        optimum=(21.82,) * 4,
        expected_time="half a minute on one CPU core",
    ),
)
