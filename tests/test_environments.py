import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmeta as jm
from jaxmeta import recipes
from jaxmeta.environments import Navigation2D


def play(tasks, task, actions, key):
    """Rewards and terminations of a fixed sequence of actions."""
    state, _ = tasks.environment.reset(key, task)

    def step(state, inputs):
        action, key = inputs
        result = tasks.environment.step(key, state, action, task)
        return result.state, result

    keys = jax.random.split(key, len(actions))
    return jax.lax.scan(step, state, (actions, keys))[1]


def oracle_return(tasks, goal, task, key):
    """Of the policy that is told the goal and walks there as fast as it may."""
    scale = 10.0  # undoes action_scale
    state, observation = tasks.environment.reset(key, task)

    def step(carry, key):
        state, observation, alive = carry
        action = jnp.clip(goal - observation, -0.1, 0.1) * scale
        result = tasks.environment.step(key, state, action, task)
        reward = jnp.where(alive, result.reward, 0.0)
        alive = alive & ~result.terminated
        return (result.state, result.observation, alive), reward

    start = (state, observation, jnp.array(True))
    return jax.lax.scan(step, start, jax.random.split(key, 100))[1].sum()


def test_navigation_oracle_has_the_known_return(key):
    """The optimum of the recipe: -0.506, over uniform goals."""
    tasks = jm.tasks.navigation2d()

    def one(key):
        task = tasks.sample(key)
        return oracle_return(tasks, task.params.goal, task, key)

    found = jax.vmap(one)(jax.random.split(key, 20_000))
    optimum = recipes.get("maml-navigation2d").optimum[0]
    assert abs(found.mean() - optimum) < 5 * found.std() / 20_000**0.5


def test_navigation_moves_clips_and_pays_the_distance(key):
    tasks = jm.tasks.navigation2d(action_scale=0.1)
    task = tasks.sample(key)
    task = task._replace(params=task.params.replace(goal=jnp.array([0.3, 0.4])))
    actions = jnp.array([[0.5, -0.2], [50.0, 0.0]])
    result = play(tasks, task, actions, key)
    positions = np.array([[0.05, -0.02], [0.15, -0.02]])
    np.testing.assert_allclose(result.next_observation, positions, atol=1e-6)
    distance = np.linalg.norm(positions - [0.3, 0.4], axis=1)
    np.testing.assert_allclose(result.reward, -distance, rtol=1e-5)
    assert not np.any(result.terminated)


def test_navigation_ends_only_when_both_coordinates_are_near(key):
    tasks = jm.tasks.navigation2d()
    task = tasks.sample(key)
    for goal, ends in (([0.095, 0.0], True), ([0.095, 0.02], False)):
        near = task._replace(params=task.params.replace(goal=jnp.array(goal)))
        result = play(tasks, near, jnp.array([[1.0, 0.0]]), key)
        assert bool(result.terminated[0]) is ends


def test_navigation_truncates_at_its_horizon(key):
    tasks = jm.tasks.navigation2d(horizon=7)
    result = play(tasks, tasks.sample(key), jnp.zeros((15, 2)), key)
    np.testing.assert_array_equal(np.flatnonzero(result.truncated), [6, 13])
    assert not np.any(result.terminated)


def test_navigation_renders_a_state_and_a_trajectory(key):
    environment = Navigation2D()
    params = environment.default_params
    state = environment.reset(key, params)[1]
    figure, axes = environment.render(state, params)
    assert len(axes.lines) == 3  # the path, the start, the goal
    path = state.replace(position=jnp.ones((5, 2)))
    figure, axes = environment.render(path, params)
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), np.ones(5))
    figure.canvas.draw()


@pytest.mark.parametrize("name", ["MatchProbe", "DelayedProbe", "TargetProbe"])
def test_probes_pay_what_their_table_says(name, key):
    environment = getattr(jm.environments, name)()
    if name == "TargetProbe":
        tasks = jm.tasks.from_gymnax(
            environment, params={"target": jm.tasks.choice([-1.0, 1.0])}
        )
    else:
        tasks = jm.tasks.from_gymnax(
            environment, params={"bit": jm.tasks.choice([0, 1])}
        )

    def episode_return(key, knows):
        task = tasks.sample(key)
        state, observation = tasks.environment.reset(key, task)

        def step(carry, key):
            state, observation = carry
            if name == "TargetProbe":
                action = task.params.target * knows * jnp.ones(1)
            elif name == "MatchProbe":
                bit = task.params.bit * knows
                action = (observation[0] != bit).astype(jnp.int32)
            else:
                action = task.params.bit * knows
            result = tasks.environment.step(key, state, action, task)
            return (result.state, result.observation), result.reward

        keys = jax.random.split(key, tasks.environment.horizon)
        return jax.lax.scan(step, (state, observation), keys)[1].sum()

    keys = jax.random.split(key, 10_000)
    agnostic, adapted = {
        "MatchProbe": (2.5, 5.0),
        "DelayedProbe": (0.5, 1.0),
        "TargetProbe": (-1.0, 0.0),
    }[name]
    blind = jax.vmap(lambda k: episode_return(k, 0))(keys)
    np.testing.assert_allclose(blind.mean(), agnostic, atol=0.1)
    told = jax.vmap(lambda k: episode_return(k, 1))(keys)
    np.testing.assert_allclose(told, adapted, atol=1e-6)
