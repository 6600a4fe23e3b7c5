"""Whether a decoder can explain what there is to see in the tasks."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxmeta.decoders.decoder import Decoder
from jaxmeta.tasks.random_actions import look_around
from jaxmeta.types import Environment, TaskDistribution


def is_allowed(decoder: Decoder, rewards: jax.Array) -> jax.Array:
    """Whether rewards are among those that every part of the decoder allows for.

    Args:
        decoder: what explains them.
        rewards: of any shape, which is that of the result too.
    """
    allowed = jnp.ones(rewards.shape, bool)
    for values in decoder.rewards:
        allowed &= jnp.isclose(rewards, values[0]) | jnp.isclose(rewards, values[1])
    return allowed


def check_fit(
    decoder: Decoder, tasks: TaskDistribution, *, num_tasks: int = 1024
) -> None:
    """Check a decoder on what random actions meet in some tasks.

    A reward too rare for them is not met: ``losses.elbo`` says how many of those it
    learns from were none of the decoder's.

    Args:
        decoder: what explains it.
        tasks: where the actions are taken, a hundred in each.
        num_tasks: how many are tried.

    Raises:
        ValueError: if a reward is none of those a part of the decoder allows for, or a
            step's index none of its heads.
    """
    environment = tasks.environment
    nothing = not decoder.rewards and not decoder.heads
    if nothing or not isinstance(environment, Environment):
        return

    def read(transition):
        return transition.reward, [index(transition) for _, index in decoder.heads]

    rewards, indices = look_around(tasks, read, num_tasks=num_tasks)
    found = np.unique(rewards)
    for values in decoder.rewards:
        wrong = found[~np.isclose(found[:, None], values).any(axis=1)]
        if wrong.size:
            raise ValueError(
                f"decoder: it explains rewards of {values} alone, and those "
                f"of {environment.name} are others too, such as {wrong[0]:g}; leave "
                "values out"
            )
    for (count, _), index in zip(decoder.heads, indices, strict=True):
        low, high = index.min(), index.max()
        if index.dtype.kind not in "iu" or low < 0 or high >= count:
            raise ValueError(
                f"decoder: the index of its heads must be an integer from 0 to "
                f"{count - 1}, and in {environment.name} it is {low} to "
                f"{high} ({index.dtype})"
            )
