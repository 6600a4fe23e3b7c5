"""Inner learners: how the data of one task changes the agent."""

from typing import Any, NamedTuple

import jax
import optax

from jaxmeta import optimizers, trees
from jaxmeta.losses import Loss
from jaxmeta.types import Info, Inner, Params


class GradientState(NamedTuple):
    """The adapted params and the state of the inner optimizer."""

    params: Params
    optimizer_state: Any


def gradient(
    loss: Loss,
    optimizer: optax.GradientTransformation,
    *,
    first_order: bool = False,
    rematerialize: bool = True,
) -> Inner:
    """Adapt all policy params by gradient steps from the meta-params.

    ``theta_0 = meta_params``; ``theta_{k+1} = theta_k + optimizer(grad loss(theta_k,
    batch_k))``. Differentiating the result by the meta-params gives MAML's
    meta-gradient.

    Args:
        loss: what an update descends, ``(params, batch [N, T]) -> (scalar, info)``.
        optimizer: any optax transform whose derivative is finite at a zero gradient.
        first_order: treat the gradients of the updates as constants, which drops the
            second derivatives of the loss from the meta-gradient.
        rematerialize: recompute the activations of an update when the meta-gradient
            needs them, so that memory does not grow with the number of updates.

    Source: Finn, Abbeel and Levine, "Model-Agnostic Meta-Learning for Fast Adaptation
    of Deep Networks", 2017.

    Raises:
        ValueError: from ``init``, so when a meta-learner is made of it, if the
            optimizer has NaN meta-gradients; ``first_order`` needs no such property.
    """

    def init(key, meta_params):
        del key
        if not first_order:
            optimizers.check_meta_differentiable(
                optimizer, meta_params, argument="inner optimizer"
            )
        return GradientState(
            meta_params, trees.strong_types(optimizer.init(meta_params))
        )

    def update(key, meta_params, state, batch) -> tuple[GradientState, Info]:
        del key, meta_params
        gradients, info = jax.grad(loss, has_aux=True)(state.params, batch)
        if first_order:
            gradients = jax.lax.stop_gradient(gradients)
        updates, optimizer_state = optimizer.update(
            gradients, state.optimizer_state, state.params
        )
        params = optax.apply_updates(state.params, updates)
        info = {**info, "gradient_norm": trees.safe_norm(gradients)}
        return GradientState(params, optimizer_state), info

    return Inner(
        init=init,
        update=jax.checkpoint(update) if rematerialize else update,
        params=lambda meta_params, state: state.params,
    )
