"""Tasks of hidden places: they run anywhere, and bad arguments are named."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from playing import play

import jaxmeta as jm
from jaxmeta import environments
from jaxmeta.tasks import dark_key_to_door, dark_room, gridnavi, semicircle

NAMED = {
    "GaussianBandit": lambda: jm.tasks.gaussian_bandit(3),
    "GridNavi": gridnavi,
    "DarkRoom": dark_room,
    "DarkKeyToDoor": dark_key_to_door,
    "Semicircle": semicircle,
}


@pytest.mark.parametrize("name", NAMED)
def test_named_tasks_run_vmapped_under_jit_in_float32(name, key):
    tasks = NAMED[name]()
    environment, length = tasks.environment, 120

    @jax.jit
    def run(key):
        key_task, key_play, key_actions = jax.random.split(key, 3)
        keys = jax.random.split(key_actions, length)
        actions = jax.vmap(environment.action.sample)(keys)
        return play(tasks, tasks.sample(key_task), actions, key_play)

    first, results = jax.vmap(run)(jax.random.split(key, 4))
    assert environment.name == name
    seen = jnp.concatenate([first[:, None], results.next_observation], axis=1)
    assert seen.shape == (4, length + 1, *environment.observation.shape)
    for leaf in (seen, results.observation, results.reward):
        assert leaf.dtype == jnp.float32
        assert np.all(np.isfinite(leaf))
    raw = getattr(environments, name)()
    space = raw.observation_space(raw.default_params)
    assert np.all(jax.vmap(jax.vmap(space.contains))(seen))
    ends = results.terminated | results.truncated
    assert np.all(ends.sum(1) >= length // environment.horizon)


@pytest.mark.parametrize("name", [*NAMED, "BernoulliBandit", "TabularMDP"])
def test_environments_run_on_their_own_with_their_default_task(name, key):
    environment = getattr(environments, name)()
    observation, state = environment.reset(key)
    action = environment.action_space().sample(key)
    assert environment.num_actions == getattr(environment.action_space(), "n", 2)
    stepped = environment.step(key, state, action)
    assert stepped[0].dtype == stepped[2].dtype == observation.dtype == jnp.float32
    assert stepped[2].shape == ()
    assert stepped[3].dtype == stepped[4].dtype == jnp.dtype(bool)
    if name in NAMED:
        limit = NAMED[name]().environment.horizon
        assert environment.default_params.max_steps_in_episode == limit


@pytest.mark.parametrize(
    ("make", "arguments", "error", "message"),
    [
        (gridnavi, {"size": 2}, ValueError, "size must be at least 3, got 2"),
        (gridnavi, {"size": 5.0}, TypeError, "size must be an integer, got 5.0"),
        (gridnavi, {"horizon": 1}, ValueError, "horizon must be at least 2, got 1"),
        (dark_room, {"size": 1}, ValueError, "size must be at least 2, got 1"),
        (dark_room, {"size": "10"}, TypeError, "size must be an integer, got '10'"),
        (dark_room, {"horizon": 0}, ValueError, "horizon must be at least 1, got 0"),
        (dark_key_to_door, {"size": 0}, ValueError, "size must be at least 2, got 0"),
        (dark_key_to_door, {"horizon": 2.5}, TypeError, "horizon must be an integer"),
        (semicircle, {"radius": 0}, ValueError, "radius must be positive and .* got 0"),
        (semicircle, {"radius": "a"}, TypeError, "radius must be a number, got 'a'"),
        (semicircle, {"horizon": -1}, ValueError, "horizon must be at least 1, got -1"),
    ],
)
def test_bad_arguments_are_named(make, arguments, error, message):
    with pytest.raises(error, match=message):
        make(**arguments)
