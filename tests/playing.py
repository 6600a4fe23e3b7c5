"""Fixed actions in an environment, and the best return there is, by enumeration."""

import jax
import jax.numpy as jnp
import numpy as np

STAY, UP, RIGHT, DOWN, LEFT = range(5)


def play(tasks, task, actions, key):
    """The first observation, and the results of a fixed sequence of actions."""
    key_reset, key_steps = jax.random.split(key)
    state, observation = tasks.environment.reset(key_reset, task)

    def step(state, inputs):
        action, key = inputs
        result = tasks.environment.step(key, state, action, task)
        return result.state, result

    keys = jax.random.split(key_steps, len(actions))
    return observation, jax.lax.scan(step, state, (jnp.asarray(actions), keys))[1]


def with_params(task, **fields):
    """The task with other parameters, of the same types."""
    fields = {
        name: jnp.asarray(value, jnp.asarray(getattr(task.params, name)).dtype)
        for name, value in fields.items()
    }
    return task._replace(params=task.params.replace(**fields))


def steps_table(environment, states, params, index):
    """Where every action leads from every state, by taking the environment's steps.

    Args:
        environment: a gymnax environment without randomness.
        states: its ``S`` states, stacked.
        params: its parameters.
        index: ``state -> []``, its place among the states.

    Returns:
        The next states, rewards and terminations, each ``[S, A]``.
    """

    def step(state, action):
        key = jax.random.key(0)
        _, state, reward, done, _ = environment.step_env(key, state, action, params)
        return index(state), reward, done

    every_action = jax.vmap(step, in_axes=(None, 0))
    actions = jnp.arange(environment.num_actions)
    return jax.vmap(every_action, in_axes=(0, None))(states, actions)


def optimal_returns(environment, states, params, index, horizon):
    """The best return of ``horizon`` steps from every state, ``[S]``."""
    following, reward, done = steps_table(environment, states, params, index)

    def backup(values, _):
        return (reward + jnp.where(done, 0.0, values[following])).max(1), None

    values = jnp.zeros(len(reward))
    return jax.lax.scan(backup, values, length=horizon)[0]


def walk(start, end):
    """The actions of a shortest walk between two cells, sideways first."""
    right, up = end[0] - start[0], end[1] - start[1]
    sideways = [RIGHT if right > 0 else LEFT] * abs(right)
    return sideways + [UP if up > 0 else DOWN] * abs(up)


def all_cells(size):
    """The cells of a grid, ``[size^2, 2]``."""
    grid = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    return np.stack(grid, axis=-1).reshape(-1, 2)


def chi_square(counts):
    """Over its degrees of freedom: about one if all are equally likely."""
    expected = counts.mean()
    return np.sum((counts - expected) ** 2 / expected) / (len(counts) - 1)
