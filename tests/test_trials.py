"""Trials: the memory of a policy lasts over the episodes of a task."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from test_advantages import batch_of

import jaxmeta as jm
from jaxmeta import advantages, inner, outer, policies, returns
from jaxmeta.environments import MatchProbe
from jaxmeta.types import Policy, PolicyOutput

TASKS = jm.tasks.from_gymnax(MatchProbe(), params={"bit": jm.tasks.choice([0, 1])})
HORIZON = TASKS.environment.horizon
REMEMBERING = policies.recurrent(TASKS.environment, core=policies.gru(4))


def witness(environment=TASKS.environment):
    """Always acts 1; its logits show what its memory and its inputs hold.

    Logits: steps since its memory was empty, previous action, previous reward,
    is_first.
    """

    def apply(params, carry, timestep):
        del params
        seen = (carry, timestep.previous_action, timestep.previous_reward)
        shown = jnp.stack([*seen, timestep.is_first]).astype(jnp.float32)
        return PolicyOutput(_Always(shown), carry), carry + 1.0

    return Policy(lambda key: {}, lambda: jnp.zeros(()), apply)


class _Always(NamedTuple):
    """Shows four numbers; every sample is action 1."""

    logits: jax.Array

    def sample(self, key):
        return jnp.ones((), jnp.int32)

    def log_prob(self, action):
        return jnp.zeros(action.shape)


def trial(key, num_episodes=3):
    """One trial of the witness ``[T]``, and the task."""
    learner = jm.meta_learner(
        TASKS,
        witness(),
        inner.identity(),
        outer.on_trials(lambda params, batch: (jnp.zeros(()), {}), optax.sgd(0.1)),
        lambda key: {},
        num_tasks=1,
        num_updates=0,
        num_episodes=1,
        episodes_per_trial=num_episodes,
    )
    task = TASKS.sample(key)
    query = learner.collect(key, {}, task).query
    return learner, jax.tree.map(lambda leaf: leaf[0], query), task


def test_memory_lasts_over_episodes_and_is_empty_at_the_start_of_a_trial(key):
    _, acted, _ = trial(key)
    assert acted.reward.shape == (3 * HORIZON,)
    shown = acted.distribution.logits
    np.testing.assert_array_equal(shown[:, 0], np.arange(3 * HORIZON))
    starts = np.flatnonzero(shown[:, 3])
    np.testing.assert_array_equal(starts, [0, HORIZON, 2 * HORIZON])


def test_the_reward_and_action_of_the_last_step_are_seen_in_the_next_episode(key):
    _, acted, _ = trial(key)
    shown = acted.distribution.logits
    np.testing.assert_array_equal(shown[1:, 1], 1)
    np.testing.assert_array_equal(shown[0, 1:3], [-1, 0])
    space = TASKS.environment.action
    seen = jax.vmap(lambda one: policies.reading(one, space))(acted.timestep)
    np.testing.assert_array_equal(seen[0, 2:4], 0)  # no action yet
    np.testing.assert_array_equal(seen[1:, 2:4], [[0, 1]] * (3 * HORIZON - 1))
    np.testing.assert_array_equal(shown[1:, 2], acted.reward[:-1])
    rewards_at_ends = [
        trial(jax.random.key(seed))[1].reward[HORIZON - 1] for seed in range(8)
    ]
    assert 1.0 in rewards_at_ends  # or a zeroed reward would have passed


def test_the_task_is_the_same_in_every_episode(key):
    """Action 1 is right where the observation differs from the bit."""
    for seed in range(6):
        _, acted, task = trial(jax.random.key(seed))
        observed = np.asarray(acted.timestep.observation[:, 0]) > 0.5
        right = observed ^ bool(task.params.bit)
        np.testing.assert_array_equal(acted.reward, right)


def test_a_curve_has_the_return_of_each_episode(key):
    learner, acted, task = trial(key)
    found = returns.episode_returns(acted.reward, acted.timestep.is_first, 3)
    np.testing.assert_array_equal(found, acted.reward.reshape(3, HORIZON).sum(1))
    fixed = TASKS._replace(sample=lambda key: task)
    curve = jm.adaptation_curve(key, learner, {}, fixed, num_tasks=4)
    assert curve.shape == (4, 3)
    np.testing.assert_array_equal(curve, np.round(curve))  # of one trial, not a mean


def test_episodes_that_end_early_leave_steps_that_do_not_count():
    """Three episodes of 2, 1 and 3 steps in a rollout of 8; trials of two episodes."""
    ends = [[0, 1, 1, 0, 0, 1, 0, 0]]
    batch = batch_of([[1, 2, 4, 8, 16, 32, 64, 128]], terminated=ends)
    is_first = batch.timestep.is_first[0]
    np.testing.assert_array_equal(
        returns.episode_returns(batch.reward[0], is_first, 2), [3, 4]
    )
    np.testing.assert_array_equal(
        returns.episode_returns(batch.reward[0], is_first, 5), [3, 4, 56, 192, 0]
    )
    np.testing.assert_array_equal(
        returns.episode_mask(is_first, 2), [1, 1, 1, 0, 0, 0, 0, 0]
    )
    values = jnp.arange(8.0)[None]
    estimate = advantages.value_baseline(
        discount=0.5, trace_decay=1.0, episodes_per_trial=2
    ).estimate(batch, values, None)
    to_go = [1 + 0.5 * (2 + 0.5 * 4), 2 + 0.5 * 4, 4.0]
    np.testing.assert_allclose(estimate.targets[0, :3], to_go)
    np.testing.assert_array_equal(estimate.weights[0], [1, 1, 1, 0, 0, 0, 0, 0])
    assert np.all(np.isfinite(estimate.advantages))


def test_advantages_of_a_trial_run_across_the_ends_of_episodes():
    """A reward in the second episode is credited to the first, in a trial alone."""
    rewards = np.zeros((1, 6))
    rewards[0, 4] = 1.0
    ends = [[0, 0, 1, 0, 0, 1]]
    values, reached = jnp.full((1, 6), 10.0), jnp.full((1, 6), -10.0)
    for kind in ("terminated", "truncated"):
        batch = batch_of(rewards, **{kind: ends})
        across = advantages.value_baseline(
            discount=0.9, trace_decay=0.5, episodes_per_trial=2
        ).estimate(batch, values, reached)
        # By hand: delta_t = r_t + 0.9 V(t + 1) - V(t), the last one without a future.
        delta = rewards[0] + 0.9 * np.array([10, 10, 10, 10, 10, 0]) - 10
        expected = [
            sum(0.45 ** (s - t) * delta[s] for s in range(t, 6)) for t in range(6)
        ]
        np.testing.assert_allclose(across.advantages[0], expected, rtol=1e-5)
        apart = advantages.value_baseline(discount=0.9, trace_decay=0.5).estimate(
            batch, jnp.zeros((1, 6)), jnp.zeros((1, 6))
        )
        np.testing.assert_array_equal(apart.advantages[0, :3], 0)


def test_minibatches_see_every_trial_once_an_epoch(key):
    """The loss adds up which trials it saw."""

    def loss(params, batch):
        return -jnp.vdot(params, jax.nn.one_hot(batch.reward, 12).sum(0)), {}

    learner = outer.on_trials(loss, optax.sgd(1.0), num_epochs=3, num_minibatches=4)
    batch = batch_of(np.zeros((6, 2)))._replace(reward=jnp.arange(12).reshape(6, 2, 1))
    query = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf])[:, :, 0], batch)
    query = query._replace(reward=jnp.arange(12).reshape(2, 6))
    experience = jm.types.Experience(None, None, query)
    seen, _, _ = jax.jit(learner.update)(
        key, jnp.zeros(12), learner.init(jnp.zeros(12)), experience
    )
    np.testing.assert_array_equal(seen, 3.0)
    with pytest.raises(ValueError, match="must divide the number of trials, 12, got 5"):
        outer.on_trials(loss, optax.sgd(1.0), num_minibatches=5).update(
            key, jnp.zeros(12), learner.init(jnp.zeros(12)), experience
        )


def test_only_steps_of_the_trial_count():
    batch = batch_of([[1.0] * 6], terminated=[[0, 1, 1, 0, 0, 1]])
    counted = advantages.steps_that_count(
        advantages.value_baseline(episodes_per_trial=2), batch
    )
    np.testing.assert_array_equal(counted, [[1, 1, 1, 0, 0, 0]])


def test_learning_from_trials_after_inner_updates_is_refused(key):
    learner = outer.on_trials(lambda params, batch: (jnp.zeros(()), {}), optax.sgd(0.1))
    experience = jm.types.Experience(jax.random.split(key, (4, 2)), None, None)
    with pytest.raises(ValueError, match=r"num_updates must be 0 .* got 1"):
        learner.update(key, jnp.zeros(1), (), experience)


def test_evaluation_acts_in_the_environment_of_the_tasks(key):
    """Whose tasks are of another type than those of training."""
    room = jm.tasks.dark_room(size=9, horizon=50)
    other = jm.tasks.dark_key_to_door(size=9, horizon=50)
    policy = policies.recurrent(room.environment, core=policies.gru(4))
    learner = jm.rl2(room, policy, outer_optimizer=optax.adam(1e-3), num_tasks=4)
    curve = jm.adaptation_curve(key, learner, policy.init(key), other, num_tasks=3)
    assert curve.shape == (3, 1)
    assert np.all(curve <= 2)
