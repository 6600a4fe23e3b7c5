"""What dark rooms, keys and corners are worth; GridNavi has a module of its own."""

import numpy as np

from jaxmeta import checks


def darkroom_bayes_optimal(*, size: int = 10, horizon: int = 100) -> float:
    """The highest expected return of a single episode of search in a dark room.

    The goal is uniform on all cells of a square grid, a step on it pays one, all others
    nothing, and the start is a corner. No walk meets more than one new cell per step;
    to stay once and then to walk the grid in rows meets exactly one. So the value is
    ``sum_{t=1}^{min(C, H)} (H + 1 - t) / C`` with ``C = size^2`` cells.

    Args:
        size: cells per side.
        horizon: ``H`` steps in an episode.

    Source: the environment is that of Laskin et al., "In-context Reinforcement Learning
    with Algorithm Distillation", 2022.

    Raises:
        TypeError: if a number is not an integer.
        ValueError: if a number is below one.
    """
    cells = checks.positive_int("size", size) ** 2
    horizon = checks.positive_int("horizon", horizon)
    met = np.arange(1, min(cells, horizon) + 1)
    return float(np.sum(horizon + 1 - met) / cells)


def darkroom_oracle(*, size: int = 10, horizon: int = 100) -> float:
    """Mean return of an episode in a dark room of an agent that is told the goal.

    It is there at step ``max(1, d)``, with ``d`` the goal's distance.

    Args:
        size: cells per side.
        horizon: ``H`` steps in an episode.

    Raises:
        TypeError: if a number is not an integer.
        ValueError: if a number is below one.
    """
    size = checks.positive_int("size", size)
    horizon = checks.positive_int("horizon", horizon)
    distance = np.add.outer(np.arange(size), np.arange(size))
    on_goal = horizon + 1 - np.maximum(distance, 1)
    return float(np.mean(np.maximum(on_goal, 0)))


def key_to_door_oracle(
    *, size: int = 9, random_start: bool = True, horizon: int = 50
) -> float:
    """Mean return of an episode of Dark Key-to-Door of an agent told both cells.

    It has the key at step ``max(1, d)``, with ``d`` the distance from the start, and
    the door ``max(1, d')`` steps later, with ``d'`` that from key to door: each pays
    one if the episode lasts so long. The mean is over starts, keys and doors.

    Args:
        size: cells per side.
        random_start: start in any cell, not in the middle.
        horizon: ``H`` steps in an episode.

    Raises:
        TypeError: if a number is not an integer.
        ValueError: if a number is below one.
    """
    size = checks.positive_int("size", size)
    horizon = checks.positive_int("horizon", horizon)
    cells = np.stack(np.divmod(np.arange(size**2), size), axis=1)
    starts = cells if random_start else np.full((1, 2), size // 2)
    longest = max(2 * (size - 1), 1)

    def chances(cell, others):
        """Of every number of steps between a cell and the others, up to the longest."""
        steps = np.maximum(np.abs(others - cell).sum(axis=1), 1)
        return np.bincount(steps, minlength=longest + 1) / len(others)

    total = 0.0
    for cell in cells:
        to_key, to_door = chances(cell, starts), chances(cell, cells)
        to_both = np.convolve(to_key, to_door)
        total += to_key[: horizon + 1].sum() + to_both[: horizon + 1].sum()
    return float(total / len(cells))


def corners_oracle(*, size: int = 5, horizon: int | None = None) -> float:
    """Return of an episode of ``tasks.corners()`` of an agent told the corner.

    There is no action that stays, but a wall to push against: ``H + 1 - (size - 1)``.

    Args:
        size: cells per side, an odd number.
        horizon: ``H`` steps in an episode; by default ``2 (size - 1)``.

    Raises:
        TypeError: if a number is not an integer.
        ValueError: if a number is too small, or ``size`` even.
    """
    size = checks.positive_int("size", size, minimum=3)
    if size % 2 == 0:
        raise ValueError(f"size must be odd, so that there is a centre, got {size}")
    horizon = 2 * (size - 1) if horizon is None else horizon
    horizon = checks.positive_int("horizon", horizon)
    return float(max(horizon + 2 - size, 0))
