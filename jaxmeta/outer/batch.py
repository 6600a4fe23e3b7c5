"""Policy optimization on the trials of a batch of tasks, all in one."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxmeta import checks, minibatches, trees
from jaxmeta.losses import Loss, at_update
from jaxmeta.types import Outer


class OnTrialsState(NamedTuple):
    """The optimizer's state, and how many updates there were, ``[]`` int32."""

    optimizer: Any
    num_updates: jax.Array


def on_trials(
    loss: Loss,
    optimizer: optax.GradientTransformation,
    *,
    num_epochs: int = 1,
    num_minibatches: int = 1,
) -> Outer:
    """Descend a loss of the policy on all that was acted, without adaptation.

    The query trials of all tasks are one batch ``[M N, T]``. Every epoch splits it at
    random into minibatches of whole trials, so that the memory of each is replayed from
    its start, and takes an optimizer step on each. The gradient is that of the whole
    minibatch: no gradients of single tasks are kept.

    The loss evaluates its advantages anew at every step, with the critic as it is then.

    Args:
        loss: ``(params, batch [N, T]) -> (scalar to minimise, info)``, or one made by
            ``losses.scheduled``.
        optimizer: an optax transform for the meta-params, which are those of the
            policy.
        num_epochs: how often each trial is learned from.
        num_minibatches: steps per epoch; the number of trials is a multiple of it.

    Raises:
        TypeError: if a number is no integer.
        ValueError: if a number is below one; from ``update``, if the trials cannot be
            split so.
    """
    num_epochs = checks.positive_int("num_epochs", num_epochs)
    num_minibatches = checks.positive_int("num_minibatches", num_minibatches)

    def init(meta_params):
        state = trees.strong_types(optimizer.init(meta_params))
        return OnTrialsState(state, jnp.zeros((), jnp.int32))

    def step(loss_now, carry, batch):
        params, state = carry
        (value, info), gradients = jax.value_and_grad(loss_now, has_aux=True)(
            params, batch
        )
        updates, state = optimizer.update(gradients, state, params)
        norm = trees.safe_norm(gradients)
        info = {**info, "meta_loss": value, "meta_gradient_norm": norm}
        return (optax.apply_updates(params, updates), state), info

    def update(key, meta_params, state, experience):
        if experience.keys is not None and experience.keys.shape[-1] > 1:
            raise ValueError(
                "num_updates must be 0 for outer.on_trials, which learns from what the "
                f"meta-params did, got {experience.keys.shape[-1] - 1}"
            )
        trials = jax.tree.map(
            lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), experience.query
        )
        learn = partial(step, at_update(loss, state.num_updates))
        (meta_params, optimizer_state), info = minibatches.scan(
            key,
            learn,
            (meta_params, state.optimizer),
            trials,
            num_epochs=num_epochs,
            num_minibatches=num_minibatches,
        )
        state = OnTrialsState(optimizer_state, state.num_updates + 1)
        return meta_params, state, info

    return Outer(init, update)
