"""Features of items from ratings, computed without the user they are shown to."""

from typing import NamedTuple

import numpy as np

_FOLDS = 10
_PRIOR_COUNT = 5.0  # of ratings at the mean, that an item's mean is shrunk by
_PENALTY = 10.0  # of squared factors
_SWEEPS = 6


class Ratings(NamedTuple):
    """A table of ratings.

    Attributes:
        users: ``[R]``, index of the user.
        items: ``[R]``, index of the item.
        ratings: ``[R]`` stars.
        known: ``[I, C]``, what is known of items without ratings.
    """

    users: np.ndarray
    items: np.ndarray
    ratings: np.ndarray
    known: np.ndarray


def film_features(
    data: Ratings, training: np.ndarray, *, num_factors: int = 8, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Features of items from the ratings of training users, and rows for all ratings.

    They are the item's mean (of ratings less their user's mean), the logarithm of its
    count, the factors of a matrix factorisation by alternating least squares, and what
    is known. There are eleven tables of them: one from all training users, for the
    others, and ten whose means, counts and items' factors leave out a tenth of the
    training users each, for those; the directions in which tastes differ are of all.

    Args:
        data: the ratings.
        training: ``[R]``, which are of training users.
        num_factors: of the factorisation.
        seed: of its start, and of the tenths.

    Returns:
        Features ``[11 I, F]``, and the row of every rating ``[R]``.
    """
    random = np.random.default_rng(seed)
    num_items, num_users = len(data.known), int(data.users.max()) + 1
    fold = np.full(num_users, _FOLDS)
    trained = np.unique(data.users[training])
    fold[trained] = random.permutation(trained.size) % _FOLDS
    users, items = data.users[training], data.items[training]
    level = _levels(users, items, data.ratings[training], num_users, num_items)
    offset = data.ratings[training] - level[users]

    def means(kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        count = np.bincount(items[kept], minlength=num_items)
        total = np.bincount(items[kept], offset[kept], num_items)
        return total / (count + _PRIOR_COUNT), count

    residual = offset - means(np.ones(users.size, bool))[0][items]
    factors = random.normal(size=(num_items, num_factors)) * 0.1
    tastes = np.zeros((num_users, num_factors))
    for _ in range(_SWEEPS):
        tastes = _least_squares(users, factors[items], residual, num_users)
        root = np.linalg.cholesky(
            tastes[trained].T @ tastes[trained] / trained.size
            + 1e-9 * np.eye(num_factors)
        )
        tastes = np.linalg.solve(root, tastes.T).T  # of unit covariance
        factors = _least_squares(items, tastes[users], residual, num_items)

    tables = []
    for left_out in range(_FOLDS + 1):
        kept = fold[users] != left_out  # none is of the last
        mean, count = means(kept)
        rest = (offset - mean[items])[kept]
        found = _least_squares(items[kept], tastes[users[kept]], rest, num_items)
        tables.append(np.c_[mean, np.log1p(count), found, data.known])
    rows = np.where(training, fold[data.users], _FOLDS) * num_items + data.items
    return np.concatenate(tables), rows


def _levels(users, items, ratings, num_users, num_items) -> np.ndarray:
    """How highly users rate, what they rated taken into account, ``[U]``."""
    times = np.maximum(np.bincount(users, minlength=num_users), 1)
    count = np.bincount(items, minlength=num_items) + _PRIOR_COUNT
    level = np.bincount(users, ratings, num_users) / times
    for _ in range(5):
        mean = np.bincount(items, ratings - level[users], num_items) / count
        level = np.bincount(users, ratings - mean[items], num_users) / times
    return level


def _least_squares(groups, x, y, num_groups) -> np.ndarray:
    """Ridge regression of ``y`` on ``x`` in every group, ``[G, D]``."""
    size = x.shape[1]
    square = np.tile(_PENALTY * np.eye(size), (num_groups, 1, 1))
    cross = np.zeros((num_groups, size))
    order = np.argsort(groups, kind="stable")
    groups, x, y = groups[order], x[order], y[order]
    present, start = np.unique(groups, return_index=True)
    if present.size:
        square[present] += np.add.reduceat(x[:, :, None] * x[:, None, :], start)
        cross[present] = np.add.reduceat(x * y[:, None], start)
    return np.linalg.solve(square, cross[:, :, None])[:, :, 0]
