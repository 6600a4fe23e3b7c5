"""A learning rule from grids with objects: LPG, and with an eye to the lifetime."""

from typing import Any, cast

import optax

from jaxmeta import agents, learned_rules, optimizers, policies
from jaxmeta.algorithms import lpg
from jaxmeta.recipes.grid_levels import (
    NUM_TEST_LEVELS,
    check_lifetime,
    levels_of,
    on_held_out_levels,
)
from jaxmeta.recipes.types import Experiment, Recipe
from jaxmeta.types import Environment

# Of agents in other environments, whose rewards may be larger than those of the levels.
AGENT_GRID = {"rate": agents.RATES, "reward_scale": (0.1, 1.0)}


def build_lpg(
    *,
    levels: str = "tiny",
    horizon: int = 30,
    num_lifetimes: int = 8,
    lifetime: int = 100,
    num_environments: int = 16,
    length: int = 20,
    num_inner_updates: int = 5,
    size: int = 16,
    num_predictions: int = 4,
    agent_rate: float = 160.0,
    outer_rate: float = 1e-3,
    critic_rate: float = 0.1,
    discount: float = 0.97,
    entropy_coefficient: float = 0.003,
    lifetime_batch_size: int | None = None,
) -> Experiment:
    """Learned policy gradients for tables.

    The defaults are for a core of a CPU: levels in which tables learn within a hundred
    updates, a small LSTM, and the entropy bonus that suits their small returns. The
    paper's size, for an accelerator: ``--num-lifetimes 512 --lifetime 2500
    --num-environments 64 --size 256 --num-predictions 30 --agent-rate 40 --outer-rate
    1e-4 --discount 0.995 --entropy-coefficient 0.05``, with ``--levels all --horizon
    750`` (or a world such as ``dense``, ``--horizon 500``).

    Args:
        levels: tiny; small, medium, large or all, those of Jackson et al., 2023; or a
            world of Oh et al., 2020: dense, sparse, long, longer, longer-small or
            long-dense.
        horizon: steps in an episode.
        num_lifetimes: agents that live at a time.
        lifetime: updates in an agent's life, a multiple of 10 and num_inner_updates.
        num_environments: copies of its level each acts in.
        length: steps in each copy per update.
        num_inner_updates: updates a meta-gradient reaches back.
        size: of the rule's LSTM.
        num_predictions: size of an agent's prediction.
        agent_rate: of an agent's gradient descent.
        outer_rate: of Adam, for the rule.
        critic_rate: of Adam, for the critics that judge agents.
        discount: that the rule is told and agents are judged by.
        entropy_coefficient: of the agents' entropy, for the rule.
        lifetime_batch_size: lifetimes learned from at a time; one on a CPU by default,
            all of them elsewhere.
    """
    return _experiment(
        levels=levels,
        horizon=horizon,
        num_lifetimes=num_lifetimes,
        lifetime=lifetime,
        num_environments=num_environments,
        length=length,
        num_inner_updates=num_inner_updates,
        size=size,
        num_predictions=num_predictions,
        agent_rate=agent_rate,
        outer_rate=outer_rate,
        critic_rate=critic_rate,
        discount=discount,
        entropy_coefficient=entropy_coefficient,
        lifetime_batch_size=lifetime_batch_size,
        sees_lifetime=False,
    )


def build_talpg(
    *,
    levels: str = "tiny",
    horizon: int = 30,
    num_lifetimes: int = 8,
    lifetime: int = 100,
    num_environments: int = 16,
    length: int = 20,
    num_inner_updates: int = 5,
    size: int = 16,
    num_predictions: int = 4,
    agent_rate: float = 160.0,
    outer_rate: float = 1e-3,
    critic_rate: float = 0.1,
    discount: float = 0.97,
    entropy_coefficient: float = 0.003,
    lifetime_batch_size: int | None = None,
) -> Experiment:
    """Temporally-aware LPG for tables, by truncated meta-gradients.

    Jackson et al., 2024, found that the lifetime helps where the rule is judged by how
    agents end, by evolution; a gradient that reaches back a few updates sees less of
    it. For the paper's size see lpg-gridworld.

    Args:
        levels: tiny; small, medium, large or all, those of Jackson et al., 2023; or a
            world of Oh et al., 2020: dense, sparse, long, longer, longer-small or
            long-dense.
        horizon: steps in an episode.
        num_lifetimes: agents that live at a time.
        lifetime: updates in an agent's life, a multiple of 10 and num_inner_updates.
        num_environments: copies of its level each acts in.
        length: steps in each copy per update.
        num_inner_updates: updates a meta-gradient reaches back.
        size: of the rule's LSTM.
        num_predictions: size of an agent's prediction.
        agent_rate: of an agent's gradient descent.
        outer_rate: of Adam, for the rule.
        critic_rate: of Adam, for the critics that judge agents.
        discount: that the rule is told and agents are judged by.
        entropy_coefficient: of the agents' entropy, for the rule.
        lifetime_batch_size: lifetimes learned from at a time; one on a CPU by default,
            all of them elsewhere.
    """
    return _experiment(
        levels=levels,
        horizon=horizon,
        num_lifetimes=num_lifetimes,
        lifetime=lifetime,
        num_environments=num_environments,
        length=length,
        num_inner_updates=num_inner_updates,
        size=size,
        num_predictions=num_predictions,
        agent_rate=agent_rate,
        outer_rate=outer_rate,
        critic_rate=critic_rate,
        discount=discount,
        entropy_coefficient=entropy_coefficient,
        lifetime_batch_size=lifetime_batch_size,
        sees_lifetime=True,
    )


def _experiment(
    *,
    levels: str,
    horizon: int,
    num_lifetimes: int,
    lifetime: int,
    num_environments: int,
    length: int,
    num_inner_updates: int,
    size: int,
    num_predictions: int,
    agent_rate: float,
    outer_rate: float,
    critic_rate: float,
    discount: float,
    entropy_coefficient: float,
    lifetime_batch_size: int | None,
    sees_lifetime: bool,
) -> Experiment:
    """Tables, in levels of a size."""
    check_lifetime(lifetime)
    distribution = levels_of(levels, horizon)
    environment = cast(Environment, distribution.environment)
    rule = learned_rules.backward_lstm(
        size=size, num_predictions=num_predictions, sees_lifetime=sees_lifetime
    )
    agent_optimizer = optax.sgd(agent_rate)
    learner = lpg(
        distribution,
        policies.predictive(environment, num_predictions=num_predictions),
        agent_optimizer=agent_optimizer,
        outer_optimizer=optax.adam(outer_rate),
        critic_optimizer=optax.adam(critic_rate),
        num_lifetimes=num_lifetimes,
        lifetime=lifetime,
        num_environments=num_environments,
        length=length,
        num_updates=num_inner_updates,
        rule=rule,
        discount=discount,
        outer_discount=discount,
        entropy_coefficient=entropy_coefficient,
        lifetime_batch_size=lifetime_batch_size,
    )

    def agent_in(elsewhere, hidden, lifetime, *, rate, reward_scale):
        return agents.ruled(
            elsewhere.environment,
            learned_rules.with_scaled_rewards(rule, reward_scale),
            optimizers.adam(rate),
            hidden=hidden,
            discount=discount,
            lifetime=lifetime,
        )

    agent = agents.ruled(
        environment,
        rule,
        agent_optimizer,
        hidden=(),
        discount=discount,
        lifetime=lifetime,
    )
    sizes = (lifetime, num_environments, length)
    return on_held_out_levels(learner, distribution, agent, agent_in, AGENT_GRID, sizes)


def _recipe(name: str, method: str, build: Any, expected_time: str) -> Recipe:
    return Recipe(
        name=f"{name}-gridworld",
        summary="a rule by which tables learn to collect objects in grids",
        method=method,
        tasks="random grids",
        build=build,
        num_updates=2000,
        num_test_tasks=NUM_TEST_LEVELS,
        published={},
        optimum=None,
        expected_time=expected_time,
    )


RECIPES = (
    _recipe("lpg", "LPG", build_lpg, "3 minutes on one CPU core"),
    _recipe("talpg", "temporally-aware LPG", build_talpg, "3 minutes on one CPU core"),
)
