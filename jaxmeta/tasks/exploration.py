"""Task distributions in which a hidden place has to be found, by name."""

import jax
import jax.numpy as jnp

from jaxmeta import checks
from jaxmeta.environments import DarkKeyToDoor, DarkRoom, GridNavi, Semicircle
from jaxmeta.tasks.adapter import from_gymnax
from jaxmeta.tasks.samplers import Sampler, choice
from jaxmeta.types import TaskDistribution


def gridnavi(*, size: int = 5, horizon: int = 15) -> TaskDistribution:
    """GridNavi: goals uniform on the cells outside the 2 x 2 of the start.

    That is 21 cells of 5 x 5. A trial has four episodes in the source, each from the
    corner (0, 0). Knowing the goal, an episode returns 11.0714 on average.

    Args:
        size: cells per side.
        horizon: steps in an episode.

    Source: Zintgraf et al., "VariBAD: A Very Good Method for Bayes-Adaptive Deep RL
    via Meta-Learning", 2020.

    Raises:
        ValueError: if ``size`` is below three, or ``horizon`` below two, which is how
            far the nearest goals are.
    """
    environment = GridNavi(size)
    horizon = checks.positive_int("horizon", horizon, minimum=2)
    params = {"goal": choice(environment.goals)}
    return from_gymnax(environment, params=params, horizon=horizon)


def dark_room(*, size: int = 10, horizon: int = 100) -> TaskDistribution:
    """DarkRoom: goals uniform on all cells, each step that ends on the goal pays 1.

    Episodes start in the corner (0, 0). At the default size and horizon, knowing the
    goal returns 91.99 on average, and the best search within one episode 50.50.

    Args:
        size: cells per side.
        horizon: steps in an episode.

    Source: Laskin et al., "In-context Reinforcement Learning with Algorithm
    Distillation", 2022; Lee et al., "Supervised Pretraining Can Learn In-Context
    Reinforcement Learning", 2023.

    Raises:
        ValueError: if ``size`` is below two, or ``horizon`` below one.
    """
    params = {"goal": _cells(size)}
    return from_gymnax(DarkRoom(size), params=params, horizon=horizon)


def dark_key_to_door(
    *, size: int = 9, random_start: bool = True, horizon: int = 50
) -> TaskDistribution:
    """Dark Key-to-Door: key and door uniform on all cells, each on its own.

    That is ``size^4`` tasks, 6561 for the default. Knowing the task, an episode
    returns 2 where the horizon allows to walk to both.

    Args:
        size: cells per side.
        random_start: every episode starts in a random cell, not in the middle.
        horizon: steps in an episode.

    Source: Laskin et al., "In-context Reinforcement Learning with Algorithm
    Distillation", 2022.

    Raises:
        ValueError: if ``size`` is below two, or ``horizon`` below one.
    """
    environment = DarkKeyToDoor(size, random_start=random_start)
    params = {"key_cell": _cells(size), "door_cell": _cells(size)}
    return from_gymnax(environment, params=params, horizon=horizon)


def semicircle(
    *, sparse: bool = False, radius: float = 0.2, horizon: int = 20
) -> TaskDistribution:
    """Goals on the upper half of the unit circle, angles uniform on [0, pi].

    Knowing the goal, an episode of 20 steps returns -3.841 on average, and with sparse
    rewards and the default radius 13.382.

    Args:
        sparse: pay one minus the distance within ``radius`` of the goal and nothing
            elsewhere, instead of minus the distance everywhere.
        radius: of the sparse reward.
        horizon: steps in an episode.

    Source: Rakelly et al., "Efficient Off-Policy Meta-Reinforcement Learning via
    Probabilistic Context Variables", 2019.

    Raises:
        TypeError: if ``radius`` is not a number.
        ValueError: if ``radius`` is not positive, or ``horizon`` below one.
    """

    def goal(key):
        angle = jax.random.uniform(key, maxval=jnp.pi)
        return jnp.stack([jnp.cos(angle), jnp.sin(angle)])

    params = {"goal": goal, "radius": checks.positive("radius", radius)}
    return from_gymnax(Semicircle(sparse=sparse), params=params, horizon=horizon)


def _cells(size: int) -> Sampler:
    """Cells ``[2]`` int32, all of the grid equally likely."""
    return lambda key: jax.random.randint(key, (2,), 0, size, jnp.int32)
