"""What dark rooms and corners are worth; GridNavi has a module of its own."""

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
