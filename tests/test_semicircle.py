"""The point robot and its half circle: rewards by hand, the tasks, the optimum."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from playing import chi_square, play, with_params

import jaxmeta as jm
from jaxmeta import references
from jaxmeta.environments import Semicircle


def optimum(angles, *, sparse, radius=0.2, horizon=20):
    """The best returns, in closed form.

    Both coordinates can near the goal by 0.1 a step, whatever the other does, so going
    there as fast as possible is best at every step at once.
    """
    goals = np.abs(np.stack([np.cos(angles), np.sin(angles)], axis=-1))
    steps = np.arange(1, horizon + 1)[:, None, None]
    distance = np.linalg.norm(np.maximum(goals - 0.1 * steps, 0), axis=-1)
    paid = np.where(distance <= radius, 1 - distance, 0) if sparse else -distance
    return paid.sum(0)


@functools.cache
def player(sparse):
    """``(goal, actions [20, 2]) -> rewards [20]``."""
    tasks = jm.tasks.semicircle(sparse=sparse)
    task = tasks.sample(jax.random.key(0))

    @jax.jit
    def run(goal, actions):
        known = with_params(task, goal=goal)
        return play(tasks, known, actions, jax.random.key(1))[1].reward

    return run


def on_circle(angle):
    return jnp.stack([jnp.cos(angle), jnp.sin(angle)])


def straight(goal):
    """The actions ``[20, 2]`` that reduce both offsets as fast as possible."""
    left = jnp.abs(goal)[None] - 0.1 * jnp.arange(20.0)[:, None]
    return jnp.sign(goal)[None] * jnp.clip(left / 0.1, 0, 1)


def test_moves_are_scaled_and_clipped_and_pay_the_distance(key):
    tasks = jm.tasks.semicircle()
    task = with_params(tasks.sample(key), goal=[0.6, 0.8])
    actions = [[1.0, 0.5], [5.0, -3.0], [-0.3, 0.0], [0.0, 1.0]]
    observation, result = play(tasks, task, actions, key)
    positions = np.array([[0.1, 0.05], [0.2, -0.05], [0.17, -0.05], [0.17, 0.05]])
    np.testing.assert_array_equal(observation, [0.0, 0.0])
    np.testing.assert_allclose(result.next_observation, positions, atol=1e-6)
    distance = np.linalg.norm(positions - [0.6, 0.8], axis=1)
    np.testing.assert_allclose(result.reward, -distance, rtol=1e-5)
    assert not np.any(result.terminated)


def test_sparse_rewards_are_paid_within_the_radius(key):
    tasks = jm.tasks.semicircle(sparse=True, radius=0.25)
    task = with_params(tasks.sample(key), goal=[0.0, 1.0])
    _, result = play(tasks, task, [[0.0, 0.95]] * 11, key)
    expected = [0, 0, 0, 0, 0, 0, 0, 0.76, 0.855, 0.95, 0.955]
    np.testing.assert_allclose(result.reward, expected, atol=1e-5)
    narrow = with_params(task, radius=0.04)
    _, result = play(tasks, narrow, [[0.0, 0.95]] * 11, key)
    np.testing.assert_array_equal(result.reward, np.zeros(11))


@pytest.mark.parametrize("sparse", [False, True])
def test_episodes_are_cut_at_20_and_start_at_the_origin(sparse, key):
    tasks = jm.tasks.semicircle(sparse=sparse)
    task = with_params(tasks.sample(key), goal=[0.0, 1.0])
    _, result = play(tasks, task, [[0.0, 1.0]] * 41, key)
    np.testing.assert_array_equal(np.flatnonzero(result.truncated), [19, 39])
    np.testing.assert_array_equal(result.observation[19], [0.0, 0.0])
    np.testing.assert_allclose(result.next_observation[19], [0.0, 2.0], atol=1e-5)
    np.testing.assert_allclose(result.next_observation[20], [0.0, 0.1], atol=1e-6)
    assert not np.any(result.terminated)  # the goal was passed, at step 10


def test_goals_are_uniform_on_the_upper_half_of_the_unit_circle(key):
    tasks = jm.tasks.semicircle()
    params = jax.jit(jax.vmap(tasks.sample))(jax.random.split(key, 10_000)).params
    assert params.goal.dtype == params.radius.dtype == jnp.float32
    np.testing.assert_allclose(np.linalg.norm(params.goal, axis=1), 1.0, rtol=1e-5)
    assert params.goal[:, 1].min() >= 0
    angles = np.arctan2(params.goal[:, 1], params.goal[:, 0])
    counts = np.histogram(angles, bins=20, range=(0, np.pi))[0]
    assert counts.sum() == 10_000
    assert chi_square(counts) < 2


@pytest.mark.parametrize(("sparse", "mean"), [(False, -3.841), (True, 13.382)])
def test_the_oracle_has_the_known_return(sparse, mean):
    angles = (np.arange(1000) + 0.5) * np.pi / 1000
    run = player(sparse)

    def oracle(angle):
        goal = on_circle(angle)
        return run(goal, straight(goal)).sum()

    found = jax.vmap(oracle)(jnp.asarray(angles, jnp.float32))
    expected = optimum(angles, sparse=sparse)
    # Rounding may put a step on the other side of the radius, for few of the goals.
    assert np.mean(np.abs(found - expected) > 1e-3) < 0.005 * sparse + 1e-9
    np.testing.assert_allclose(found.mean(), expected.mean(), atol=5e-3)
    known = references.semicircle_oracle(sparse=sparse)
    np.testing.assert_allclose(found.mean(), known, atol=5e-3)
    assert known == pytest.approx(mean, abs=5e-4)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(
    "rules", [{}, {"radius": 0.05}, {"radius": 0.35, "horizon": 9}]
)
def test_the_mean_over_goals_is_exact(sparse, rules):
    fine = (np.arange(100_000) + 0.5) * np.pi / 100_000
    expected = optimum(fine, sparse=sparse, **rules).mean()
    found = references.semicircle_oracle(sparse=sparse, **rules)
    assert found == pytest.approx(expected, abs=5e-5 * sparse + 1e-9)


action = st.tuples(*[st.floats(-2, 2, width=32)] * 2)


@settings(max_examples=40, deadline=None)
@given(
    st.booleans(),
    st.floats(0, np.pi),
    st.lists(action, min_size=20, max_size=20),
)
def test_no_actions_beat_the_oracle(sparse, angle, actions):
    rewards = player(sparse)(on_circle(angle), jnp.array(actions, jnp.float32))
    # A radius that is hardly larger forgives the rounding of positions.
    best = optimum(np.array(angle), sparse=sparse, radius=0.2001)
    assert rewards.sum() <= best + 1e-3


def test_the_default_goal_is_straight_up():
    np.testing.assert_array_equal(Semicircle().default_params.goal, [0.0, 1.0])
