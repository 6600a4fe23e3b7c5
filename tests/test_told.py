import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmeta as jm

GRID = jm.tasks.gridnavi()


def goal(task):
    return task.params.goal


def test_every_observation_is_followed_by_the_description(key):
    """Also the one before an auto-reset, and the one after it."""
    tasks = jm.tasks.told(GRID, goal)
    plain, environment = GRID.environment, tasks.environment
    task = tasks.sample(key)
    assert environment.observation.shape == (4,)
    state, observation = environment.reset(key, task)
    same, expected = plain.reset(key, task)
    for _ in range(plain.horizon + 2):
        np.testing.assert_array_equal(observation[:2], expected)
        np.testing.assert_array_equal(observation[2:], task.params.goal)
        found = environment.step(key, state, jnp.int32(1), task)
        result = plain.step(key, same, jnp.int32(1), task)
        np.testing.assert_array_equal(
            found.next_observation[:2], result.next_observation
        )
        np.testing.assert_array_equal(found.next_observation[2:], task.params.goal)
        np.testing.assert_array_equal(found.reward, result.reward)
        np.testing.assert_array_equal(found.truncated, result.truncated)
        state, observation = found.state, found.observation
        same, expected = result.state, result.observation


@pytest.mark.slow
def test_an_oracle_beats_what_is_possible_without_the_task(key):
    """A bandit of two arms, one of which pays: 5 of 5 when told, 2.5 when not."""

    def one_pays(key):
        return jax.nn.one_hot(jax.random.bernoulli(key).astype(int), 2)

    tasks = jm.tasks.from_gymnax(
        jm.environments.BernoulliBandit(2),
        params={"probabilities": one_pays},
        horizon=5,
    )
    told = jm.tasks.told(tasks, lambda task: task.params.probabilities)
    for distribution, low, high in ((told, 4.9, 5.0), (tasks, 2.2, 2.8)):
        policy = jm.policies.mlp(distribution.environment, hidden=(8,), critic=True)
        learner = jm.multitask(
            distribution, policy, outer_optimizer=optax.adam(2e-2), num_tasks=64
        )
        train = jax.jit(lambda s, learner=learner: jm.train(key, learner, s, 40)[0])
        state = train(learner.init(key))
        curve = jm.adaptation_curve(
            key, learner, state.meta_params, distribution, num_tasks=1000
        )
        assert curve.shape == (1000, 1)
        assert low < curve.mean() <= high


def test_bad_arguments():
    with pytest.raises(ValueError, match="is a Dataset, not an environment"):
        jm.tasks.told(jm.tasks.sinusoids(), lambda task: task.phase)
    with pytest.raises(TypeError, match="encode must be a function of a task, got 3"):
        jm.tasks.told(GRID, 3)
    with pytest.raises(TypeError, match="encode must return one array"):
        jm.tasks.told(GRID, lambda task: task.params)
