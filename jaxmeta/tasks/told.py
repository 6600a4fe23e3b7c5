"""Tasks whose observations tell which task it is: what an oracle sees."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxmeta.types import Dataset, TaskDistribution


def told(
    tasks: TaskDistribution, encode: Callable[[Any], jax.Array]
) -> TaskDistribution:
    """The same tasks, with a description of the task after each observation.

    A policy trained on them has nothing to find out. What it reaches is a bound on what
    adaptation can; the distance to it is the price of not knowing the task.

    Args:
        tasks: the distribution of tasks.
        encode: ``task -> array`` that describes a task, such as ``lambda task:
            task.params.goal``.

    Returns:
        Tasks of which an observation is ``[D]``, the flattened one and then the
        flattened description, float32.

    Raises:
        TypeError: if ``encode`` is no function, or does not return one array.
        ValueError: if the tasks are those of a Dataset.
    """
    environment = tasks.environment
    if isinstance(environment, Dataset):
        raise ValueError(f"tasks: {environment.name} is a Dataset, not an environment")
    if not callable(encode):
        raise TypeError(f"encode must be a function of a task, got {encode!r}")
    described = jax.eval_shape(lambda key: encode(tasks.sample(key)), jax.random.key(0))
    if not isinstance(described, jax.ShapeDtypeStruct):
        raise TypeError(f"encode must return one array, got {described}")

    def widen(observation: jax.Array, task: Any) -> jax.Array:
        description = jnp.asarray(encode(task), jnp.float32)
        return jnp.concatenate([observation.reshape(-1), description.reshape(-1)])

    def reset(key, task):
        state, observation = environment.reset(key, task)
        return state, widen(observation, task)

    def step(key, state, action, task):
        result = environment.step(key, state, action, task)
        return result._replace(
            observation=widen(result.observation, task),
            next_observation=widen(result.next_observation, task),
        )

    size = environment.observation.size + described.size
    return TaskDistribution(
        environment._replace(
            reset=reset,
            step=step,
            observation=jax.ShapeDtypeStruct((size,), jnp.float32),
            name=f"{environment.name}, told the task",
        ),
        tasks.sample,
    )
