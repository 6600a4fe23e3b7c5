"""What other tasks say of linear rewards: one model for all, and a prior by task."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxmeta import checks
from jaxmeta.references.linear import LinearPrior


class _Moments(NamedTuple):
    """Sums over the rows of every task, in double precision.

    Attributes:
        rows: ``[U]``, how many.
        square: ``[U, F, F]``, of ``x x^T``.
        cross: ``[U, F]``, of ``x y``.
        power: ``[U]``, of ``y^2``.
    """

    rows: np.ndarray
    square: np.ndarray
    cross: np.ndarray
    power: np.ndarray


def shared_weights(
    users: Any, features: Any, rewards: Any, *, penalty: float = 1e-3
) -> np.ndarray:
    """Ridge regression over all tasks: the weights that rank best without adaptation.

    ::

        minimise sum_u mean_{i of u} ((y_i - mean_u y) - (x_i - mean_u x)^T w)^2 / U
                 + penalty |w|^2

    Every task counts the same, and only differences within a task count, since a
    task's level changes no choice; a constant feature has weight zero.

    Args:
        users: ``[R]`` integers, whose rows they are.
        features: ``[R, F]``.
        rewards: ``[R]``.
        penalty: of the squared weights.

    Returns:
        ``[F]`` float32.

    Raises:
        TypeError: if an array or number is of the wrong kind.
        ValueError: if shapes disagree, a value is not finite, or ``penalty`` is not
            positive.
    """
    penalty = checks.positive("penalty", penalty)
    users, features, rewards = _checked(users, features, rewards)
    index, count = _indices(users)

    def centred(rows: np.ndarray) -> np.ndarray:
        sums = np.zeros((count.size, rows.shape[1]))
        np.add.at(sums, index, rows)
        return rows - (sums / count[:, None])[index]

    x, y = centred(features), centred(rewards[:, None])[:, 0]
    weighted = x / (count[index] * count.size)[:, None]
    square = weighted.T @ x + penalty * np.eye(x.shape[1])
    return np.linalg.solve(square, weighted.T @ y).astype(np.float32)


def population_prior(
    users: Any,
    features: Any,
    rewards: Any,
    *,
    num_iterations: int = 50,
    ridge: float = 1e-6,
) -> LinearPrior:
    """The prior over a task's weights that explains many tasks best: empirical Bayes.

    Maximises the likelihood of ``y = x^T w_u + e``, ``w_u ~ N(mean, covariance)``, over
    mean, covariance and the variance of ``e``, by expectation-maximisation. It is what
    a Bayesian who has seen the training tasks believes of the next one, the strongest
    linear reference there is.

    Args:
        users: ``[R]`` integers, whose rows they are.
        features: ``[R, F]``.
        rewards: ``[R]``.
        num_iterations: of expectation-maximisation.
        ridge: added to the diagonal of the covariance, so that it stays definite.

    Source: Dempster, Laird and Rubin, "Maximum Likelihood from Incomplete Data via the
    EM Algorithm", 1977; Laird and Ware, "Random-Effects Models for Longitudinal Data",
    1982.

    Raises:
        TypeError: if an array or number is of the wrong kind.
        ValueError: if shapes disagree, a value is not finite, there are fewer than two
            users, or a number is out of range.
    """
    num_iterations = checks.positive_int("num_iterations", num_iterations)
    ridge = checks.positive("ridge", ridge)
    users, features, rewards = _checked(users, features, rewards)
    moments = _moments(users, features, rewards)
    if moments.rows.size < 2:
        raise ValueError(
            "users: a prior over tasks needs the rows of two or more, got one"
        )
    size = features.shape[1]
    total = moments.square.sum(0)
    mean = np.linalg.solve(total + ridge * np.eye(size), moments.cross.sum(0))
    noise = float(np.mean((rewards - features @ mean) ** 2)) + ridge
    covariance = noise * np.eye(size) / size
    for _ in range(num_iterations):
        precision = np.linalg.inv(covariance)
        spreads = np.linalg.inv(precision + moments.square / noise)
        pulls = precision @ mean + moments.cross / noise
        centres = np.einsum("ufg,ug->uf", spreads, pulls)
        mean = centres.mean(0)
        away = centres - mean
        covariance = (
            spreads.mean(0) + away.T @ away / moments.rows.size + ridge * np.eye(size)
        )
        second = spreads + centres[:, :, None] * centres[:, None, :]
        residual = (
            moments.power
            - 2.0 * np.einsum("uf,uf->u", centres, moments.cross)
            + np.einsum("ufg,ufg->u", second, moments.square)
        )
        noise = float(residual.sum() / moments.rows.sum()) + ridge
    return LinearPrior(
        *(jnp.asarray(leaf, jnp.float32) for leaf in (mean, covariance, noise))
    )


def _moments(users: np.ndarray, x: np.ndarray, y: np.ndarray) -> _Moments:
    order = np.argsort(users, kind="stable")
    x, y = x[order], y[order]
    _, count = _indices(users)
    starts = np.cumsum(count)[:-1]
    rows = list(zip(np.split(x, starts), np.split(y, starts), strict=True))
    return _Moments(
        count,
        np.stack([a.T @ a for a, _ in rows]),
        np.stack([a.T @ b for a, b in rows]),
        np.stack([b @ b for _, b in rows]),
    )


def _indices(users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every row's task ``[R]``, and the rows of every task ``[U]``."""
    _, index, count = np.unique(users, return_inverse=True, return_counts=True)
    return index, count


def _checked(users: Any, features: Any, rewards: Any) -> tuple[np.ndarray, ...]:
    users = np.asarray(users)
    if users.dtype.kind not in "iu":
        raise TypeError(f"users must be integers, got dtype {users.dtype}")
    arrays = {"features": np.asarray(features), "rewards": np.asarray(rewards)}
    for (name, array), axes in zip(arrays.items(), (2, 1), strict=True):
        if array.dtype.kind not in "biuf":
            raise TypeError(f"{name} must be real numbers, got dtype {array.dtype}")
        if array.ndim != axes or 0 in array.shape or len(array) != len(users):
            raise ValueError(
                f"{name} must have {axes} axes and a row for each of the "
                f"{len(users)} of users, got shape {array.shape}"
            )
        if not np.isfinite(array).all():
            raise ValueError(f"{name} must be finite, got inf or nan")
    x, y = (array.astype(np.float64) for array in arrays.values())
    return users, x, y
