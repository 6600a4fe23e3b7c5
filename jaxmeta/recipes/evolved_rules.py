"""An optimizer and an objective that evolve on grids with objects."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optax

from jaxmeta import learned_optimizers, losses, policies
from jaxmeta.agents import RATES, Agent
from jaxmeta.algorithms import learned_drift, learned_optimizer
from jaxmeta.recipes.grid_levels import (
    NUM_TEST_LEVELS,
    check_lifetime,
    levels_of,
    on_held_out_levels,
)
from jaxmeta.recipes.types import Experiment, Recipe
from jaxmeta.types import MetaLearner, TaskDistribution

Make = Callable[[TaskDistribution, tuple[int, ...], float, int], MetaLearner]
"""``(tasks, hidden, rate, lifetime) -> the learner of a rule for agents there``."""


# For agents in other environments, where the rule leaves it open.
AGENT_GRID = {"rate": RATES}


def build_open(
    *,
    levels: str = "tiny",
    horizon: int = 30,
    num_lifetimes: int = 16,
    lifetime: int = 50,
    num_environments: int = 16,
    length: int = 20,
    hidden: tuple[int, ...] = (),
    size: int = 16,
    memory: int = 8,
    outer_rate: float = 3e-2,
    sigma: float = 0.03,
    num_epochs: int = 2,
    num_minibatches: int = 2,
    ranked: bool = True,
    lifetime_batch_size: int | None = None,
) -> Experiment:
    """OPEN: an optimizer of PPO's loss evolves by how agents end.

    Args:
        levels: as in lpg-gridworld.
        horizon: steps in an episode.
        num_lifetimes: pairs of agents that live at a time.
        lifetime: updates in an agent's life, a multiple of 10.
        num_environments: copies of its level each acts in.
        length: steps in each copy per update.
        hidden: sizes of an agent's hidden layers; none make tables.
        size: of the optimizer's hidden layers.
        memory: of its recurrent unit.
        outer_rate: of Adam, for the optimizer.
        sigma: standard deviation of its perturbations.
        num_epochs: how often an agent learns from what it acted.
        num_minibatches: steps per epoch.
        ranked: only which agent of a pair ends better counts.
        lifetime_batch_size: lifetimes learned from at a time; one on a CPU by default,
            all of them elsewhere.
    """

    def make(distribution, hidden, rate, lifetime):
        del rate  # what is learned says how far to move
        return learned_optimizer(
            distribution,
            policies.mlp(
                distribution.environment, hidden=hidden, critic=True, bias=bool(hidden)
            ),
            outer_optimizer=optax.adam(outer_rate),
            sigma=sigma,
            num_lifetimes=num_lifetimes,
            lifetime=lifetime,
            num_environments=num_environments,
            length=length,
            optimizer=learned_optimizers.recurrent(size=size, memory=memory),
            num_epochs=num_epochs,
            num_minibatches=num_minibatches,
            ranked=ranked,
            lifetime_batch_size=lifetime_batch_size,
        )

    sizes = (lifetime, num_environments, length)
    return _experiment(levels_of(levels, horizon), make, hidden, 0.0, sizes, {})


def build_drift(
    *,
    levels: str = "tiny",
    horizon: int = 30,
    num_lifetimes: int = 16,
    lifetime: int = 50,
    num_environments: int = 16,
    length: int = 20,
    hidden: tuple[int, ...] = (),
    size: int = 128,
    agent_rate: float = 0.1,
    outer_rate: float = 1e-2,
    sigma: float = 0.03,
    num_epochs: int = 4,
    num_minibatches: int = 2,
    ranked: bool = True,
    lifetime_batch_size: int | None = None,
) -> Experiment:
    """LPO: what holds a policy back evolves by how agents end.

    Args:
        levels: as in lpg-gridworld.
        horizon: steps in an episode.
        num_lifetimes: pairs of agents that live at a time.
        lifetime: updates in an agent's life, a multiple of 10.
        num_environments: copies of its level each acts in.
        length: steps in each copy per update.
        hidden: sizes of an agent's hidden layers; none make tables.
        size: of the drift's hidden layer.
        agent_rate: of an agent's Adam.
        outer_rate: of Adam, for the drift.
        sigma: standard deviation of its perturbations.
        num_epochs: how often an agent learns from what it acted.
        num_minibatches: steps per epoch.
        ranked: only which agent of a pair ends better counts.
        lifetime_batch_size: lifetimes learned from at a time; one on a CPU by default,
            all of them elsewhere.
    """

    def make(distribution, hidden, rate, lifetime):
        return learned_drift(
            distribution,
            policies.mlp(
                distribution.environment, hidden=hidden, critic=True, bias=bool(hidden)
            ),
            agent_optimizer=optax.chain(
                optax.clip_by_global_norm(0.5), optax.adam(rate, eps=1e-5)
            ),
            outer_optimizer=optax.adam(outer_rate),
            sigma=sigma,
            num_lifetimes=num_lifetimes,
            lifetime=lifetime,
            num_environments=num_environments,
            length=length,
            drift=losses.learned_drift(size=size),
            num_epochs=num_epochs,
            num_minibatches=num_minibatches,
            ranked=ranked,
            lifetime_batch_size=lifetime_batch_size,
        )

    sizes = (lifetime, num_environments, length)
    return _experiment(
        levels_of(levels, horizon), make, hidden, agent_rate, sizes, AGENT_GRID
    )


def _experiment(
    distribution: TaskDistribution,
    make: Make,
    hidden: tuple[int, ...],
    rate: float,
    sizes: tuple[int, int, int],
    grid: Mapping[str, Sequence[float]],
) -> Experiment:
    check_lifetime(sizes[0])

    def agent_in(distribution, hidden, lifetime, *, rate=rate):
        made = make(distribution, hidden, rate, lifetime)
        return Agent(made.policy, made.inner)

    learner = make(distribution, hidden, rate, sizes[0])
    agent = Agent(learner.policy, learner.inner)
    return on_held_out_levels(learner, distribution, agent, agent_in, grid, sizes)


def _recipe(
    name: str, summary: str, method: str, build: Any, num_updates: int, time: str
) -> Recipe:
    return Recipe(
        name=name,
        summary=summary,
        method=method,
        tasks="random grids",
        build=build,
        num_updates=num_updates,
        num_test_tasks=NUM_TEST_LEVELS,
        published={},
        optimum=None,
        expected_time=f"{time} on one CPU core",
    )


RECIPES = (
    _recipe(
        "open-gridworld",
        "an optimizer of PPO's loss evolves",
        "OPEN",
        build_open,
        200,
        "10 minutes",
    ),
    _recipe(
        "dpo-drift",
        "what holds PPO's policies back evolves",
        "LPO",
        build_drift,
        100,
        "6 minutes",
    ),
)
