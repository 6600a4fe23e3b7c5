import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmeta as jm
from jaxmeta import rollouts
from jaxmeta.distributions import Categorical
from jaxmeta.environments import MatchProbe
from jaxmeta.policies import mlp
from jaxmeta.types import Policy, PolicyOutput

TASKS = jm.tasks.from_gymnax(MatchProbe(), params={"bit": jm.tasks.choice([0, 1])})


def counting_policy():
    """Its memory counts steps, its logits and value show the count."""

    def apply(params, carry, timestep):
        logits = jnp.stack([carry, params + timestep.previous_reward])
        return PolicyOutput(Categorical(logits), carry), carry + 1.0

    return Policy(lambda key: jnp.zeros(()), lambda: jnp.zeros(()), apply)


def act(policy, params, task, key, length, **options):
    state = rollouts.start(key, TASKS.environment, policy, task)
    return rollouts.rollout(
        key, TASKS.environment, policy, params, task, state, length=length, **options
    )


def test_a_rollout_records_what_happened(key):
    policy = mlp(TASKS.environment)
    params, task = policy.init(key), TASKS.sample(key)
    batch, _ = act(policy, params, task, key, 13)
    # Episodes of five steps: what is first, what was seen before, what was reached.
    np.testing.assert_array_equal(np.flatnonzero(batch.timestep.is_first), [0, 5, 10])
    np.testing.assert_array_equal(np.flatnonzero(batch.truncated), [4, 9])
    seen = batch.timestep
    assert seen.previous_reward[0] == 0
    assert seen.previous_action[0] == -1
    np.testing.assert_array_equal(seen.previous_reward[1:], batch.reward[:-1])
    np.testing.assert_array_equal(seen.previous_action[1:], batch.action[:-1])
    goes_on = ~np.asarray(seen.is_first[1:])
    np.testing.assert_array_equal(
        seen.observation[1:][goes_on], batch.next_observation[:-1][goes_on]
    )
    # The reward is that of this observation, this action and this task.
    right = (np.asarray(seen.observation[:, 0]) > 0.5) ^ bool(task.params.bit)
    np.testing.assert_array_equal(batch.reward, batch.action == right)


def test_the_recorded_distribution_is_that_of_the_policy(key):
    policy = mlp(TASKS.environment, critic=True)
    params, task = policy.init(key), TASKS.sample(key)
    batch, _ = act(policy, params, task, key, 13)
    output, next_values = rollouts.unroll(policy, params, batch)
    np.testing.assert_allclose(
        output.distribution.logits, batch.distribution.logits, atol=1e-6
    )
    goes_on = ~np.asarray(batch.timestep.is_first[1:])
    np.testing.assert_allclose(
        next_values[:-1][goes_on], output.value[1:][goes_on], atol=1e-6
    )


def test_memory_runs_through_a_rollout_and_its_replay(key):
    policy = counting_policy()
    batch, state = act(policy, 0.5, TASKS.sample(key), key, 12)
    np.testing.assert_array_equal(batch.distribution.logits[:, 0], np.arange(12.0))
    np.testing.assert_array_equal(state.carry, 12.0)
    output, next_values = rollouts.unroll(policy, 0.5, batch)
    np.testing.assert_array_equal(output.distribution.logits, batch.distribution.logits)
    np.testing.assert_array_equal(next_values, np.arange(1.0, 13.0))


def test_two_halves_equal_one_whole(key):
    policy = counting_policy()
    task, environment = TASKS.sample(key), TASKS.environment
    start = rollouts.start(key, environment, policy, task)
    keys = jax.random.split(key)

    def go_on(key, state):
        return rollouts.rollout(key, environment, policy, 0.0, task, state, length=7)

    first, middle = go_on(keys[0], start)
    second, _ = go_on(keys[1], middle)
    np.testing.assert_array_equal(second.timestep.previous_action[0], first.action[-1])
    np.testing.assert_array_equal(np.flatnonzero(second.timestep.is_first), [3])
    np.testing.assert_array_equal(second.distribution.logits[0, 0], 7.0)


def test_mode_acts_greedily(key):
    policy = mlp(TASKS.environment)
    params = policy.init(key)
    batch, _ = act(policy, params, TASKS.sample(key), key, 50, mode=True)
    np.testing.assert_array_equal(batch.action, batch.distribution.logits.argmax(-1))
    sampled, _ = act(policy, params, TASKS.sample(key), key, 50)
    assert np.any(sampled.action != sampled.distribution.logits.argmax(-1))


def test_episodes_are_independent(key):
    policy = mlp(TASKS.environment)
    batch = rollouts.episodes(
        key,
        TASKS.environment,
        policy,
        policy.init(key),
        TASKS.sample(key),
        num_episodes=200,
        length=5,
    )
    assert batch.reward.shape == (200, 5)
    flat = np.asarray(batch.action)
    assert len(np.unique(flat, axis=0)) > 20
    np.testing.assert_allclose(flat.mean(0), 0.5, atol=0.2)


@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1"])
def test_dtypes_do_not_change_along_a_rollout(name, key):
    tasks = jm.tasks.from_gymnax(name)
    policy = mlp(tasks.environment, hidden=(4,))
    task = tasks.sample(key)
    state = rollouts.start(key, tasks.environment, policy, task)
    _, after = rollouts.rollout(
        key, tasks.environment, policy, policy.init(key), task, state, length=2
    )

    def types(tree):
        return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype, leaf.weak_type), tree)

    assert types(after) == types(state)
