"""Grid worlds by name and random levels: every draw is a level that can be played."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from playing import chi_square, play

import jaxmeta as jm
from jaxmeta.tasks import grid_world, random_grids

GOOD, BAD = [1, 0, 0.05], [-1, 0.5, 1]
WORLDS = {
    "dense": ((11, 11), [GOOD, GOOD, [-1, 0.5, 0.1], [-1, 0, 0.5]], 500, 0),
    "sparse": ((13, 13), [[1, 1, 0], [-1, 1, 0]], 50, 0),
    "long": ((11, 11), [[1, 0, 0.01]] * 2 + [BAD] * 2, 1000, 0),
    "longer": ((7, 9), [[1, 0.1, 0.01]] * 2 + [[-1, 0.8, 1]] * 5, 2000, 7),
    "longer-small": ((9, 9), [[1, 0.1, 0.01]] * 2 + [[-1, 0.8, 1]] * 3, 2000, 7),
    "long-dense": ((11, 11), [[1, 0, 0.005]] * 4, 2000, 17),
}


def drawn_from(tasks, key, count=1000):
    return jax.jit(jax.vmap(tasks.sample))(jax.random.split(key, count)).params


def check_levels(params):
    """Starts and objects are free, distinct, and there is at least one start."""
    count = len(params.walls)
    walls, starts = (
        np.asarray(leaf).reshape(count, -1) for leaf in (params.walls, params.starts)
    )
    assert np.all(starts.any(1))
    assert not np.any(starts & walls)
    for cells, wall, start in zip(
        np.asarray(params.object_cells), walls, starts, strict=True
    ):
        cells = cells[cells >= 0]
        assert len(cells) >= 1
        assert len(set(cells.tolist())) == len(cells)
        assert not np.any(wall[cells] | start[cells])


@pytest.mark.parametrize("name", WORLDS)
def test_worlds_are_those_of_their_table(name, key):
    shape, objects, horizon, walls = WORLDS[name]
    tasks = grid_world(name)
    params = drawn_from(tasks, key)
    table = np.stack([params.rewards, params.termination, params.respawn], -1)
    np.testing.assert_array_equal(table, np.float32([objects] * 1000))
    assert params.walls.shape == (1000, *shape)
    np.testing.assert_array_equal(params.walls.sum((1, 2)), walls)
    free = shape[0] * shape[1] - walls
    np.testing.assert_array_equal(params.starts.sum((1, 2)), free - len(objects))
    assert tasks.environment.horizon == horizon
    assert tasks.environment.action.n == 9
    size = shape[0] * shape[1] * 2 ** len(objects)
    assert tasks.environment.observation.shape == (size,)
    check_levels(params)
    np.testing.assert_array_equal(params.max_steps_in_episode, horizon)


@pytest.mark.parametrize("name", ["longer", "longer-small", "long-dense"])
def test_the_rooms_of_a_world_are_connected(name, key):
    walls = np.asarray(grid_world(name).sample(key).params.walls)
    reached = np.zeros_like(walls)
    reached[0, 0] = True
    for _ in range(walls.size):
        spread = np.pad(reached, 1)
        spread = (
            spread[2:, 1:-1] | spread[:-2, 1:-1] | spread[1:-1, 2:] | spread[1:-1, :-2]
        )
        reached |= spread & ~walls
    np.testing.assert_array_equal(reached, ~walls)


def test_objects_are_anywhere_alike(key):
    params = drawn_from(grid_world("sparse"), key, 169 * 100)
    for column in np.asarray(params.object_cells).T:
        assert 0.6 < chi_square(np.bincount(column, minlength=169)) < 1.5


def test_a_start_can_be_that_of_the_task(key):
    params = drawn_from(grid_world("long", random_start=False), key, 121 * 100)
    check_levels(params)
    starts = np.asarray(params.starts).reshape(-1, 121)
    np.testing.assert_array_equal(starts.sum(1), 1)
    assert 0.6 < chi_square(starts.sum(0)) < 1.5


def test_a_rollout_keeps_its_task_over_all_its_episodes(key):
    tasks = grid_world("sparse", horizon=20)
    task = tasks.sample(key)
    actions = jax.random.randint(key, (400,), 0, 9)
    _, result = play(tasks, task, actions, key)
    assert np.sum(result.truncated) + np.sum(result.terminated) >= 20
    cells = result.next_observation.argmax(1) % 169
    expected = np.zeros(400)
    for reward, cell in zip(task.params.rewards, task.params.object_cells, strict=True):
        expected += np.where(cells == cell, reward, 0)  # each ends an episode
    np.testing.assert_array_equal(result.reward, expected)
    np.testing.assert_array_equal(result.terminated, expected != 0)


@pytest.mark.parametrize(
    ("sizes", "num_objects", "num_walls"),
    [
        ((4, 6), (1, 3), 7),
        ((8, 10), (2, 5), 15),
        ((2, 3), (3, 3), 9),
    ],
)
@pytest.mark.parametrize("random_start", [False, True])
def test_every_random_level_is_valid(sizes, num_objects, num_walls, random_start, key):
    tasks = random_grids(
        sizes=sizes,
        num_objects=num_objects,
        num_walls=num_walls,
        random_start=random_start,
    )
    params = drawn_from(tasks, key, 3000)
    check_levels(params)
    counts = np.sum(params.object_cells >= 0, axis=1)
    assert set(counts.tolist()) == set(range(num_objects[0], num_objects[1] + 1))
    starts = params.starts.sum((1, 2))
    free = np.sum(~params.walls, axis=(1, 2))
    if random_start:
        # Places are kept free for as many objects as a level may have.
        assert np.all(starts == free - num_objects[1])
    else:
        np.testing.assert_array_equal(starts, 1)


def test_random_levels_follow_their_distributions(key):
    params = drawn_from(random_grids(), key, 9000)
    exists = np.asarray(params.object_cells) >= 0
    assert 0.01 < chi_square(np.bincount(exists.sum(1) - 1, minlength=3)) < 7
    for leaf in (params.rewards, params.termination, params.respawn):
        assert not np.any(np.asarray(leaf)[~exists])
    first = np.asarray(params.rewards)[:, 0]
    others = np.asarray(params.rewards)[:, 1:][exists[:, 1:]]
    assert first.min() >= 0
    assert abs(first.mean() - 0.5) < 5 * first.std() / len(first) ** 0.5
    assert abs(others.mean()) < 5 * others.std() / len(others) ** 0.5
    assert others.std() == pytest.approx(3**-0.5, rel=0.03)
    for leaf, low in ((params.termination, -2.0), (params.respawn, -3.0)):
        exponent = np.log10(np.asarray(leaf)[exists])
        assert low - 1e-5 < exponent.min() < exponent.max() < low + 2 + 1e-5
        error = exponent.std() / exists.sum() ** 0.5
        assert abs(exponent.mean() - low - 1) < 5 * error
    # A level of 4, 5 or 6 cells per side; 7 walls on the 36 cells of the largest.
    free = ~np.asarray(params.walls)
    last = np.maximum.outer(np.arange(6), np.arange(6))
    side = 1 + np.max(np.where(free, last, 0), axis=(1, 2))
    assert 0.01 < chi_square(np.bincount(side - 4, minlength=3)) < 7
    walls = side**2 - free.sum((1, 2))
    assert walls.max() == 7
    assert np.all(walls[side == 6] == 7)
    assert np.mean(walls) == pytest.approx(7 * np.mean(side**2) / 36, rel=0.02)


def test_levels_of_all_sizes_run_as_one_program(key):
    tasks = random_grids(sizes=(3, 5), horizon=10)

    @jax.jit
    @jax.vmap
    def run(key):
        key_task, key_play, key_actions = jax.random.split(key, 3)
        actions = jax.random.randint(key_actions, (40,), 0, 5)
        return play(tasks, tasks.sample(key_task), actions, key_play)

    first, results = run(jax.random.split(key, 64))
    for leaf in (first, results.observation, results.next_observation):
        assert leaf.dtype == jnp.float32
        np.testing.assert_array_equal(leaf.sum(-1), 1.0)
    assert results.reward.dtype == jnp.float32
    assert np.all((results.terminated | results.truncated).sum(1) >= 4)


@pytest.mark.parametrize(
    ("make", "arguments", "error", "message"),
    [
        (grid_world, {"name": "dens"}, ValueError, "name must be one of .*'dense'"),
        (
            grid_world,
            {"name": "long", "num_actions": 8},
            ValueError,
            "num_actions must",
        ),
        (grid_world, {"name": "long", "horizon": 0}, ValueError, "horizon must be at"),
        (random_grids, {"sizes": 5}, TypeError, "sizes must be a sequence"),
        (random_grids, {"sizes": (5, 4)}, ValueError, "sizes must be two integers in"),
        (random_grids, {"sizes": (2, 4, 6)}, ValueError, "sizes must be two integers"),
        (random_grids, {"sizes": (1, 4)}, ValueError, "sizes must start with a level"),
        (random_grids, {"num_objects": (0, 2)}, ValueError, "num_objects must be at"),
        (random_grids, {"num_walls": -1}, ValueError, "num_walls must be at least 0"),
        (random_grids, {"termination": 0.5}, TypeError, "termination must be two prob"),
        (random_grids, {"termination": (0, 1)}, ValueError, "termination must be pos"),
        (random_grids, {"respawn": (0.5, 2)}, ValueError, "respawn must be two .*<= 1"),
        (random_grids, {"horizon": 2.5}, TypeError, "horizon must be an integer"),
    ],
)
def test_bad_arguments_are_named(make, arguments, error, message):
    with pytest.raises(error, match=message):
        make(**arguments)


def test_a_tabular_agent_is_linear_in_what_it_sees(key):
    """The weights of the one place that is 1 are the logits of a state."""
    environment = random_grids(sizes=(2, 3), num_walls=1).environment
    assert environment.observation.shape == (72,)
    policy = jm.policies.mlp(environment, hidden=())
    shapes = {leaf.shape for leaf in jax.tree.leaves(policy.init(key))}
    assert shapes == {(72, 5), (5,)}
