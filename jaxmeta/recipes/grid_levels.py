"""Levels of grids with objects, and how agents are tested in those held out."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, cast

import jax

from jaxmeta import references, tasks
from jaxmeta.agents import Agent
from jaxmeta.life_curves import life_curves
from jaxmeta.recipes.types import AgentIn, Experiment
from jaxmeta.types import Environment, MetaLearner, TaskDistribution

NUM_TEST_LEVELS = 64
NUM_TESTS = 10  # in an agent's life
# Cells per side, objects, walls: those of Jackson et al., 2023, but for the first.
_SIZES: dict[str, dict[str, Any]] = {
    "tiny": {
        "sizes": (4, 5),
        "num_objects": (1, 2),
        "num_walls": 3,
        "termination": (0.05, 1.0),
        "respawn": (0.01, 0.3),
    },
    "small": {"sizes": (4, 6), "num_objects": (1, 3), "num_walls": 7},
    "medium": {"sizes": (6, 8), "num_objects": (2, 4), "num_walls": 10},
    "large": {"sizes": (8, 10), "num_objects": (2, 5), "num_walls": 15},
    "all": {"sizes": (4, 10), "num_objects": (1, 5), "num_walls": 15},
}


def levels_of(name: str, horizon: int) -> TaskDistribution:
    """Levels of a size by name, or in a grid world by name.

    Raises:
        ValueError: if there are none of that name.
    """
    if name in _SIZES:
        return tasks.random_grids(**_SIZES[name], horizon=horizon)
    return tasks.grid_world(name, horizon=horizon)


def held_out(distribution: TaskDistribution) -> tuple[Any, jax.Array]:
    """The test levels ``[NUM_TEST_LEVELS]``, and the best return of each.

    Their numbers are drawn from intervals, so that none comes up in training.
    """
    keys = jax.random.split(jax.random.key(2**31), NUM_TEST_LEVELS)
    drawn = jax.jit(jax.vmap(distribution.sample))(keys)
    environment = cast(Environment, distribution.environment)
    best = partial(references.object_grid_value, environment)
    return drawn, jax.lax.map(best, drawn.params)


def on_held_out_levels(
    learner: MetaLearner,
    distribution: TaskDistribution,
    agent: Agent,
    agent_in: AgentIn,
    agent_grid: Mapping[str, Sequence[float]],
    sizes: tuple[int, int, int],
) -> Experiment:
    """What is tested is agents that are born to the final rule, in held-out levels.

    Args:
        learner: of the rule.
        distribution: of the levels.
        agent: that learns by the rule.
        agent_in: as in ``Experiment``.
        agent_grid: likewise.
        sizes: updates in its life, copies of its level, steps in each per update.
    """
    environment = cast(Environment, distribution.environment)
    drawn, best = held_out(distribution)
    lifetime, num_environments, length = sizes

    def evaluate(key, state, num):
        if num != NUM_TEST_LEVELS:
            raise ValueError(
                f"num_test_tasks must be {NUM_TEST_LEVELS}, the levels that are held "
                f"out, got {num}"
            )
        return life_curves(
            key,
            agent,
            state.meta_params,
            environment,
            drawn,
            num_updates=lifetime,
            num_environments=num_environments,
            length=length,
            num_tests=NUM_TESTS,
        )

    optimum = (float(best.mean()),) * (NUM_TESTS + 1)
    return Experiment(
        learner,
        learner,
        distribution,
        {},
        optimum,
        evaluate,
        unit="lifetime tenth",
        agent_in=agent_in,
        agent_grid=agent_grid,
    )


def check_lifetime(lifetime: int) -> None:
    """Check that a life has as many parts as it is tested after.

    Raises:
        ValueError: if not.
    """
    if lifetime % NUM_TESTS:
        raise ValueError(
            f"lifetime must be a multiple of {NUM_TESTS}, as an agent is tested so "
            f"often in its life, got {lifetime}"
        )
