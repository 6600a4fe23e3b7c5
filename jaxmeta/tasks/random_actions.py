"""What random actions meet in the tasks of a distribution, for checks of arguments."""

from collections.abc import Callable
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from jaxmeta.policies.adapters import first_timestep
from jaxmeta.types import Environment, TaskDistribution, Transition

NUM_STEPS = 100  # of each task, over as many episodes as they make


def look_around(
    tasks: TaskDistribution,
    read: Callable[[Transition], Any],
    *,
    num_tasks: int,
) -> Any:
    """What ``read`` says of 100 steps of random actions in each of some tasks.

    An action is repeated with a chance that differs from task to task, as independent
    ones would stay where they start and meet nothing that is rare. Timesteps hold the
    observation alone. It may be called while jax traces something else.

    Args:
        tasks: where the actions are taken.
        read: ``transition -> pytree``, of one step.
        num_tasks: ``M``.

    Returns:
        NumPy arrays ``[M, 100, ...]``.
    """
    environment = cast(Environment, tasks.environment)
    blank = first_timestep(environment)

    def act(key):
        key_task, key_reset, key_action, key_chance, key_steps = jax.random.split(
            key, 5
        )
        task = tasks.sample(key_task)
        chance = jax.random.uniform(key_chance)

        def step(carry, key):
            state, observation, action = carry
            key_action, key_repeat, key_step = jax.random.split(key, 3)
            drawn = environment.action.sample(key_action)
            repeat = jax.random.bernoulli(key_repeat, chance)
            action = jnp.where(repeat, action, drawn)
            result = environment.step(key_step, state, action, task)
            transition = Transition(
                blank._replace(observation=observation),
                action,
                (),
                result.reward,
                result.terminated,
                result.truncated,
                result.next_observation,
            )
            return (result.state, result.observation, action), read(transition)

        first = environment.action.sample(key_action)
        start = (*environment.reset(key_reset, task), first)
        return jax.lax.scan(step, start, jax.random.split(key_steps, NUM_STEPS))[1]

    def look():
        return jax.vmap(act)(jax.random.split(jax.random.key(0), num_tasks))

    compiled = jax.jit(look).lower().compile()
    with jax.ensure_compile_time_eval():
        return jax.tree.map(np.asarray, compiled())
