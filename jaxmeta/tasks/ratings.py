"""Personalised recommendation: every user of a table of ratings is a task."""

from typing import Any

import jax
import numpy as np

from jaxmeta import checks
from jaxmeta.environments import Slates
from jaxmeta.tasks.adapter import from_gymnax
from jaxmeta.types import TaskDistribution


def from_ratings(
    users: Any,
    items: Any,
    ratings: Any,
    features: Any,
    *,
    num_candidates: int = 5,
    num_interactions: int = 10,
) -> TaskDistribution:
    """Contextual bandits of logged ratings, one for each user.

    A task is a user, drawn with equal probability. Every interaction offers
    ``num_candidates`` items drawn from those the user has rated, none twice in an
    episode; the reward of the one chosen is its rating. The observation is the
    candidates' features ``[k, F]``. See ``environments.Slates``.

    For held-out users make a second distribution of their rows, with features that were
    computed without them: features made of ratings, such as an item's mean, otherwise
    tell what is to be found out. The same holds within training: what is learned from
    features that contain a user's own rating does not carry over to new users, so an
    item may have several rows of ``features``, and ``items`` those that were computed
    without the user who is meant.

    Args:
        users: ``[R]`` integers, any labels, in any order.
        items: ``[R]`` integers, rows of ``features``.
        ratings: ``[R]`` numbers, the rewards: stars, or one for a click and else zero.
        features: ``[I, F]`` numbers; one column may be a constant one, which linear
            models take for an intercept.
        num_candidates: ``k``, at least two.
        num_interactions: ``T``, of an episode.

    Raises:
        TypeError: if an array or a number is of the wrong kind.
        ValueError: if the arrays disagree in shape or hold nothing, values that are not
            finite or no rows of ``features``; if a user has rated an item twice, or has
            fewer than ``T k`` ratings (:func:`enough_ratings` finds those who have).
    """
    num_candidates = checks.positive_int("num_candidates", num_candidates, minimum=2)
    num_interactions = checks.positive_int("num_interactions", num_interactions)
    users, items = integers("users", users), integers("items", items)
    ratings = numbers("ratings", ratings, 1)
    features = numbers("features", features, 2)
    for name, array in (("items", items), ("ratings", ratings)):
        if array.shape != users.shape:
            raise ValueError(
                f"{name} must have as many rows as users, {users.shape[0]}, got "
                f"{array.shape[0]}"
            )
    if items.min() < 0 or items.max() >= features.shape[0]:
        raise ValueError(
            f"items must be rows of features, 0 to {features.shape[0] - 1}, got "
            f"{items.min()} to {items.max()}"
        )
    order = np.lexsort((items, users))
    users, items, ratings = users[order], items[order], ratings[order]
    twice = (np.diff(users) == 0) & (np.diff(items) == 0)
    if twice.any():
        row = int(np.argmax(twice))
        raise ValueError(
            f"users and items: user {users[row]} has rated item {items[row]} twice; "
            "keep one of the ratings"
        )
    labels, first = np.unique(users, return_index=True)
    offsets = np.append(first, users.size)
    counts, needed = np.diff(offsets), num_candidates * num_interactions
    if counts.min() < needed:
        few = int(np.sum(counts < needed))
        raise ValueError(
            f"ratings: {few} of {labels.size} users have fewer than num_candidates * "
            f"num_interactions = {needed} ratings, such as user "
            f"{labels[np.argmin(counts)]} with {counts.min()}; leave them out, "
            f"tasks.enough_ratings(users, {needed}) says which rows to keep"
        )
    environment = Slates(
        items,
        ratings,
        offsets,
        features,
        num_candidates=num_candidates,
        num_interactions=num_interactions,
    )
    return from_gymnax(
        environment, params={"user": _one_of(labels.size)}, horizon=num_interactions
    )


def enough_ratings(users: Any, at_least: int) -> np.ndarray:
    """Which rows are of users who have so many ratings, ``[R]`` bool.

    Raises:
        TypeError: if ``users`` are no integers, or ``at_least`` is none.
        ValueError: if ``at_least`` is below one, or there are no rows.
    """
    at_least = checks.positive_int("at_least", at_least)
    _, index, counts = np.unique(
        integers("users", users), return_inverse=True, return_counts=True
    )
    return counts[index] >= at_least


def _one_of(num_users: int) -> Any:
    """A sampler of one user."""
    return lambda key: jax.random.randint(key, (), 0, num_users)


def integers(name: str, values: Any) -> np.ndarray:
    """A vector of integers, or an error that names the argument.

    Raises:
        TypeError: if they are no integers.
        ValueError: if it is no vector, or empty.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must be integers, got dtype {array.dtype}")
    return _shaped(name, array, 1)


def numbers(name: str, values: Any, num_axes: int) -> np.ndarray:
    """An array of finite numbers, or an error that names the argument.

    Raises:
        TypeError: if they are no real numbers.
        ValueError: if it has other axes, is empty, or a number is not finite.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be real numbers, got dtype {array.dtype}")
    array = _shaped(name, array, num_axes)
    wrong = ~np.isfinite(array)
    if wrong.any():
        row = int(np.argwhere(wrong)[0][0])
        raise ValueError(f"{name} must be finite, got inf or nan in row {row}")
    return array


def _shaped(name: str, array: np.ndarray, num_axes: int) -> np.ndarray:
    if array.ndim != num_axes or 0 in array.shape:
        raise ValueError(
            f"{name} must have {num_axes} axes, none of them empty, got shape "
            f"{array.shape}"
        )
    return array
