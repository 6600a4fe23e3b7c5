"""How far what is recommended falls short of the best that was offered."""

from functools import partial

import jax
import jax.numpy as jnp

from jaxmeta import batching, checks, rollouts
from jaxmeta.environments import SlateState
from jaxmeta.types import Environment, Key, Params, Policy, TaskDistribution

_BATCH_SIZE = 512  # users at a time: acting on many costs little more than on one


def slate_regrets(
    key: Key,
    tasks: TaskDistribution,
    policy: Policy,
    params: Params,
    *,
    num_tasks: int,
    mode: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """Regret of every interaction of so many episodes, each with a user drawn anew.

    Regret is the highest rating in the slate less that of the item chosen. The same key
    draws the same users and slates for every policy, so that policies are compared on
    the same.

    Args:
        key: consumed.
        tasks: of ``tasks.from_ratings`` or ``tasks.from_choices``.
        policy: who recommends; its memory is empty at the start of an episode.
        params: its params.
        num_tasks: episodes.
        mode: act with the mode of the distribution.

    Returns:
        Users ``[num_tasks]`` int32, their ranks among the sorted labels, and regrets
        ``[num_tasks, T]``.

    Raises:
        TypeError: if ``key`` is not a typed key, or ``num_tasks`` no integer.
        ValueError: if ``num_tasks`` is below one, or the tasks are others.
    """
    checks.typed_key(key)
    num_tasks = checks.positive_int("num_tasks", num_tasks)
    environment = tasks.environment
    state = None
    if isinstance(environment, Environment):
        state = jax.eval_shape(
            lambda k: environment.reset(k, tasks.sample(k))[0], jax.random.key(0)
        )
    if not isinstance(state, SlateState):
        raise ValueError(
            f"tasks: those of {environment.name} offer no slates of known ratings; use "
            "tasks.from_ratings or tasks.from_choices"
        )
    return _regrets(key, params, tasks, policy, num_tasks, mode)


@partial(jax.jit, static_argnums=(2, 3, 4, 5))
def _regrets(key, params, tasks, policy, num_tasks, mode):
    environment = tasks.environment

    def one(key):
        key_task, key_start, key_act = jax.random.split(key, 3)
        task = tasks.sample(key_task)
        state = rollouts.start(key_start, environment, policy, task)
        best = jnp.max(state.environment_state.ratings, axis=-1)
        transitions, _ = rollouts.rollout(
            key_act,
            environment,
            policy,
            params,
            task,
            state,
            length=environment.horizon,
            mode=mode,
        )
        return task.params.user, best - transitions.reward

    keys = jax.random.split(key, num_tasks)
    return batching.map_tasks(one, keys, batch_size=_BATCH_SIZE)
