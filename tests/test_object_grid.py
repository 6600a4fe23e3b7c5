"""Grids with objects, step by step: moves, collecting, ends and what comes back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from playing import DOWN, LEFT, RIGHT, STAY, UP, play

import jaxmeta as jm
from jaxmeta.environments import ObjectGrid
from jaxmeta.environments.object_grid import reach

UP_RIGHT, DOWN_RIGHT, DOWN_LEFT, UP_LEFT = range(5, 9)
COLLECT = 9


def world(
    rows, objects, *, num_actions=9, termination=0.0, respawn=0.0, horizon=100, start=0
):
    """Tasks that are all one level: its walls are ``#``, objects ``{cell: reward}``."""
    walls = np.array([[cell == "#" for cell in row] for row in rows])
    environment = ObjectGrid(*walls.shape, len(objects), num_actions=num_actions)
    ones = np.ones(len(objects), np.float32)
    params = {
        "walls": walls,
        "starts": (np.arange(walls.size) == start).reshape(walls.shape),
        "object_cells": np.array(list(objects), np.int32),
        "rewards": np.array(list(objects.values()), np.float32),
        "termination": ones * np.asarray(termination, np.float32),
        "respawn": ones * np.asarray(respawn, np.float32),
    }
    return jm.tasks.from_gymnax(environment, params=params, horizon=horizon)


def walked(tasks, actions, key):
    """Cells, objects present (as bits), and the results, after each action."""
    task = tasks.sample(key)
    first, result = play(tasks, task, actions, key)
    seen = jnp.concatenate([first[None], result.next_observation])
    np.testing.assert_array_equal(seen.sum(1), 1.0)
    bits, cells = np.divmod(np.asarray(seen.argmax(1)), task.params.walls.size)
    return cells.tolist(), bits.tolist(), result


def test_an_object_is_collected_once_and_stays_away(key):
    tasks = world(["...."], {2: 0.5, 3: -2.0})
    cells, bits, result = walked(tasks, [RIGHT, RIGHT, STAY, RIGHT, LEFT, RIGHT], key)
    assert cells == [0, 1, 2, 2, 3, 2, 3]
    assert bits == [3, 3, 2, 2, 0, 0, 0]
    np.testing.assert_array_equal(result.reward, [0, 0.5, 0, -2, 0, 0])
    assert not np.any(result.terminated | result.truncated)
    assert tasks.environment.observation.shape == (16,)


def test_what_surely_comes_back_does_so_in_the_step_after(key):
    """It then lies under the agent, and is collected if the agent stays."""
    tasks = world(["..."], {1: 1.0}, respawn=1.0)
    cells, bits, result = walked(tasks, [RIGHT, STAY, STAY, RIGHT, LEFT, LEFT], key)
    assert cells == [0, 1, 1, 1, 2, 1, 0]
    assert bits == [1, 0, 1, 0, 1, 0, 1]
    np.testing.assert_array_equal(result.reward, [1, 0, 1, 0, 1, 0])


def test_the_chance_of_an_object_is_that_of_its_parameters(key):
    """Both are collected at once, come back or not, and end the episode or not."""
    tasks = world(["..#"], {0: 1.0, 1: 2.0}, respawn=[0.2, 0.7], termination=[0.3, 0])
    task = tasks.sample(key)

    @jax.jit
    @jax.vmap
    def episode(key):
        return play(tasks, task, [RIGHT, LEFT, LEFT], key)[1]

    result = episode(jax.random.split(key, 20_000))
    np.testing.assert_array_equal(result.reward[:, :2], [[2, 1]] * 20_000)
    ended = np.asarray(result.terminated[:, 1])
    assert abs(ended.mean() - 0.3) < 5 * (0.21 / 20_000) ** 0.5
    assert not np.any(result.terminated[:, 0])
    after = np.asarray(result.next_observation.argmax(-1)) // 3
    assert np.all(after[:, 0] == 1)
    # The second had one step to come back, then another; the first only the last one.
    assert abs((after[:, 1] == 2).mean() - 0.7) < 5 * (0.21 / 20_000) ** 0.5
    lasting = after[~ended, 2]
    count = len(lasting)
    assert abs((lasting >= 2).mean() - 0.91) < 5 * (0.0819 / count) ** 0.5
    assert abs((lasting % 2).mean() - 0.2) < 5 * (0.16 / count) ** 0.5


def test_an_end_starts_anew_in_the_same_task(key):
    tasks = world(["...", "..."], {1: 1.0, 5: -1.0}, termination=1.0, horizon=4)
    task = tasks.sample(key)
    actions = [RIGHT, STAY, DOWN, STAY, STAY, RIGHT, STAY]
    observation, result = play(tasks, task, actions, key)
    np.testing.assert_array_equal(result.reward, [1, 0, 0, 0, 0, 1, 0])
    np.testing.assert_array_equal(np.flatnonzero(result.terminated), [0, 5])
    np.testing.assert_array_equal(np.flatnonzero(result.truncated), [4])
    # What was reached is kept: cell 1, with the second object only.
    assert result.next_observation[0].argmax() == 1 + 6 * 2
    # Episodes start in the corner, with both.
    assert observation.argmax() == 6 * 3
    np.testing.assert_array_equal(result.observation[np.array([0, 4, 5])].argmax(1), 18)


@pytest.mark.parametrize("num_actions", [5, 9, 18])
def test_walls_and_edges_block(num_actions):
    """From the middle of 3 x 3 with walls above and to the left, and from a corner."""
    walls = jnp.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]], bool)
    middle = [4, 4, 5, 7, 4, 2, 8, 6, 0]
    corner = [8, 5, 8, 8, 7, 8, 8, 8, 4]
    for cell, expected in ((4, middle), (8, corner)):
        for action, cell_after in enumerate(expected[: min(num_actions, 9)]):
            reached, touched = reach(walls, jnp.int32(cell), action, num_actions)
            assert reached == cell_after
            assert touched == (cell_after if num_actions < 18 else 9)


def test_eighteen_actions_collect_from_where_the_agent_is_not(key):
    rows = ["..#", "..."]
    tasks = world(rows, {1: 1.0, 3: 2.0, 4: 4.0, 5: 8.0}, num_actions=18, start=3)
    actions = [
        RIGHT,  # onto an object, which stays
        COLLECT + STAY,
        COLLECT + UP,
        COLLECT + UP,
        COLLECT + UP_RIGHT,  # a wall
        COLLECT + LEFT,
        COLLECT + RIGHT,
        COLLECT + DOWN,  # the edge
        UP_LEFT,
        COLLECT + DOWN_RIGHT,
    ]
    cells, bits, result = walked(tasks, actions, key)
    np.testing.assert_array_equal(result.reward, [0, 4, 1, 0, 0, 2, 8, 0, 0, 0])
    assert cells == [3, *[4] * 8, 0, 0]
    assert bits == [15, 15, 11, 10, 10, 10, 8, 0, 0, 0, 0]


def test_objects_that_a_level_lacks_are_never_there(key):
    tasks = world(["..."], {1: 1.0, -1: 5.0}, termination=[0, 1], respawn=1.0)
    actions = [STAY, LEFT, UP, RIGHT, RIGHT, RIGHT, DOWN]
    _, bits, result = walked(tasks, actions, key)
    assert max(bits) == 1
    assert result.reward.sum() == 1
    assert not np.any(result.terminated)


def test_episodes_start_in_all_starts_alike(key):
    environment = ObjectGrid(2, 3, 1)
    starts = jnp.array([[True, False, True], [False, False, True]])
    params = environment.default_params.replace(starts=starts)
    reset = jax.jit(jax.vmap(environment.reset, (0, None)))
    observation, state = reset(jax.random.split(key, 6000), params)
    counts = np.bincount(state.cell, minlength=6)
    assert set(np.flatnonzero(counts)) == {0, 2, 5}
    assert np.abs(counts[counts > 0] - 2000).max() < 5 * (6000 * 2 / 9) ** 0.5
    np.testing.assert_array_equal(observation.argmax(1), state.cell + 6)


def test_it_runs_on_its_own_with_its_default_task(key):
    environment = ObjectGrid()
    observation, state = environment.reset(key)
    stepped = environment.step(key, state, environment.action_space().sample(key))
    assert stepped[0].dtype == stepped[2].dtype == observation.dtype == jnp.float32
    assert stepped[2].shape == ()
    assert stepped[3].dtype == stepped[4].dtype == jnp.dtype(bool)
    space = environment.observation_space(environment.default_params)
    assert space.contains(observation)
    assert space.shape == observation.shape == (100,)
    assert environment.num_actions == environment.action_space().n == 9
    assert environment.name == "ObjectGrid"
    assert observation.argmax() >= 75  # both objects


RANDOM = jm.tasks.random_grids(sizes=(3, 4), horizon=30, num_actions=9)
MOVES = [(0, 0), (-1, 0), (0, 1), (1, 0), (0, -1), (-1, 1), (1, 1), (1, -1), (-1, -1)]


@jax.jit
def _random_walk(seed, actions):
    key_task, key = jax.random.split(jax.random.key(seed))
    task = RANDOM.sample(key_task)
    first, result = play(RANDOM, task, actions, key)
    return task.params, first, result


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31 - 1), st.lists(st.integers(0, 8), min_size=25, max_size=25))
def test_walks_follow_the_rules(seed, actions):
    params, first, result = _random_walk(seed, jnp.asarray(actions))
    walls, objects = np.asarray(params.walls), np.asarray(params.object_cells)
    bits, cells = np.divmod(np.asarray(result.next_observation.argmax(1)), 16)
    before = np.concatenate([first[None], result.observation[:-1]]).argmax(1)
    for step, action in enumerate(actions):
        gone, cell = divmod(int(before[step]), 16)
        row, column = np.array(divmod(cell, 4)) + MOVES[action]
        if 0 <= row < 4 and 0 <= column < 4 and not walls[row, column]:
            cell = 4 * row + column
        assert cells[step] == cell
        present = (gone >> np.arange(3)) & 1
        collected = present * (objects == cell)
        reward = np.sum(collected * params.rewards)
        assert result.reward[step] == pytest.approx(reward)
        after = (bits[step] >> np.arange(3)) & 1
        assert np.all(after[collected > 0] == 0)
        assert np.all(after >= present - collected)
        assert np.all(after[objects < 0] == 0)
        assert collected.any() or not result.terminated[step]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"height": 0}, ValueError, "height must be at least 1, got 0"),
        ({"width": 2.0}, TypeError, "width must be an integer, got 2.0"),
        ({"num_objects": 0}, ValueError, "num_objects must be at least 1, got 0"),
        ({"num_objects": 25}, ValueError, "num_objects must be below .* = 25, .* 25"),
        ({"num_actions": 4}, ValueError, r"one of \(5, 9, 18\), got 4"),
        ({"num_actions": "9"}, TypeError, "num_actions must be an integer, got '9'"),
    ],
)
def test_bad_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        ObjectGrid(**arguments)
