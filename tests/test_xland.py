"""Tasks of XLand-MiniGrid, against the package's own steps."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmeta as jm
from jaxmeta.environments.locomotion import MissingExtraError
from jaxmeta.tasks import from_xland

XLAND, EMPTY = "XLand-MiniGrid-R1-9x9", "MiniGrid-Empty-5x5"
FORWARD, CLOCKWISE = 0, 1


@pytest.fixture(scope="module")
def xminigrid():
    return pytest.importorskip("xminigrid")


@pytest.fixture(scope="module")
def rulesets(xminigrid):
    """Three: be near a ball, hold a key, hold the square that a ball turns into."""
    from xminigrid.core import goals, rules
    from xminigrid.types import RuleSet

    ball, key, square = jnp.asarray([[3, 1], [7, 2], [4, 3]], jnp.uint8)
    none = rules.EmptyRule().encode()
    turns = rules.AgentNearRule(tile=ball, prod_tile=square).encode()
    return RuleSet(
        goal=jnp.stack(
            [
                goals.AgentNearGoal(tile=ball).encode(),
                goals.AgentHoldGoal(tile=key).encode(),
                goals.AgentHoldGoal(tile=square).encode(),
            ]
        ),
        rules=jnp.stack([none, none, turns])[:, None],
        init_tiles=jnp.stack([jnp.stack([tile] * 6) for tile in (ball, key, ball)]),
    )


@pytest.fixture
def benchmark(rulesets):
    from xminigrid.benchmarks import Benchmark

    return Benchmark(
        rulesets.goal, rulesets.rules, rulesets.init_tiles, jnp.asarray([0, 0, 1])
    )


def play(tasks, key, *, num_tasks=6, length=60):
    """Random play: tasks, then ``[M, T]`` states before, actions, keys and results."""

    def one(key):
        key_task, key_reset, key_actions, key_steps = jax.random.split(key, 4)
        task = tasks.sample(key_task)
        state, _ = tasks.environment.reset(key_reset, task)
        actions = jax.random.randint(key_actions, (length,), 0, 6)

        def step(state, inputs):
            action, key = inputs
            result = tasks.environment.step(key, state, action, task)
            return result.state, (state, action, key, result)

        inputs = (actions, jax.random.split(key_steps, length))
        return task, jax.lax.scan(step, state, inputs)[1]

    return jax.jit(jax.vmap(one))(jax.random.split(key, num_tasks))


@pytest.fixture(scope="module")
def played(rulesets):
    """Play of XLand that the limit ends and that goals end."""
    tasks = from_xland(XLAND, rulesets=rulesets, horizon=12)
    return tasks, *play(tasks, jax.random.key(0))


def ids(observation):
    """The package's ``[..., V, V, 2]`` and the direction, from what we show."""
    parts = np.split(np.asarray(observation), [13, 25], axis=-1)
    for part in parts:
        np.testing.assert_array_equal(part.sum(-1), 1)
        assert set(np.unique(part)) <= {0.0, 1.0}
    tile, colour, direction = (part.argmax(-1) for part in parts)
    assert np.all(direction == direction[..., :1, :1])
    return np.stack([tile, colour], axis=-1), direction[..., 0, 0]


def test_every_step_is_that_of_the_package(xminigrid, played):
    tasks, task, (state, action, keys, result) = played
    env, params = xminigrid.make(XLAND, max_steps=12)
    own = jax.jit(jax.vmap(jax.vmap(lambda s, a: env.step(params, s, a))))(
        state, action
    )
    cells, direction = ids(result.next_observation)
    np.testing.assert_array_equal(cells, own.observation)
    np.testing.assert_array_equal(direction, own.state.agent.direction)
    np.testing.assert_array_equal(result.reward, own.reward)
    np.testing.assert_array_equal(result.terminated, own.last() & (own.discount == 0))
    np.testing.assert_array_equal(result.truncated, own.last() & (own.discount == 1))
    assert result.terminated.sum() > 3
    assert result.truncated.sum() > 3
    np.testing.assert_array_equal(result.reward > 0, result.terminated)

    def restart(ruleset, key):
        return env.reset(params.replace(ruleset=ruleset), key)

    over_steps = jax.vmap(restart, in_axes=(None, 0))
    fresh = jax.jit(jax.vmap(over_steps))(task.ruleset, keys)
    done = np.asarray(own.last())[..., None, None, None]
    cells, _ = ids(result.observation)
    np.testing.assert_array_equal(
        cells, np.where(done, fresh.observation, own.observation)
    )
    grid = np.where(done, fresh.state.grid, own.state.grid)
    np.testing.assert_array_equal(result.state.state.grid, grid)
    assert tasks.environment.horizon == 12
    assert tasks.environment.observation == jax.ShapeDtypeStruct(
        result.observation.shape[2:], jnp.float32
    )


def starts(result):
    """The grids of all episodes but the first, a list of ``[N, H, W, 2]`` per task."""
    done = np.asarray(result.terminated | result.truncated)
    return [
        g[d] for g, d in zip(np.asarray(result.state.state.grid), done, strict=True)
    ]


def test_a_ruleset_lasts_through_episodes_of_other_layouts(played):
    _, task, (_, _, _, result) = played
    state, length = result.state.state, result.reward.shape[1]
    for encoding, own in [
        (state.goal_encoding, task.ruleset.goal),
        (state.rule_encoding, task.ruleset.rules),
    ]:
        np.testing.assert_array_equal(encoding, np.repeat(own[:, None], length, axis=1))
    for grids in starts(result):
        assert len(grids) >= 5
        assert len(np.unique(grids, axis=0)) == len(grids)


def test_a_fixed_layout_belongs_to_a_task(rulesets, key):
    tasks = from_xland(XLAND, rulesets=rulesets, fixed_layout=True)
    sample, reset = jax.jit(tasks.sample), jax.jit(tasks.environment.reset)
    one, other = (sample(k) for k in jax.random.split(key))
    grids = [
        reset(k, task)[0].state.grid
        for task in (one, other)
        for k in jax.random.split(key)
    ]
    np.testing.assert_array_equal(grids[0], grids[1])
    np.testing.assert_array_equal(grids[2], grids[3])
    assert not np.array_equal(grids[0], grids[2])
    np.testing.assert_array_equal(one.start.state.goal_encoding, one.ruleset.goal)


def test_a_layout_is_a_task_where_there_are_no_rulesets(xminigrid, key):
    tasks = from_xland("MiniGrid-DoorKey-5x5", horizon=1)
    halves = jm.tasks.finite(key, tasks, num_train=1, num_test=1)
    step = jax.jit(tasks.environment.step)
    grids = []
    for task in (half.sample(key) for half in halves):
        state, first = tasks.environment.reset(key, task)
        for k in jax.random.split(key, 3):
            result = step(k, state, jnp.int32(CLOCKWISE), task)
            assert result.truncated
            np.testing.assert_array_equal(result.observation, first)
            np.testing.assert_array_equal(result.state.state.grid, state.state.grid)
        grids.append(np.asarray(state.state.grid))
    assert not np.array_equal(*grids)


def test_the_shortest_way_has_the_reward_it_should(xminigrid, key):
    way = jnp.asarray([FORWARD, FORWARD, CLOCKWISE, FORWARD, FORWARD])

    @jax.jit
    def walk(key):
        task = tasks.sample(key)
        state, first = tasks.environment.reset(key, task)

        def step(state, action):
            result = tasks.environment.step(key, state, action, task)
            return result.state, result._replace(state=())

        return first, jax.lax.scan(step, state, way)[1]

    tasks = from_xland(EMPTY)
    assert tasks.environment.horizon == 4 * 5 * 5
    first, result = walk(key)
    np.testing.assert_allclose(result.reward, [0, 0, 0, 0, 1 - 0.9 * 5 / 100])
    np.testing.assert_array_equal(result.terminated, [0, 0, 0, 0, 1])
    np.testing.assert_array_equal(result.observation[-1], first)
    cells, direction = ids(result.next_observation)
    np.testing.assert_array_equal(direction, [1, 1, 2, 2, 2])  # right, then down
    np.testing.assert_array_equal(cells[-1, -1, 3], [6, 2])  # on the green goal


def test_rulesets_are_drawn_with_equal_probability(benchmark, rulesets, key):
    def drawn(given):
        sample = from_xland(XLAND, rulesets=given).sample
        ruleset = jax.jit(jax.vmap(sample))(jax.random.split(key, 3000)).ruleset
        for leaf in jax.tree.leaves(ruleset):
            assert leaf.dtype == jnp.uint8
        return ruleset

    found = drawn(rulesets)
    goals, counts = np.unique(found.goal, axis=0, return_counts=True)
    np.testing.assert_array_equal(goals, np.unique(rulesets.goal, axis=0))
    np.testing.assert_allclose(counts / 3000, 1 / 3, atol=0.035)  # four deviations
    jax.tree.map(np.testing.assert_array_equal, drawn(benchmark), found)
    train, test = benchmark.split(2 / 3)
    held_out = jax.tree.map(lambda leaf: leaf[2], rulesets)
    np.testing.assert_array_equal(
        np.unique(drawn(train).goal, axis=0), np.unique(rulesets.goal[:2], axis=0)
    )
    for given in (test, held_out):
        assert np.all(drawn(given).init_tiles == held_out.init_tiles[None])


def test_rl2_learns_from_it_and_compiles_once(rulesets, key):
    tasks = from_xland(XLAND, rulesets=rulesets, horizon=5)
    policy = jm.policies.recurrent(tasks.environment, core=jm.policies.gru(4))
    learner = jm.rl2(
        tasks,
        policy,
        outer_optimizer=optax.adam(1e-3),
        num_tasks=2,
        num_episodes=2,
        num_epochs=1,
        num_minibatches=1,
    )
    update = jax.jit(learner.update)
    state = first = jax.jit(learner.init)(key)
    for _ in range(2):
        state, info = update(key, state)
    assert update._cache_size() == 1
    assert info["returns"].shape == (2,)
    moved = jax.tree.map(
        lambda a, b: not np.array_equal(a, b), first.meta_params, state.meta_params
    )
    assert any(jax.tree.leaves(moved))


def test_what_cannot_be_played_is_refused(benchmark, rulesets):
    with pytest.raises(ValueError, match=r"env_id must be one of .*mean 'MiniGrid-Em"):
        from_xland("MiniGrid-Empty-5x")
    with pytest.raises(ValueError, match=r"rulesets: those of XLand-.* are missing"):
        from_xland(XLAND)
    with pytest.raises(ValueError, match="rulesets: MiniGrid-Empty-5x5 has none"):
        from_xland(EMPTY, rulesets=rulesets)
    with pytest.raises(TypeError, match="rulesets must be a Benchmark or a RuleSet"):
        from_xland(XLAND, rulesets="small-1m")
    with pytest.raises(ValueError, match="rulesets: there are none; a split may have"):
        from_xland(XLAND, rulesets=benchmark.split(1.0)[1])
    with pytest.raises(ValueError, match=r"goal must be integers \[3, 5\], got .*3, 4"):
        from_xland(XLAND, rulesets=rulesets.replace(goal=rulesets.goal[:, :4]))
    with pytest.raises(ValueError, match=r"rules must be integers \[3, R, 7\], got"):
        from_xland(XLAND, rulesets=rulesets.replace(rules=rulesets.rules[0]))
    with pytest.raises(ValueError, match=r"init_tiles must be integers .* float32"):
        from_xland(XLAND, rulesets=rulesets.replace(init_tiles=jnp.zeros((3, 6, 2))))
    with pytest.raises(ValueError, match="horizon must be at least 1, got 0"):
        from_xland(EMPTY, horizon=0)
    with pytest.raises(TypeError, match="fixed_layout must be True or False, got 1"):
        from_xland(EMPTY, fixed_layout=1)


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "xminigrid", None)
    with pytest.raises(MissingExtraError, match=r"pip install \"jaxmeta\[xland\]\""):
        from_xland(EMPTY)
