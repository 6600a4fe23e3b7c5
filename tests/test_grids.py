"""GridNavi and DarkRoom: rewards by hand, and optima by enumeration."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from playing import (
    DOWN,
    LEFT,
    RIGHT,
    STAY,
    UP,
    all_cells,
    chi_square,
    optimal_returns,
    play,
    steps_table,
    walk,
    with_params,
)

import jaxmeta as jm
from jaxmeta.environments import DarkRoom, GridNavi
from jaxmeta.environments.grids import GridState

MOVES = np.array([[0, 0], [0, 1], [1, 0], [0, -1], [-1, 0]])


def in_rows(size):
    """The states of a grid, and the function that gives their places."""
    cells = jnp.asarray(all_cells(size), jnp.int32)
    states = GridState(cell=cells, time=jnp.zeros(size**2, jnp.int32))
    return states, lambda state: state.cell[0] * size + state.cell[1]


def oracle(environment, size, goals, horizon):
    """The best return from the corner for each goal, knowing it."""
    states, index = in_rows(size)

    def best(goal):
        params = environment.default_params.replace(goal=goal)
        return optimal_returns(environment, states, params, index, horizon)[0]

    return np.asarray(jax.jit(jax.vmap(best))(jnp.asarray(goals)))


def test_gridnavi_pays_on_the_goal_and_charges_elsewhere(key):
    tasks = jm.tasks.gridnavi()
    task = with_params(tasks.sample(key), goal=[2, 1])
    actions = [RIGHT, UP, RIGHT, STAY, LEFT, DOWN, DOWN, LEFT, LEFT, UP]
    observation, result = play(tasks, task, actions, key)
    cells = [[1, 0], [1, 1], [2, 1], [2, 1], [1, 1], [1, 0], [1, 0], [0, 0], [0, 0]]
    np.testing.assert_array_equal(observation, [-1.0, -1.0])
    np.testing.assert_array_equal(
        result.next_observation, np.array([*cells, [0, 1]]) / 2 - 1
    )
    rewards = [-0.1, -0.1, 1.0, 1.0, *[-0.1] * 6]
    np.testing.assert_array_equal(result.reward, np.float32(rewards))
    assert not np.any(result.terminated)


def test_gridnavi_episodes_are_cut_at_15_and_start_in_the_corner(key):
    tasks = jm.tasks.gridnavi()
    assert tasks.environment.horizon == 15
    task = with_params(tasks.sample(key), goal=[4, 4])
    actions = [*([UP, RIGHT] * 8)[:15], UP, *[STAY] * 19]
    _, result = play(tasks, task, actions, key)
    np.testing.assert_array_equal(np.flatnonzero(result.truncated), [14, 29])
    np.testing.assert_array_equal(result.next_observation[14], [1.0, 1.0])
    np.testing.assert_array_equal(result.observation[14], [-1.0, -1.0])
    np.testing.assert_array_equal(result.observation[15], [-1.0, -0.5])
    assert result.reward[7:15].sum() == 8  # the goal does not end an episode


@pytest.mark.parametrize("size", [3, 5, 7])
def test_gridnavi_goals_are_uniform_outside_the_start(size, key):
    tasks = jm.tasks.gridnavi(size=size)
    count = 500 * (size**2 - 4)
    goals = jax.jit(jax.vmap(tasks.sample))(jax.random.split(key, count)).params.goal
    assert goals.dtype == jnp.int32
    counts = np.bincount(goals[:, 0] * size + goals[:, 1], minlength=size**2)
    table = counts.reshape(size, size)
    assert not table[:2, :2].any()
    assert chi_square(counts[counts > 0]) < 2
    assert (counts > 0).sum() == size**2 - 4 == len(GridNavi(size).goals)


def test_gridnavi_oracle_returns_11_07(key):
    """A goal at distance d pays on the steps from d to 15, and costs d - 1 before."""
    goals = GridNavi().goals
    distances = goals.sum(1)
    found = oracle(GridNavi(), 5, goals, 15)
    np.testing.assert_allclose(found, (16 - distances) - 0.1 * (distances - 1), 1e-6)
    np.testing.assert_allclose(found.mean(), 11.0714, atol=5e-5)
    tasks = jm.tasks.gridnavi()

    @jax.jit
    def walked(goal, actions):
        return play(tasks, with_params(task, goal=goal), actions, key)[1].reward.sum()

    task = tasks.sample(key)
    actions = [(walk((0, 0), goal) + [STAY] * 15)[:15] for goal in goals]
    returns = jax.vmap(walked)(jnp.asarray(goals), jnp.asarray(actions))
    np.testing.assert_allclose(returns, found, rtol=1e-5)


def test_dark_room_pays_every_step_that_ends_on_the_goal(key):
    tasks = jm.tasks.dark_room(size=3, horizon=7)
    task = with_params(tasks.sample(key), goal=[0, 1])
    actions = [STAY, UP, STAY, LEFT, UP, DOWN, DOWN, RIGHT]
    observation, result = play(tasks, task, actions, key)
    np.testing.assert_array_equal(observation, [-1.0, -1.0])
    np.testing.assert_array_equal(result.reward, [0, 1, 1, 1, 0, 1, 0, 0])
    cells = [[0, 0], [0, 1], [0, 1], [0, 1], [0, 2], [0, 1], [0, 0], [1, 0]]
    np.testing.assert_array_equal(result.next_observation, np.array(cells) - 1)
    np.testing.assert_array_equal(np.flatnonzero(result.truncated), [6])
    assert not np.any(result.terminated)


def test_dark_room_goals_are_uniform_on_all_cells(key):
    tasks = jm.tasks.dark_room()
    assert tasks.environment.horizon == 100
    goals = jax.jit(jax.vmap(tasks.sample))(jax.random.split(key, 20_000)).params.goal
    counts = np.bincount(goals[:, 0] * 10 + goals[:, 1], minlength=100)
    assert len(counts) == 100
    assert 0.6 < chi_square(counts) < 1.6


def test_dark_room_oracle_returns_91_99():
    """A goal at distance d > 0 pays 101 - d; the start pays 100."""
    goals = all_cells(10)
    found = oracle(DarkRoom(), 10, goals, 100)
    np.testing.assert_array_equal(found, 101 - np.maximum(goals.sum(1), 1))
    np.testing.assert_allclose(found.mean(), 91.99, rtol=1e-6)


def most_by_search(size, horizon):
    """The best mean return of one episode whose goal is not known, by enumeration.

    Until the goal is found, all rewards are zero, so a policy is one path; a cell that
    it first ends a step on at step t pays ``horizon + 1 - t`` if it is the goal.
    """
    states, index = in_rows(size)
    environment = DarkRoom(size)
    params = environment.default_params
    table = steps_table(environment, states, params, index)[0]
    following = np.asarray(table).tolist()

    @functools.cache
    def best(cell, seen, left):
        if left == 0:
            return 0
        return max(
            (0 if seen >> there & 1 else left)
            + best(there, seen | 1 << there, left - 1)
            for there in set(following[cell])
        )

    return best(0, 0, horizon) / size**2


@pytest.mark.parametrize(("size", "horizon"), [(2, 4), (3, 9), (3, 12), (3, 5)])
def test_no_search_of_a_dark_room_beats_a_new_cell_at_every_step(size, horizon):
    gains = horizon + 1 - np.arange(1, min(horizon, size**2) + 1)
    assert most_by_search(size, horizon) == gains.sum() / size**2


def test_dark_room_search_returns_50_50(key):
    """A new cell at every step, which no search beats: the start, then a snake."""
    tasks = jm.tasks.dark_room()
    up, down = [UP] * 9 + [RIGHT], [DOWN] * 9 + [RIGHT]
    snake = jnp.asarray([STAY, *(up + down) * 5][:100])
    task = tasks.sample(key)

    def search(goal):
        known = with_params(task, goal=goal)
        state, _ = tasks.environment.reset(key, known)

        def step(carry, snake_action):
            state, found = carry
            action = jnp.where(found, STAY, snake_action)
            result = tasks.environment.step(key, state, action, known)
            return (result.state, found | (result.reward > 0)), result.reward

        return jax.lax.scan(step, (state, jnp.array(False)), snake)[1].sum()

    returns = jax.jit(jax.vmap(search))(jnp.asarray(all_cells(10)))
    np.testing.assert_array_equal(np.sort(returns), np.arange(1, 101))
    assert returns.mean() == np.mean(101 - np.arange(1, 101)) == 50.5


@functools.cache
def player(name, size):
    tasks = getattr(jm.tasks, name)(size=size, horizon=30)
    task = tasks.sample(jax.random.key(0))

    @jax.jit
    def run(goal, actions):
        return play(tasks, with_params(task, goal=goal), actions, jax.random.key(1))[1]

    return run


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([("gridnavi", 4, -0.1), ("dark_room", 3, 0.0)]),
    st.lists(st.integers(0, 4), min_size=20, max_size=20),
    st.data(),
)
def test_walks_follow_the_rules(grid, actions, data):
    name, size, beside = grid
    goal = data.draw(st.tuples(*[st.integers(0, size - 1)] * 2))
    result = player(name, size)(jnp.asarray(goal), jnp.asarray(actions))
    cell, cells = np.zeros(2, int), []
    for action in actions:
        cell = np.clip(cell + MOVES[action], 0, size - 1)
        cells.append(cell)
    np.testing.assert_allclose(
        result.next_observation, 2 * np.array(cells) / (size - 1) - 1, atol=1e-6
    )
    on_goal = np.all(np.array(cells) == goal, axis=1)
    np.testing.assert_array_equal(
        result.reward, np.where(on_goal, 1.0, beside).astype(np.float32)
    )
