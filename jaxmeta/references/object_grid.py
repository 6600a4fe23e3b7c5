"""What grids with objects to collect are worth, by exact dynamic programming.

The state of an :class:`~jaxmeta.environments.ObjectGrid` is the agent's cell and which
of ``N`` objects are present. The agent moves without chance, and what is gone comes
back independently, object by object, so no matrix of transitions is needed: the
expectation over the next state is ``N`` averages of pairs of values.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmeta import checks
from jaxmeta.environments.object_grid import ObjectGridParams, reach
from jaxmeta.references.planning import backward
from jaxmeta.types import Environment


def object_grid_value(
    environment: Environment, params: ObjectGridParams, *, discount: float = 1.0
) -> jax.Array:
    """The highest expected return ``[]`` of one episode, for an agent told the task.

    ``V_h(s) = max_a E[r + discount (1 - ends) V_{h+1}(s')]``, with ``V_H = 0``, at
    ``h = 0`` and on average over the starts. The agent may keep the time, which it does
    not observe. :func:`jax.vmap` over params gives the values of many tasks.

    Args:
        environment: of the tasks, such as ``tasks.grid_world("dense").environment``.
        params: of the task, ``task.params``.
        discount: of the next step's value, in [0, 1].

    Source: Bellman, "Dynamic Programming", 1957.

    Raises:
        TypeError: if ``params`` are not those of an ``ObjectGrid``.
        ValueError: if the environment is none of ``params``, or ``discount`` out of
            range.
    """
    num_actions = _checked(environment, params, discount)
    return _value(params, discount, environment.horizon, num_actions)


def object_grid_action_values(
    environment: Environment, params: ObjectGridParams, *, discount: float = 1.0
) -> jax.Array:
    """The action values that :func:`object_grid_value` is the best start of.

    Args:
        environment: of the tasks.
        params: of the task.
        discount: of the next step's value, in [0, 1].

    Returns:
        ``[H, S, A]``, by the time in the episode and by the place of the 1 in the
        observation. States that do not occur, such as those inside of walls, have
        values too.

    Raises:
        TypeError: if ``params`` are not those of an ``ObjectGrid``.
        ValueError: if the environment is none of ``params``, or ``discount`` out of
            range.
    """
    num_actions = _checked(environment, params, discount)
    return _action_values(params, discount, environment.horizon, num_actions)


def _checked(environment: Any, params: Any, discount: Any) -> int:
    """The number of actions of an environment that fits the params."""
    checks.unit_interval("discount", discount)
    if not isinstance(params, ObjectGridParams):
        raise TypeError(
            "params must be those of a task of an ObjectGrid, task.params, got "
            f"{type(params).__name__}"
        )
    given = getattr(environment, "name", None)
    if not isinstance(environment, Environment) or given != "ObjectGrid":
        raise ValueError(
            "environment must be that of tasks of an ObjectGrid, such as "
            f"tasks.grid_world('dense').environment, got {given or environment!r}"
        )
    cells = np.prod(params.walls.shape, dtype=int)
    size = int(cells) * 2 ** params.object_cells.shape[0]
    if environment.observation.shape != (size,):
        raise ValueError(
            f"params of {size} states do not fit environment, which has "
            f"{environment.observation.shape[0]}; several tasks take jax.vmap"
        )
    return int(environment.action.n)


@partial(jax.jit, static_argnames=("horizon", "num_actions"))
def _value(params, discount, horizon, num_actions):
    backup = _backup(params, discount, num_actions)
    size = params.walls.size * 2 ** len(params.object_cells)
    values = jax.lax.fori_loop(
        0, horizon, lambda _, values: jnp.max(backup(values), axis=-1), jnp.zeros(size)
    )
    bits = jnp.asarray(2 ** np.arange(len(params.object_cells)), jnp.int32)
    whole = jnp.sum(jnp.where(params.object_cells >= 0, bits, 0))
    at_start = values.reshape(-1, params.walls.size)[whole]
    return jnp.mean(at_start, where=params.starts.reshape(-1))


@partial(jax.jit, static_argnames=("horizon", "num_actions"))
def _action_values(params, discount, horizon, num_actions):
    return backward(
        _backup(params, discount, num_actions),
        horizon=horizon,
        num_states=params.walls.size * 2 ** len(params.object_cells),
    )


def _backup(params, discount, num_actions):
    """The function ``V [S] -> Q [S, A]``.

    In a step every object is gone, present or collected: 0, 1 or 2. Values before it
    comes back or not are kept for all ``3^N`` combinations of those, and each state and
    action looks up its own.
    """
    cells, count = params.walls.size, len(params.object_cells)
    sets = (np.arange(2**count)[:, None] >> np.arange(count)) & 1  # [2^N, N]
    powers = jnp.asarray(3 ** np.arange(count), jnp.int32)

    def outcome(present, cell, action):
        """Reward, probability that the episode goes on, place of the next value."""
        reached, touched = reach(params.walls, cell, action, num_actions)
        collected = present & (params.object_cells == touched)
        reward = jnp.sum(jnp.where(collected, params.rewards, 0.0))
        goes_on = jnp.prod(jnp.where(collected, 1.0 - params.termination, 1.0))
        code = jnp.sum((present.astype(jnp.int32) + collected) * powers)
        return reward, goes_on, code * cells + reached

    for axes in ((None, None, 0), (None, 0, None), (0, None, None)):
        outcome = jax.vmap(outcome, axes)
    reward, goes_on, following = outcome(  # each [2^N, C, A]
        jnp.asarray(sets, bool), jnp.arange(cells), jnp.arange(num_actions)
    )
    respawn = jnp.where(params.object_cells >= 0, params.respawn, 0.0)

    def backup(values):
        # The first axis is that of the last object, whose bit is the highest.
        table = values.reshape(*[2] * count, cells)
        for axis in range(count):
            gone, there = jnp.split(table, 2, axis=axis)
            chance = respawn[count - 1 - axis]
            mixed = gone + chance * (there - gone)
            table = jnp.concatenate([mixed, there, gone], axis=axis)
        expected = jnp.take(table.reshape(-1), following)
        return (reward + discount * goes_on * expected).reshape(-1, num_actions)

    return backup
