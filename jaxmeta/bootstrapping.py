"""Where returns go on: over an episode, or over the episodes of a trial."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxmeta import returns
from jaxmeta.types import Transition


class Steps(NamedTuple):
    """How the steps of a batch ``[N, T]`` bootstrap.

    Attributes:
        discounts: zero where nothing comes after.
        next_values: of what comes after.
        is_last: whether later steps count for nothing here.
        weights: one for the steps that count, zero for the others.
    """

    discounts: jax.Array
    next_values: jax.Array
    is_last: jax.Array
    weights: jax.Array


def steps_of(
    batch: Transition,
    values: jax.Array,
    next_values: jax.Array | None,
    discount: float,
    episodes_per_trial: int | None,
) -> Steps:
    """Where the returns of a batch go on, and from which value.

    Without ``episodes_per_trial`` a terminated episode is worth nothing more, a cut one
    the value of the state reached. With it a rollout is one trial of so many episodes:
    what comes after an episode is the start of the next, whose value counts; the last
    episode's end is the end, and what was acted after it has weight zero.

    Args:
        batch: ``[N, T]``.
        values: ``[N, T]`` of the states acted in.
        next_values: ``[N, T]`` of the states reached before any reset; None for trials.
        discount: in [0, 1].
        episodes_per_trial: episodes of a trial, or None.
    """
    if episodes_per_trial is None:
        assert next_values is not None
        return Steps(
            jnp.where(batch.terminated, 0.0, discount),
            next_values,
            batch.terminated | batch.truncated,
            jnp.ones_like(values),
        )
    inside = jax.vmap(returns.episode_mask, in_axes=(0, None))(
        batch.timestep.is_first, episodes_per_trial
    )
    after = jnp.zeros_like(inside[:, :1])
    is_last = ~jnp.concatenate([inside[:, 1:], after], axis=1)
    following = jnp.concatenate([values[:, 1:], jnp.zeros_like(values[:, :1])], axis=1)
    discounts = jnp.where(is_last, 0.0, discount)
    return Steps(discounts, following, is_last, inside.astype(values.dtype))
