"""Grids with objects to collect: the worlds of the literature, and random levels."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmeta import checks, trees
from jaxmeta.environments import ObjectGrid
from jaxmeta.tasks.adapter import Task, from_gymnax
from jaxmeta.types import Key, TaskDistribution


class _Objects(NamedTuple):
    """Objects of one type: how many, and what each does."""

    number: int
    reward: float
    termination: float
    respawn: float


class _World(NamedTuple):
    """A map whose walls are ``#``, its objects, and the steps of an episode."""

    rows: tuple[str, ...]
    objects: tuple[_Objects, ...]
    horizon: int


def _empty(size: int) -> tuple[str, ...]:
    return ("." * size,) * size


_DENSE = (_Objects(2, 1, 0, 0.05), _Objects(1, -1, 0.5, 0.1), _Objects(1, -1, 0, 0.5))
_SPARSE = (_Objects(1, 1, 1, 0), _Objects(1, -1, 1, 0))
_LONG = (_Objects(2, 1, 0, 0.01), _Objects(2, -1, 0.5, 1))
_TWO_ROOMS = (
    "....#....",
    ".........",
    "....#....",
    "...###...",
    "....#....",
    ".........",
    "....#....",
)
_TWO_TALL_ROOMS = (
    "....#....",
    ".........",
    *("....#....",) * 5,
    ".........",
    "....#....",
)
_FOUR_ROOMS = (
    "...........",
    *(".....#.....",) * 3,
    "##.#####.##",
    *(".....#.....",) * 2,
    "...........",
    *(".....#.....",) * 3,
)
_WORLDS = {
    "dense": _World(_empty(11), _DENSE, 500),
    "sparse": _World(_empty(13), _SPARSE, 50),
    "long": _World(_empty(11), _LONG, 1000),
    "longer": _World(
        _TWO_ROOMS, (_Objects(2, 1, 0.1, 0.01), _Objects(5, -1, 0.8, 1)), 2000
    ),
    "longer-small": _World(
        _TWO_TALL_ROOMS, (_Objects(2, 1, 0.1, 0.01), _Objects(3, -1, 0.8, 1)), 2000
    ),
    "long-dense": _World(_FOUR_ROOMS, (_Objects(4, 1, 0, 0.005),), 2000),
}


def grid_world(
    name: str,
    *,
    num_actions: int = 9,
    random_start: bool = True,
    horizon: int | None = None,
) -> TaskDistribution:
    """A grid world by name; tasks differ in where its objects are.

    Objects lie in distinct free cells, all equally likely, and stay there for the task.
    Each is given as count x [reward, termination, respawn]:

    | name         | cells   | objects                                       | steps |
    |--------------|---------|-----------------------------------------------|-------|
    | dense        | 11 x 11 | 2 x [1, 0, .05], [-1, .5, .1], [-1, 0, .5]    | 500   |
    | sparse       | 13 x 13 | [1, 1, 0], [-1, 1, 0]                         | 50    |
    | long         | 11 x 11 | 2 x [1, 0, .01], 2 x [-1, .5, 1]              | 1000  |
    | longer       | 7 x 9   | 2 x [1, .1, .01], 5 x [-1, .8, 1]; two rooms  | 2000  |
    | longer-small | 9 x 9   | 2 x [1, .1, .01], 3 x [-1, .8, 1]; two rooms  | 2000  |
    | long-dense   | 11 x 11 | 4 x [1, 0, .005]; four rooms                  | 2000  |

    All but longer-small are those of Oh et al., appendix A.1, as reconstructions of
    them agree; longer-small is what Jackson et al. use for longer, with fewer states
    (2592, not 8064). What is left open there is chosen here: the order of events in a
    step (see :class:`~jaxmeta.environments.ObjectGrid`), and starts in cells without an
    object. Oh et al. draw 9 or 18 actions anew for every task.

    Args:
        name: of the world.
        num_actions: 5, 9 or 18, see :class:`~jaxmeta.environments.ObjectGrid`.
        random_start: every episode starts in any free cell without an object, not in
            one that is drawn for the task, as in Jackson et al.
        horizon: steps in an episode; by default those of the world.

    Source: Oh et al., "Discovering Reinforcement Learning Algorithms", 2020; Jackson et
    al., "Discovering General Reinforcement Learning Algorithms with Adversarial
    Environment Design", 2023.

    Raises:
        TypeError: if ``horizon`` is not an integer.
        ValueError: if there is no such world, ``num_actions`` is none of 5, 9 and 18,
            or ``horizon`` below one.
    """
    checks.one_of("name", name, _WORLDS)
    world = _WORLDS[name]
    walls = np.array([[cell == "#" for cell in row] for row in world.rows])
    table = [kind[1:] for kind in world.objects for _ in range(kind.number)]
    rewards, termination, respawn = np.array(table, np.float32).T
    environment = ObjectGrid(
        walls.shape[0], walls.shape[1], len(table), num_actions=num_actions
    )
    steps = world.horizon if horizon is None else horizon

    def sample(key: Key) -> dict[str, Any]:
        cells, starts = _place(key, jnp.asarray(~walls), len(table), random_start)
        return {
            "walls": walls,
            "starts": starts,
            "object_cells": cells,
            "rewards": rewards,
            "termination": termination,
            "respawn": respawn,
        }

    return _distribution(environment, sample, steps)


def random_grids(
    *,
    sizes: tuple[int, int] = (4, 6),
    num_objects: tuple[int, int] = (1, 3),
    num_walls: int = 7,
    termination: tuple[float, float] = (0.01, 1.0),
    respawn: tuple[float, float] = (0.001, 0.1),
    num_actions: int = 5,
    random_start: bool = False,
    horizon: int = 50,
) -> TaskDistribution:
    """Random square levels: their size, walls, objects, and what these do.

    Size and number of objects are uniform on the integers of their intervals.
    ``num_walls`` walls fall on cells of the largest level, those outside of a smaller
    one are lost, and so are some where they would leave no room for the start and the
    objects. The first object's reward is uniform on [0, 1], the others' on [-1, 1];
    probabilities are log-uniform. Start and objects are in distinct free cells; walls
    may part them. The defaults are the small levels of Jackson et al.; they have:

    | levels | sizes  | objects | walls | steps   |
    |--------|--------|---------|-------|---------|
    | small  | 4 - 6  | 1 - 3   | 7     | 20-100  |
    | medium | 6 - 8  | 2 - 4   | 10    | 100-250 |
    | large  | 8 - 10 | 2 - 5   | 15    | 250-750 |
    | all    | 4 - 10 | 1 - 5   | 15    | 20-750  |

    They draw the steps of an episode log-uniformly for every level. Here all tasks have
    the same, and the default is ours.

    Args:
        sizes: the least and the largest number of cells per side.
        num_objects: the least and the largest number of objects.
        num_walls: cells of the largest level that are walls.
        termination: the ends of the interval of an object's probability to end the
            episode.
        respawn: the ends of the interval of its probability per step to come back.
        num_actions: 5, 9 or 18, see :class:`~jaxmeta.environments.ObjectGrid`.
        random_start: every episode starts in any free cell without an object, not in
            one that is drawn for the task.
        horizon: steps in an episode.

    Source: Jackson et al., "Discovering General Reinforcement Learning Algorithms with
    Adversarial Environment Design", 2023.

    Raises:
        TypeError: if an argument is not of its type.
        ValueError: if a number is out of range, an interval not in order, or the
            smallest level has no room for a start and the objects.
    """
    smallest, size = _interval("sizes", sizes)
    fewest, most = _interval("num_objects", num_objects)
    num_walls = checks.positive_int("num_walls", num_walls, minimum=0)
    log_termination = _log_interval("termination", termination)
    log_respawn = _log_interval("respawn", respawn)
    if smallest**2 <= most:
        raise ValueError(
            f"sizes must start with a level of more than {most} cells, one for the "
            f"start beside num_objects={num_objects}, got {sizes}"
        )
    environment = ObjectGrid(size, size, most, num_actions=num_actions)

    def sample(key: Key) -> dict[str, Any]:
        keys = jax.random.split(key, 7)
        side = jax.random.randint(keys[0], (), smallest, size + 1)
        count = jax.random.randint(keys[1], (), fewest, most + 1)
        walls = _walls(keys[2], size, side, num_walls, most + 1)
        cells, starts = _place(keys[3], ~walls, most, random_start)
        lowest = jnp.where(jnp.arange(most) == 0, 0.0, -1.0)
        drawn = {
            "rewards": jax.random.uniform(keys[4], (most,), minval=lowest),
            "termination": _log_uniform(keys[5], most, log_termination),
            "respawn": _log_uniform(keys[6], most, log_respawn),
        }
        exists = jnp.arange(most) < count
        drawn = {name: jnp.where(exists, row, 0.0) for name, row in drawn.items()}
        cells = jnp.where(exists, cells, -1)
        return {"walls": walls, "starts": starts, "object_cells": cells, **drawn}

    return _distribution(environment, sample, horizon)


def _distribution(environment: ObjectGrid, sample: Any, horizon: int):
    """Tasks whose parameters are drawn together, as they depend on each other."""
    adapted = from_gymnax(environment, horizon=horizon).environment
    base: Any = environment.default_params
    base = base.replace(max_steps_in_episode=adapted.horizon)

    def sample_task(key: Key) -> Task:
        return Task(trees.strong_types(base.replace(**sample(key))), {})

    return TaskDistribution(adapted, sample_task)


def _place(
    key: Key, is_free: jax.Array, num_objects: int, random_start: bool
) -> tuple[jax.Array, jax.Array]:
    """Cells ``[N]`` of objects and starts ``[height, width]``, free and distinct."""
    scores = jnp.where(
        is_free.reshape(-1), jax.random.uniform(key, (is_free.size,)), -1.0
    )
    _, cells = jax.lax.top_k(scores, num_objects + 1)
    cells, start = cells[:-1].astype(jnp.int32), cells[-1]
    if random_start:
        starts = is_free.reshape(-1).at[cells].set(False)
    else:
        starts = jnp.arange(is_free.size) == start
    return cells, starts.reshape(is_free.shape)


def _walls(
    key: Key, size: int, side: jax.Array, num_walls: int, room: int
) -> jax.Array:
    """Walls ``[size, size]`` of a level of ``side`` cells with ``room`` free ones."""
    rows = jnp.arange(size)
    inside = ((rows < side)[:, None] & (rows < side)[None, :]).reshape(-1)
    order = jax.random.permutation(key, size**2)  # the place of each cell in the draw
    among_inside = jnp.argsort(jnp.argsort(jnp.where(inside, order, size**2)))
    drawn = (order < num_walls) & (among_inside < side**2 - room)
    return (drawn | ~inside).reshape(size, size)


def _log_uniform(key: Key, count: int, ends: tuple[float, float]) -> jax.Array:
    low, high = ends
    return jnp.exp(low + (high - low) * jax.random.uniform(key, (count,)))


def _interval(name: str, value: Any) -> tuple[int, int]:
    """The ends of an interval of integers."""
    pair = checks.positive_ints(name, value)
    if len(pair) != 2 or pair[0] > pair[1]:
        raise ValueError(f"{name} must be two integers in order, got {value}")
    return pair[0], pair[1]


def _log_interval(name: str, value: Any) -> tuple[float, float]:
    """The logarithms of the ends of an interval of probabilities."""
    try:
        low, high = value
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be two probabilities, got {value!r}") from None
    checks.positive(name, low)
    checks.positive(name, high)
    if not low <= high <= 1.0:
        raise ValueError(
            f"{name} must be two probabilities in order, 0 < low <= high <= 1, got "
            f"{value}"
        )
    return float(np.log(low)), float(np.log(high))
