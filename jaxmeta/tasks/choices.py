"""Personalised recommendation: every user of a log of choices is a task."""

from typing import Any

import jax
import numpy as np

from jaxmeta import checks
from jaxmeta.environments import Occasions
from jaxmeta.tasks.adapter import from_gymnax
from jaxmeta.tasks.ratings import integers, numbers
from jaxmeta.types import TaskDistribution


def from_choices(
    users: Any,
    features: Any,
    rewards: Any,
    *,
    num_interactions: int = 10,
) -> TaskDistribution:
    """Contextual bandits of logged occasions to choose, one for each user.

    A task is a user, drawn with equal probability. An episode plays
    ``num_interactions`` occasions of the user that follow each other in the log, from
    one drawn uniformly, so that loyalty and habits stay in the order of time. The
    observation is the features of the alternatives ``[k, F]``, the reward what the
    chosen one of them would have paid. See ``environments.Occasions``; the strategies
    of ``references.linear``, ``references.slate_regrets`` and
    ``policies.linear_belief`` act on these tasks as on those of :func:`from_ratings`.

    For held-out users make a second distribution of their rows.

    Args:
        users: ``[R]`` integers, any labels: whose occasion it is. Rows of one user need
            not be neighbours, but are in the order of time.
        features: ``[R, k, F]`` numbers, what is known of every alternative before the
            choice, such as its price and, as indicators, its brand.
        rewards: ``[R, k]`` numbers, what every alternative would have paid: one for the
            one that the user took and else zero.
        num_interactions: ``T``, of an episode.

    Raises:
        TypeError: if an array or a number is of the wrong kind.
        ValueError: if the arrays disagree in shape, hold nothing or values that are not
            finite, there is one alternative alone, or a user has fewer than ``T``
            occasions (:func:`enough_ratings` finds the rows of those who have).
    """
    num_interactions = checks.positive_int("num_interactions", num_interactions)
    users = integers("users", users)
    features = numbers("features", features, 3)
    rewards = numbers("rewards", rewards, 2)
    if len(features) != len(users):
        raise ValueError(
            f"features must have as many rows as users, {len(users)}, got "
            f"{len(features)}"
        )
    if rewards.shape != features.shape[:2]:
        raise ValueError(
            f"rewards must have one for each of the {features.shape[1]} alternatives "
            f"of every occasion, shape {features.shape[:2]}, got {rewards.shape}"
        )
    if features.shape[1] < 2:
        raise ValueError(
            "features must be of two alternatives or more to choose from, got shape "
            f"{features.shape}"
        )
    order = np.argsort(users, kind="stable")  # keeps every user's order of time
    labels, counts = np.unique(users, return_counts=True)
    if counts.min() < num_interactions:
        few = int(np.sum(counts < num_interactions))
        raise ValueError(
            f"users: {few} of {labels.size} have fewer than num_interactions = "
            f"{num_interactions} occasions, such as user {labels[np.argmin(counts)]} "
            f"with {counts.min()}; leave them out, tasks.enough_ratings(users, "
            f"{num_interactions}) says which rows to keep"
        )
    environment = Occasions(
        features[order],
        rewards[order],
        np.append(0, np.cumsum(counts)),
        num_interactions=num_interactions,
    )

    def one_of(key):
        return jax.random.randint(key, (), 0, labels.size)

    return from_gymnax(environment, params={"user": one_of}, horizon=num_interactions)
