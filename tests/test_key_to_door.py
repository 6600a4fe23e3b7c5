"""Dark Key-to-Door: the order of key and door, and episodes that end at the door."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
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
    walk,
    with_params,
)

import jaxmeta as jm
from jaxmeta import references
from jaxmeta.environments import DarkKeyToDoor
from jaxmeta.environments.dark_key_to_door import KeyToDoorState


def test_the_door_opens_with_the_key_only_and_ends_the_episode(key):
    tasks = jm.tasks.dark_key_to_door(size=5, random_start=False)
    task = with_params(tasks.sample(key), key_cell=[3, 2], door_cell=[2, 3])
    actions = [UP, DOWN, RIGHT, STAY, UP, LEFT, UP, RIGHT, DOWN]
    observation, result = play(tasks, task, actions, key)
    np.testing.assert_array_equal(observation, [0.0, 0.0])
    rewards = [0, 0, 1, 0, 0, 1, 0, 0, 1]  # the key is lost with the episode
    np.testing.assert_array_equal(result.reward, rewards)
    np.testing.assert_array_equal(np.flatnonzero(result.terminated), [5])
    assert not np.any(result.truncated)
    cells = [[2, 3], [2, 2], [3, 2], [3, 2], [3, 3], [2, 3], [2, 3], [3, 3], [3, 2]]
    np.testing.assert_array_equal(result.next_observation, np.array(cells) / 2 - 1)
    np.testing.assert_array_equal(result.observation[5], [0.0, 0.0])


def test_key_and_door_in_one_cell_take_two_steps(key):
    tasks = jm.tasks.dark_key_to_door(size=3, random_start=False)
    task = with_params(tasks.sample(key), key_cell=[1, 1], door_cell=[1, 1])
    _, result = play(tasks, task, [STAY] * 4, key)
    np.testing.assert_array_equal(result.reward, np.ones(4))
    np.testing.assert_array_equal(result.terminated, [False, True] * 2)


def test_key_to_door_episodes_are_cut_at_50(key):
    tasks = jm.tasks.dark_key_to_door()
    task = with_params(tasks.sample(key), key_cell=[0, 0], door_cell=[8, 8])
    _, result = play(tasks, task, [UP] * 110, key)
    np.testing.assert_array_equal(np.flatnonzero(result.truncated), [49, 99])
    assert not np.any(result.terminated)


def test_keys_and_doors_are_uniform_and_independent(key):
    tasks = jm.tasks.dark_key_to_door(size=3)
    drawn = jax.jit(jax.vmap(tasks.sample))(jax.random.split(key, 16_200)).params
    assert drawn.key_cell.dtype == drawn.door_cell.dtype == jnp.int32
    places = np.concatenate([drawn.key_cell, drawn.door_cell], axis=1)
    counts = np.bincount(places @ [27, 9, 3, 1], minlength=81)
    assert len(counts) == 81
    assert 0.5 < chi_square(counts) < 1.6


def test_starts_are_drawn_anew_for_every_episode_or_in_the_middle(key):
    tasks = jm.tasks.dark_key_to_door(size=3, horizon=1)
    task = with_params(tasks.sample(key), key_cell=[0, 0], door_cell=[0, 0])
    _, result = play(tasks, task, [STAY] * 4_500, key)
    assert np.all(result.truncated)
    cells = np.asarray(result.observation + 1).astype(int)
    counts = np.bincount(cells @ [3, 1], minlength=9)
    assert len(counts) == 9
    assert chi_square(counts) < 2.5
    fixed = DarkKeyToDoor(random_start=False)
    starts = jax.vmap(fixed.reset)(jax.random.split(key, 20))[0]
    np.testing.assert_array_equal(starts, np.zeros((20, 2)))


def test_two_is_the_optimum_from_everywhere():
    """Of a small room, by enumeration of tasks, cells and key."""
    size, environment = 4, DarkKeyToDoor(4)
    cells = jnp.asarray(all_cells(size), jnp.int32)
    states = KeyToDoorState(
        cell=jnp.tile(cells, (2, 1)),
        has_key=jnp.repeat(jnp.array([False, True]), size**2),
        time=jnp.zeros(2 * size**2, jnp.int32),
    )

    def index(state):
        return state.has_key * size**2 + state.cell[0] * size + state.cell[1]

    def best(key_cell, door_cell, horizon):
        params = environment.default_params
        params = params.replace(key_cell=key_cell, door_cell=door_cell)
        return optimal_returns(environment, states, params, index, horizon)

    keys, doors = jnp.repeat(cells, size**2, 0), jnp.tile(cells, (size**2, 1))

    def returns(horizon):
        found = jax.vmap(lambda k, d: best(k, d, horizon))(keys, doors)
        return np.asarray(found).reshape(size**2, size**2, 2, size**2)

    np.testing.assert_array_equal(returns(12)[:, :, 0], 2)
    np.testing.assert_array_equal(returns(12)[:, :, 1], 1)
    distance = np.abs(cells[:, None] - cells[None]).sum(-1)
    steps = np.maximum(distance, 1)  # entered by a step, even where one is already
    for horizon in (1, 3, 4):
        first = steps.T[:, None] <= horizon  # key, door, start
        both = steps.T[:, None] + steps[:, :, None] <= horizon
        expected = first.astype(int) + both
        found = returns(horizon)[:, :, 0]
        np.testing.assert_array_equal(found, expected)
        oracle = partial(references.key_to_door_oracle, size=size, horizon=horizon)
        assert oracle() == pytest.approx(found.mean())
        middle = size // 2 * (size + 1)
        assert oracle(random_start=False) == pytest.approx(found[:, :, middle].mean())
    assert references.key_to_door_oracle() == pytest.approx(2.0)


def test_whoever_knows_the_task_opens_the_door_of_the_default_room(key):
    tasks = jm.tasks.dark_key_to_door(random_start=False)
    task = tasks.sample(key)
    generator = np.random.default_rng(0)
    places = generator.integers(0, 9, (300, 2, 2))

    @jax.jit
    def run(places, actions):
        known = with_params(task, key_cell=places[0], door_cell=places[1])
        return play(tasks, known, actions, key)[1]

    walks, lengths = [], []
    for key_cell, door_cell in places:
        there = walk((4, 4), key_cell) or [STAY]
        on = walk(key_cell, door_cell) or [STAY]
        lengths.append(len(there) + len(on))
        walks.append((there + on + [STAY] * 50)[:50])
    result = jax.vmap(run)(jnp.asarray(places), jnp.asarray(walks))
    first = np.asarray(result.terminated).argmax(1)
    np.testing.assert_array_equal(first + 1, lengths)
    for rewards, length in zip(result.reward, lengths, strict=True):
        assert rewards[:length].sum() == 2
