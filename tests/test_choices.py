"""Logged occasions to choose: order, rewards, regrets, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmeta as jm
from jaxmeta import references, rollouts
from jaxmeta.references import linear

K, T = 3, 4


def log(num_users=3, seed=0):
    """Users of 4, 5 and 6 occasions, mixed; the first feature is the place in time."""
    random = np.random.default_rng(seed)
    users = random.permutation(np.repeat(5 + 2 * np.arange(num_users), [4, 5, 6]))
    times = np.array([np.sum(users[:row] == users[row]) for row in range(users.size)])
    features = random.normal(size=(users.size, K, 2))
    features[..., 0] = times[:, None]
    rewards = np.eye(K)[random.integers(0, K, users.size)]
    return users, features, rewards


def tasks_of(rows=None):
    return jm.tasks.from_choices(*(rows or log()), num_interactions=T)


def test_an_episode_plays_consecutive_occasions_of_one_user():
    users, features, rewards = log()
    tasks = tasks_of()
    policy = references.bandits.random(K)

    def play(key):
        key_task, key_start, key_act = jax.random.split(key, 3)
        task = tasks.sample(key_task)
        state = rollouts.start(key_start, tasks.environment, policy, task)
        steps, _ = rollouts.rollout(
            key_act, tasks.environment, policy, {}, task, state, length=T
        )
        return task.params.user, steps

    keys = jax.random.split(jax.random.key(0), 120)
    players, steps = jax.jit(jax.vmap(play))(keys)
    seen = np.asarray(steps.timestep.observation)
    starts = []
    for n in range(120):
        label = np.unique(users)[int(players[n])]
        start = int(seen[n, 0, 0, 0])
        rows = np.flatnonzero(users == label)[start : start + T]
        np.testing.assert_allclose(seen[n], features[rows], rtol=1e-6)
        chosen = np.asarray(steps.action[n])
        expected = rewards[rows, chosen]
        np.testing.assert_array_equal(steps.reward[n], expected)
        starts.append((label, start))
    # Users of 4, 5, 6 occasions have one, two and three places to start from.
    assert set(starts) == {(5, 0), (7, 0), (7, 1), (9, 0), (9, 1), (9, 2)}
    assert np.asarray(steps.terminated).tolist() == [[False] * 3 + [True]] * 120


def test_the_regret_is_what_the_best_alternative_would_have_paid_more():
    users, features, _ = log()
    weights = np.array([0.0, 1.0])
    tasks = tasks_of((users, features, features @ weights))
    environment = tasks.environment

    def regret(weights):
        policy = linear.fixed(environment, weights)
        key = jax.random.key(3)
        return references.slate_regrets(key, tasks, policy, {}, num_tasks=32)

    players, none = regret(weights)
    np.testing.assert_allclose(none, 0.0, atol=1e-6)
    _, most = regret(-weights)  # always the worst
    scores = features[..., 1]
    gaps = scores.max(1) - scores.min(1)
    for player, found in zip(np.asarray(players), np.asarray(most), strict=True):
        own = gaps[users == np.unique(users)[player]]
        windows = [own[i : i + T] for i in range(own.size - T + 1)]
        assert any(np.allclose(found, window, rtol=1e-4) for window in windows)


def test_strategies_and_the_belief_act_on_them():
    tasks = tasks_of()
    policy = jm.policies.linear_belief(
        tasks.environment, mean=jnp.zeros(2), factor=jnp.eye(2)
    )
    params = policy.init(jax.random.key(0))
    prior = linear.ridge_prior(2)
    for strategy, given in (
        (policy, params),
        (linear.linucb(tasks.environment, prior, exploration=0.0), {}),
    ):
        users, regret = references.slate_regrets(
            jax.random.key(1), tasks, strategy, given, num_tasks=16, mode=True
        )
        assert regret.shape == (16, T)
        assert set(np.unique(regret)) <= {0.0, 1.0}
        assert set(np.asarray(users)) <= {0, 1, 2}


def test_wrong_logs_are_refused():
    users, features, rewards = log()

    def refused(error, match, *rows, **options):
        with pytest.raises(error, match=match):
            jm.tasks.from_choices(*rows, **{"num_interactions": T, **options})

    refused(
        ValueError,
        r"2 of 3 have fewer than num_interactions = 6 occasions, such as user 5 with 4",
        *log(),
        num_interactions=6,
    )
    refused(ValueError, r"rewards must have .* shape \(15, 3\), got \(15, 2\)",
            users, features, rewards[:, :2])  # fmt: skip
    refused(ValueError, r"features must have as many rows as users, 14, got 15",
            users[1:], features, rewards)  # fmt: skip
    refused(ValueError, r"two alternatives or more", users, features[:, :1],
            rewards[:, :1])  # fmt: skip
    refused(ValueError, r"features must have 3 axes", users, features[0], rewards)
    refused(ValueError, r"rewards must be finite, .* row 2", users, features,
            np.where(np.arange(15)[:, None] == 2, np.nan, rewards))  # fmt: skip
    refused(TypeError, r"users must be integers", users / 2, features, rewards)
    refused(TypeError, r"num_interactions", *log(), num_interactions=1.5)
    with pytest.raises(ValueError, match=r"a user has 4 occasions, fewer than the num"):
        jm.environments.Occasions(features, rewards, [0, 4, 15], num_interactions=5)
