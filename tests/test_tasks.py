import dataclasses

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmeta as jm
from jaxmeta.environments import MatchProbe
from jaxmeta.tasks import choice, from_gymnax, log_uniform, normal, uniform

LONG_TO_COMPILE = {"Asterix-MinAtar", "Freeway-MinAtar"}
IDS = [name for name in gymnax.registered_envs if name != "MNISTBandit-bsuite"]
BOOLEAN = jnp.dtype(bool)


def perturbed_params(name):
    """A sampler, 10% around the default, for every float parameter."""
    defaults = gymnax.make(name)[1]
    samplers = {}
    for field in dataclasses.fields(defaults):
        value = np.asarray(getattr(defaults, field.name))
        if value.dtype.kind != "f" or not field.metadata.get("pytree_node", True):
            continue
        if field.name in ("total_mass", "polemass_length", "max_steps_in_episode"):
            continue
        ends = np.sort(np.stack([0.9 * value, 1.1 * value]), axis=0)
        if np.all(value != 0):
            samplers[field.name] = uniform(*ends, value.shape)
    return samplers


def random_actions(space, key, count):
    return jax.vmap(space.sample)(jax.random.split(key, count))


def play(environment, task, key, length):
    """Transitions of a random policy."""
    key_reset, key_actions, key_steps = jax.random.split(key, 3)
    state, observation = environment.reset(key_reset, task)
    actions = random_actions(environment.action, key_actions, length)

    def step(state, inputs):
        action, key = inputs
        result = environment.step(key, state, action, task)
        return result.state, result

    inputs = (actions, jax.random.split(key_steps, length))
    return observation, jax.lax.scan(step, state, inputs)[1]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in LONG_TO_COMPILE else name
        for name in IDS
    ],
)
def test_every_gymnax_environment_runs_for_vmapped_tasks(name, key):
    tasks = from_gymnax(name, params=perturbed_params(name))

    @jax.jit
    def run(key):
        key_task, key_play = jax.random.split(key)
        return play(tasks.environment, tasks.sample(key_task), key_play, 50)

    with jax.numpy_rank_promotion("allow"):  # gymnax's Swimmer relies on it
        first, results = jax.vmap(run)(jax.random.split(key, 3))
    shape = tasks.environment.observation.shape
    assert first.shape == (3, *shape)
    assert results.observation.shape == (3, 50, *shape)
    for leaf in (first, *results[1:4]):
        assert leaf.dtype == jnp.float32
        assert np.all(np.isfinite(leaf))
    assert results.terminated.dtype == results.truncated.dtype == BOOLEAN
    assert not np.any(results.terminated & results.truncated)


def test_samplers_have_their_ranges_and_moments(key):
    keys = jax.random.split(key, 20_000)
    drawn = jax.vmap(uniform(-2.0, 4.0))(keys)
    assert drawn.min() >= -2
    assert drawn.max() < 4
    np.testing.assert_allclose(drawn.mean(), 1.0, atol=0.06)
    drawn = jnp.log(jax.vmap(log_uniform(0.01, 100.0))(keys))
    assert np.exp(drawn.min()) >= 0.00999
    assert np.exp(drawn.max()) <= 100.01
    np.testing.assert_allclose(drawn.mean(), 0.0, atol=0.1)
    np.testing.assert_allclose(drawn.std(), np.log(1e4) / 12**0.5, rtol=0.03)
    drawn = jax.vmap(normal(3.0, 0.5, (2,)))(keys)
    np.testing.assert_allclose(drawn.mean(0), 3.0, atol=0.02)
    np.testing.assert_allclose(drawn.std(0), 0.5, rtol=0.03)
    drawn = jax.vmap(choice([[1, 2], [3, 4], [5, 6]]))(keys)
    rows, counts = np.unique(drawn, axis=0, return_counts=True)
    np.testing.assert_array_equal(rows, [[1, 2], [3, 4], [5, 6]])
    np.testing.assert_allclose(counts / 20_000, 1 / 3, atol=0.02)


def test_the_shape_of_a_sampler_is_that_of_its_arguments(key):
    assert uniform([0.0, 1.0], [1.0, 5.0])(key).shape == (2,)
    assert normal(jnp.zeros(3), 1.0)(key).shape == (3,)
    assert log_uniform(1, [2, 3], (4, 2))(key).shape == (4, 2)


def test_words_are_no_values():
    with pytest.raises(TypeError, match="low must be a number or an array"):
        uniform("a", "b")
    with pytest.raises(TypeError, match=r"params\['gravity'\] must be a sampler or a"):
        from_gymnax("CartPole-v1", params={"gravity": "strong"})
    with pytest.raises(ValueError, match="action_scale must be positive, got 0"):
        jm.tasks.navigation2d(action_scale=0)


def test_params_are_drawn_per_task_and_constants_are_not(key):
    tasks = from_gymnax(
        "CartPole-v1", params={"gravity": uniform(5, 15), "force_mag": -3.0}
    )
    drawn = jax.vmap(tasks.sample)(jax.random.split(key, 100)).params
    assert len(np.unique(drawn.gravity)) == 100
    np.testing.assert_array_equal(drawn.force_mag, np.full(100, -3.0))
    np.testing.assert_allclose(drawn.length, 0.5)


def test_two_params_of_the_same_range_are_independent(key):
    tasks = from_gymnax(
        "CartPole-v1", params={"gravity": uniform(0, 1), "length": uniform(0, 1)}
    )
    drawn = jax.vmap(tasks.sample)(jax.random.split(key, 5_000)).params
    assert abs(np.corrcoef(drawn.gravity, drawn.length)[0, 1]) < 5 / 5_000**0.5


def test_derived_cart_pole_params_follow_the_sampled_ones(key):
    params = {"masscart": uniform(0.5, 2), "masspole": 0.3, "length": uniform(0.3, 1)}
    drawn = from_gymnax("CartPole-v1", params=params).sample(key).params
    np.testing.assert_allclose(drawn.total_mass, drawn.masscart + 0.3, rtol=1e-6)
    np.testing.assert_allclose(drawn.polemass_length, 0.3 * drawn.length, rtol=1e-6)


def test_derive_replaces_the_default_rule(key):
    tasks = from_gymnax(
        "Pendulum-v1",
        params={"m": uniform(0.5, 2)},
        derive=lambda params: params.replace(l=2 * params.m),
    )
    drawn = tasks.sample(key).params
    np.testing.assert_allclose(drawn.l, 2 * drawn.m)


def test_horizon_cuts_episodes(key):
    tasks = from_gymnax("Pendulum-v1", horizon=6)
    assert tasks.environment.horizon == 6
    _, results = play(tasks.environment, tasks.sample(key), key, 20)
    np.testing.assert_array_equal(np.flatnonzero(results.truncated), [5, 11, 17])
    # The observation after a cut is that of a fresh episode; what was reached is kept.
    changed = np.any(results.observation != results.next_observation, axis=-1)
    np.testing.assert_array_equal(np.flatnonzero(changed), [5, 11, 17])


@pytest.mark.parametrize("name", ["BernoulliBandit-misc", "PointRobot-misc"])
def test_state_fields_of_the_task_survive_every_reset(name, key):
    """Left alone, these environments draw another task at every reset."""
    field, sampler = {
        "BernoulliBandit-misc": ("reward_probs", uniform(0, 1, (2,))),
        "PointRobot-misc": ("goal", uniform(-1, 1, (2,))),
    }[name]

    def values(tasks):
        task = tasks.sample(key)
        _, results = play(tasks.environment, task, key, 100)
        assert np.sum(results.terminated | results.truncated) > 2
        return np.unique(getattr(results.state, field), axis=0), task

    fixed, task = values(from_gymnax(name, state={field: sampler}, horizon=7))
    np.testing.assert_array_equal(fixed, task.state[field][None])
    assert len(values(from_gymnax(name, horizon=7))[0]) > 1


def test_int_rewards_are_cast(key):
    tasks = from_gymnax("Breakout-MinAtar")
    _, results = play(tasks.environment, tasks.sample(key), key, 5)
    assert results.reward.dtype == jnp.float32
    assert results.observation.dtype == jnp.float32


def test_an_instance_is_as_good_as_an_id(key):
    tasks = from_gymnax(MatchProbe(), params={"bit": choice([0, 1])}, horizon=9)
    assert tasks.environment.horizon == 9
    assert tasks.environment.name == "MatchProbe"
    drawn = jax.vmap(tasks.sample)(jax.random.split(key, 50)).params.bit
    assert set(np.asarray(drawn).tolist()) == {0, 1}
    assert drawn.dtype == jnp.int32


def test_finite_splits_are_disjoint_and_drawn_equally(key):
    tasks = jm.tasks.navigation2d()
    train, test = jm.tasks.finite(key, tasks, num_train=4, num_test=6)

    def goals(tasks):
        drawn = jax.vmap(tasks.sample)(jax.random.split(key, 4_000))
        return np.unique(drawn.params.goal, axis=0, return_counts=True)

    (train_goals, counts), (test_goals, _) = goals(train), goals(test)
    assert train_goals.shape == (4, 2)
    assert test_goals.shape == (6, 2)
    assert not set(map(tuple, train_goals)) & set(map(tuple, test_goals))
    np.testing.assert_allclose(counts / 4_000, 0.25, atol=0.05)
    assert train.environment is tasks.environment


def test_finite_refuses_a_test_task_that_was_trained_on(key):
    tasks = from_gymnax(MatchProbe(), params={"bit": choice([0, 1])})
    with pytest.raises(ValueError, match="too few distinct tasks"):
        jm.tasks.finite(key, tasks, num_train=5, num_test=5)


NAVIGATION = jm.environments.Navigation2D()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"env": "CartPole-v2"}, ValueError, r"'CartPole-v2'.*Did you mean 'CartPole"),
        ({"env": 3}, TypeError, "env must be a gymnax id or .* got 3"),
        ({"env": MatchProbe}, TypeError, "env must be a gymnax id or"),
        (
            {"env": "CartPole-v1", "params": {"gravty": 1.0}},
            ValueError,
            r"params\['gravty'\].*Did you mean 'gravity'.*It has: .*force_mag",
        ),
        (
            {"env": "CartPole-v1", "state": {"y": 1.0}},
            ValueError,
            r"state\['y'\].*It has: .*theta_dot",
        ),
        (
            {"env": "CartPole-v1", "params": {"gravity": uniform(0, 1, (2,))}},
            ValueError,
            r"params\['gravity'\]: the sampler draws shape \(2,\), the field has \(\)",
        ),
        (
            {"env": NAVIGATION, "params": {"goal": [1.0, 2.0, 3.0]}},
            ValueError,
            r"params\['goal'\].*shape \(3,\)",
        ),
        (
            {"env": MatchProbe(), "params": {"bit": uniform(0, 1)}},
            TypeError,
            r"params\['bit'\]: the sampler draws float32, the field holds int32",
        ),
        (
            {"env": "CartPole-v1", "params": {"max_steps_in_episode": 5}},
            ValueError,
            "give the time limit as horizon",
        ),
        (
            {"env": "CartPole-v1", "params": {"total_mass": 5.0}},
            ValueError,
            r"params\['total_mass'\].*masscart",
        ),
        ({"env": "CartPole-v1", "horizon": 0}, ValueError, "horizon must be at least"),
        ({"env": "CartPole-v1", "horizon": 2.5}, TypeError, "horizon must be an int"),
        ({"env": NAVIGATION, "size": 3}, TypeError, r"\['size'\].*constructor"),
    ],
)
def test_bad_input_is_named(arguments, error, message):
    with pytest.raises(error, match=message):
        from_gymnax(**arguments)


@pytest.mark.parametrize(
    ("sampler", "arguments", "message"),
    [
        (uniform, (1, 1), "low < high, got low=1, high=1"),
        (log_uniform, (0, 1), "0 < low < high, got low=0"),
        (normal, (0, 0), "std > 0, got 0"),
        (choice, ([],), "non-empty"),
        (choice, (3,), "non-empty"),
        (
            uniform,
            (0, [1, 1], (3,)),
            r"shape \(3,\) does not fit low of shape \(\), high",
        ),
        (normal, ([0, 0], [1, 1, 1]), r"does not fit mean of shape \(2,\), std"),
    ],
)
def test_bad_samplers_are_named(sampler, arguments, message):
    with pytest.raises(ValueError, match=message):
        sampler(*arguments)


def test_untyped_keys_are_refused(key):
    tasks = jm.tasks.navigation2d()
    with pytest.raises(TypeError, match=r"jax\.random\.key"):
        jm.tasks.finite(jax.random.key_data(key), tasks, num_train=1, num_test=1)
