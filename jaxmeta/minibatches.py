"""Learning from one batch more than once, and in pieces."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxmeta.types import Info, Key


def scan(
    key: Key,
    learn: Callable[[Any, Any], tuple[Any, Info]],
    state: Any,
    batch: Any,
    *,
    num_epochs: int,
    num_minibatches: int,
) -> tuple[Any, Info]:
    """Steps on minibatches, in a new random order every epoch.

    Args:
        key: consumed.
        learn: ``(state, minibatch [N / num_minibatches, ...]) -> (state, info)``.
        state: to start from.
        batch: leaves ``[N, ...]``.
        num_epochs: how often each of the ``N`` is learned from.
        num_minibatches: steps per epoch, a divisor of ``N``.

    Returns:
        The last state, and the info of the last epoch, averaged over its steps.

    Raises:
        ValueError: if ``N`` cannot be split so.
    """
    num_trials = jax.tree.leaves(batch)[0].shape[0]
    check(num_trials, num_minibatches)

    def epoch(state, key):
        if num_minibatches == 1:
            return learn(state, batch)
        order = jax.random.permutation(key, num_trials).reshape(num_minibatches, -1)

        def minibatch(state, chosen):
            return learn(state, jax.tree.map(lambda leaf: leaf[chosen], batch))

        state, info = jax.lax.scan(minibatch, state, order)
        return state, jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), info)

    state, info = jax.lax.scan(epoch, state, jax.random.split(key, num_epochs))
    return state, jax.tree.map(lambda leaf: leaf[-1], info)


def check(num_trials: int, num_minibatches: int) -> None:
    """Check that trials can be split into minibatches of one size.

    Raises:
        ValueError: if not.
    """
    if num_trials % num_minibatches:
        raise ValueError(
            f"num_minibatches must divide the number of trials, {num_trials}, got "
            f"{num_minibatches}"
        )
