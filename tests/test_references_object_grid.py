"""Exact values of grids with objects: by hand, by enumeration, and played."""

import itertools
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_object_grid import MOVES, world

import jaxmeta as jm
from jaxmeta.references import object_grid_action_values, object_grid_value


def enumerated(params, horizon, num_actions, discount):
    """The best expected return, over every outcome of every action, state by state."""
    walls = np.asarray(params.walls)
    height, width = walls.shape
    objects = list(
        zip(
            *(
                np.asarray(leaf, np.float64).tolist()
                for leaf in (
                    params.object_cells,
                    params.rewards,
                    params.termination,
                    params.respawn,
                )
            ),
            strict=True,
        )
    )

    def outcome(cell, action):
        row, column = np.array(divmod(cell, width)) + MOVES[action % 9]
        is_free = 0 <= row < height and 0 <= column < width and not walls[row, column]
        reached = int(row * width + column) if is_free else cell
        if num_actions < 18:
            return reached, reached
        if action < 9:
            return reached, None
        return cell, reached if is_free else None

    @cache
    def value(time, cell, present):
        return max(of_action(time, cell, present, a) for a in range(num_actions))

    def of_action(time, cell, present, action):
        if time == horizon:
            return 0.0
        cell, touched = outcome(cell, action)
        total, goes_on, chances = 0.0, 1.0, []
        for there, (place, reward, ends, back) in zip(present, objects, strict=True):
            if there and place == touched:
                total += reward
                goes_on *= 1.0 - ends
                chances.append([(0, 1.0)])
            elif there or place < 0:
                chances.append([(there, 1.0)])
            else:
                chances.append([(0, 1.0 - back), (1, back)])
        for combination in itertools.product(*chances):
            after, probabilities = zip(*combination, strict=True)
            chance = goes_on * discount * np.prod(probabilities)
            total += chance * value(time + 1, cell, after)
        return total

    whole = tuple(int(place >= 0) for place, *_ in objects)
    starts = np.flatnonzero(params.starts)
    return np.mean([value(0, int(cell), whole) for cell in starts])


@pytest.mark.parametrize(
    ("discount", "num_actions"),
    [
        (1.0, 9),
        (0.7, 18),
        *(
            pytest.param(*row, marks=pytest.mark.slow)
            for row in [(1.0, 5), (1.0, 18), (0.7, 5), (0.7, 9)]
        ),
    ],
)
def test_values_are_those_of_enumeration(num_actions, discount, key):
    tasks = jm.tasks.random_grids(
        sizes=(2, 3),
        num_walls=2,
        termination=(0.05, 0.9),
        respawn=(0.05, 0.9),
        num_actions=num_actions,
        random_start=True,
        horizon=6,
    )
    drawn = jax.vmap(tasks.sample)(jax.random.split(key, 12)).params

    def value(params):
        return object_grid_value(tasks.environment, params, discount=discount)

    found = jax.jit(jax.vmap(value))(drawn)
    for index in range(12):
        params = jax.tree.map(lambda leaf, index=index: np.asarray(leaf[index]), drawn)
        expected = enumerated(params, 6, num_actions, discount)
        np.testing.assert_allclose(found[index], expected, rtol=2e-5, atol=1e-6)
        np.testing.assert_allclose(value(params), found[index], rtol=1e-5, atol=1e-6)


def test_an_object_that_surely_comes_back_pays_every_other_step(key):
    for horizon in (1, 2, 9):
        tasks = world([".."], {1: 2.0}, respawn=1.0, horizon=horizon)
        value = object_grid_value(tasks.environment, tasks.sample(key).params)
        assert value == 2.0 * ((horizon + 1) // 2)
    tasks = world([".."], {1: 2.0}, respawn=1.0, termination=0.25, horizon=9)
    params = tasks.sample(key).params
    value = object_grid_value(tasks.environment, params, discount=0.9)
    expected = 2.0 * np.sum((0.75 * 0.81) ** np.arange(5))
    np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_losses_are_avoided_unless_they_are_in_the_way(key):
    """A corridor with a loss before a gain: worth passing if the gain is larger."""
    for loss, expected in ((-0.4, 0.6), (-1.5, 0.0)):
        tasks = world(["...."], {2: loss, 3: 1.0}, horizon=3)
        value = object_grid_value(tasks.environment, tasks.sample(key).params)
        np.testing.assert_allclose(value, expected, rtol=1e-6)
        around = world(["....", "...."], {2: loss, 3: 1.0}, horizon=3)
        value = object_grid_value(around.environment, around.sample(key).params)
        np.testing.assert_allclose(value, 1.0, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tasks", "num_episodes"),
    [
        (jm.tasks.grid_world("dense", horizon=40), 1000),
        (jm.tasks.grid_world("longer-small", horizon=40, num_actions=5), 1000),
        (jm.tasks.random_grids(respawn=(0.05, 0.5), num_actions=18), 2000),
    ],
    ids=["dense", "longer-small", "random"],
)
def test_acting_by_the_action_values_earns_the_value(tasks, num_episodes, key):
    environment = tasks.environment
    key_task, key = jax.random.split(key)
    params = tasks.sample(key_task).params
    task = tasks.sample(key_task)
    value = object_grid_value(environment, params)
    table = object_grid_action_values(environment, params)
    size = environment.observation.shape[0]
    assert table.shape == (environment.horizon, size, environment.action.n)
    whole = int(
        np.sum(2 ** np.arange(len(params.object_cells)) * (params.object_cells >= 0))
    )
    at_start = table[0].max(-1).reshape(-1, params.walls.size)[whole]
    best = np.mean(np.asarray(at_start)[np.asarray(params.starts).reshape(-1)])
    np.testing.assert_allclose(value, best, rtol=1e-5)
    best_actions = jnp.argmax(table, axis=-1)

    @jax.jit
    @jax.vmap
    def episode_return(key):
        key_reset, key_steps = jax.random.split(key)
        state, observation = environment.reset(key_reset, task)

        def step(carry, inputs):
            state, observation, is_alive = carry
            actions, key = inputs
            action = actions[jnp.argmax(observation)]
            result = environment.step(key, state, action, task)
            reward = jnp.where(is_alive, result.reward, 0.0)
            is_alive &= ~result.terminated
            return (result.state, result.observation, is_alive), reward

        keys = jax.random.split(key_steps, environment.horizon)
        start = (state, observation, jnp.array(True))
        return jax.lax.scan(step, start, (best_actions, keys))[1].sum()

    returns = episode_return(jax.random.split(key, num_episodes))
    error = returns.std() / num_episodes**0.5
    assert error > 0
    assert abs(returns.mean() - value) < 4 * error


def test_more_steps_and_more_actions_are_worth_more(key):
    def values(**arguments):
        tasks = jm.tasks.grid_world("sparse", random_start=False, **arguments)
        drawn = jax.vmap(tasks.sample)(jax.random.split(key, 50)).params
        found = jax.vmap(lambda p: object_grid_value(tasks.environment, p))(drawn)
        return np.asarray(found)

    short, long = values(horizon=5), values(horizon=10)
    straight = values(horizon=5, num_actions=5)
    assert np.all(short <= long)
    assert np.all(straight <= short)
    assert set(np.unique(long)) == {0.0, 1.0}
    assert straight.sum() < short.sum() < long.sum()
    np.testing.assert_array_equal(values(), 1.0)  # nothing is 50 steps away


def test_bad_arguments_are_named(key):
    tasks = jm.tasks.grid_world("sparse")
    params = tasks.sample(key).params
    with pytest.raises(TypeError, match=r"task\.params, got Task"):
        object_grid_value(tasks.environment, tasks.sample(key))
    with pytest.raises(ValueError, match=r"discount must lie in \[0, 1\], got 1\.1"):
        object_grid_value(tasks.environment, params, discount=1.1)
    with pytest.raises(ValueError, match=r"of an ObjectGrid, .*, got 'GridNavi'"):
        object_grid_action_values(jm.tasks.gridnavi().environment, params)
    with pytest.raises(ValueError, match=r"676 states do not fit .*, which has 1936"):
        object_grid_value(jm.tasks.grid_world("long").environment, params)
    stacked = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), params)
    with pytest.raises(ValueError, match=r"jax\.vmap"):
        object_grid_value(tasks.environment, stacked)
