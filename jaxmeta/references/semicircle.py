"""What a point robot is worth that is told where on the half circle its goal is."""

import numpy as np

from jaxmeta import checks

_MOVE = 0.1  # per step and coordinate
_NODES = 32  # of the quadrature between two angles where the integrand has a kink


def semicircle_oracle(
    *, sparse: bool = False, radius: float = 0.2, horizon: int = 20
) -> float:
    """Mean return of an episode of ``tasks.semicircle`` of an agent told the goal.

    Each coordinate can near the goal by 0.1 a step, whatever the other one does, so
    that going there as fast as possible is best at every step at once: after step ``t``
    the distance is ``d_t = |max(|g| - 0.1 t, 0)|``, per coordinate of the goal ``g``.
    The mean over goals is Gauss-Legendre quadrature between the angles where some
    ``d_t`` has a kink or is ``radius``.

    Args:
        sparse: as in ``tasks.semicircle``, like those that follow.
        radius: within which the sparse reward is paid.
        horizon: steps in an episode.

    Source: the environment is that of Rakelly et al., "Efficient Off-Policy Meta-
    Reinforcement Learning via Probabilistic Context Variables", 2019.

    Raises:
        TypeError: if ``radius`` is no number, or ``horizon`` no integer.
        ValueError: if ``radius`` is not positive, or ``horizon`` below one.
    """
    radius = checks.positive("radius", radius)
    horizon = checks.positive_int("horizon", horizon)
    covered = _MOVE * np.arange(1, horizon + 1)
    edges = _edges(covered, radius)
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    middle, half = (edges[1:] + edges[:-1]) / 2, (edges[1:] - edges[:-1]) / 2
    angles = (middle[:, None] + half[:, None] * nodes).reshape(-1, 1)
    goals = np.stack([np.cos(angles), np.sin(angles)])
    distance = np.linalg.norm(np.maximum(goals - covered, 0.0), axis=0)
    paid = np.where(distance <= radius, 1.0 - distance, 0.0) if sparse else -distance
    density = (half[:, None] * weights).reshape(-1) / (np.pi / 4)
    return float(density @ paid.sum(axis=1))


def _edges(covered: np.ndarray, radius: float) -> np.ndarray:
    """Angles in [0, pi / 4] between which returns are smooth; the rest mirrors them.

    There the first coordinate is the larger one. The distance is ``radius`` where
    ``cos a + sin a = (1 + 2 s^2 - radius^2) / 2 s``, or, once the second is reached,
    where ``cos a = s + radius``, with ``s`` what is covered.
    """
    both = (1.0 + 2.0 * covered**2 - radius**2) / (2.0 * covered)
    with np.errstate(invalid="ignore"):
        candidates = np.concatenate(
            [
                np.arccos(covered),
                np.arcsin(covered),
                np.arccos(covered + radius),
                np.pi / 4 - np.arccos(both / np.sqrt(2.0)),
            ]
        )
    inside = candidates[(candidates > 0.0) & (candidates < np.pi / 4)]
    return np.unique([0.0, *inside, np.pi / 4])
