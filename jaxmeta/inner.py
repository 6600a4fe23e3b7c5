"""Inner learners: how the data of one task changes the agent."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxmeta import optimizers, trees
from jaxmeta.losses import Loss
from jaxmeta.policies.conditioning import ContextParams
from jaxmeta.posterior import posterior as posterior
from jaxmeta.ruled import learned_rule as learned_rule
from jaxmeta.self_tuning import descent as descent
from jaxmeta.self_tuning import tuned as tuned
from jaxmeta.self_tuning import with_critic as with_critic
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
    """Adapt policy params by gradient steps from the meta-params.

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

    def update(key, meta_params, state, batch):
        del key, meta_params
        gradients, info = _gradients(loss, state.params, batch, first_order)
        return _descend(optimizer, gradients, state), info

    return Inner(
        init=init,
        update=jax.checkpoint(update) if rematerialize else update,
        params=lambda meta_params, state: state.params,
    )


def identity(params: Callable[[Params], Params] = lambda params: params) -> Inner:
    """No inner updates: what an agent learns of a task is in its memory, if it has one.

    ``num_updates`` is zero.

    Args:
        params: ``meta_params -> policy params``, where there is more to meta-learn
            than a policy; by default they are the same.
    """

    def update(key, meta_params, state, batch):
        del key, meta_params, batch
        return state, {}

    return Inner(
        init=lambda key, meta_params: (),
        update=update,
        params=lambda meta_params, state: params(meta_params),
    )


class MetaSGDParams(NamedTuple):
    """What Meta-SGD learns: where adaptation starts, and a rate for every weight."""

    initial: Params
    rates: Params


def meta_sgd(loss: Loss, *, first_order: bool = False) -> Inner:
    """Adapt by gradient steps with a learned rate for every weight.

    ``theta_{k+1} = theta_k - alpha * grad loss(theta_k, batch_k)``, elementwise; the
    meta-params are ``MetaSGDParams(theta_0, alpha)``. A rate may become negative.

    Args:
        loss: what an update descends.
        first_order: treat the gradients of the updates as constants; the rates are
            learned all the same.

    Source: Li, Zhou, Chen and Li, "Meta-SGD: Learning to Learn Quickly for Few-Shot
    Learning", 2017.
    """

    @jax.checkpoint
    def update(key, meta_params, state, batch):
        del key
        gradients, info = _gradients(loss, state, batch, first_order)
        state = jax.tree.map(
            lambda p, rate, g: p - rate * g, state, meta_params.rates, gradients
        )
        return state, info

    return Inner(
        init=lambda key, meta_params: meta_params.initial,
        update=update,
        params=lambda meta_params, state: state,
    )


def context(
    loss: Loss, optimizer: optax.GradientTransformation, *, first_order: bool = False
) -> Inner:
    """Adapt a context vector, from zero, and leave the network as it is.

    The meta-params are the ``ContextParams`` of a policy made by
    ``policies.with_context``; only its network is meta-learned.

    Args:
        loss: what an update descends.
        optimizer: of the context; any optax transform whose derivative is finite at a
            zero gradient.
        first_order: treat the gradients of the updates as constants.

    Source: Zintgraf, Shiarlis, Kurin, Hofmann and Whiteson, "Fast Context Adaptation
    via Meta-Learning", 2019.

    Raises:
        ValueError: from ``init``, if the optimizer has NaN meta-gradients.
    """

    def init(key, meta_params):
        del key
        start = jnp.zeros_like(meta_params.context)
        if not first_order:
            optimizers.check_meta_differentiable(
                optimizer, start, argument="inner optimizer"
            )
        return GradientState(start, trees.strong_types(optimizer.init(start)))

    @jax.checkpoint
    def update(key, meta_params, state, batch):
        del key

        def of_context(context, batch):
            return loss(ContextParams(meta_params.network, context), batch)

        gradients, info = _gradients(of_context, state.params, batch, first_order)
        return _descend(optimizer, gradients, state), info

    return Inner(
        init=init,
        update=update,
        params=lambda meta_params, state: ContextParams(
            meta_params.network, state.params
        ),
    )


def proximal(
    loss: Loss, optimizer: optax.GradientTransformation, *, strength: float
) -> Inner:
    """Adapt by gradient steps that are pulled back to the meta-params.

    Descends ``loss(phi, batch) + strength / 2 |phi - theta|^2`` from ``phi = theta``.
    Its updates are not differentiated: see ``implicit.adapted_params``.

    Args:
        loss: what an update descends.
        optimizer: any optax transform.
        strength: lambda, of the pull; positive.

    Source: Rajeswaran, Finn, Kakade and Levine, "Meta-Learning with Implicit
    Gradients", 2019.

    Raises:
        ValueError: if ``strength`` is not positive.
    """
    if not strength > 0:
        raise ValueError(f"strength must be positive, got {strength}")

    def init(key, meta_params):
        del key
        return GradientState(
            meta_params, trees.strong_types(optimizer.init(meta_params))
        )

    def update(key, meta_params, state, batch):
        del key
        gradients, info = _gradients(loss, state.params, batch, first_order=True)
        gradients = jax.tree.map(
            lambda g, phi, theta: g + strength * (phi - theta),
            gradients,
            state.params,
            meta_params,
        )
        return _descend(optimizer, gradients, state), info

    return Inner(init, update, lambda meta_params, state: state.params)


def _gradients(
    loss: Loss, params: Params, batch: Any, first_order: bool
) -> tuple[Params, Info]:
    gradients, info = jax.grad(loss, has_aux=True)(params, batch)
    if first_order:
        gradients = jax.lax.stop_gradient(gradients)
    return gradients, {**info, "gradient_norm": trees.safe_norm(gradients)}


def _descend(
    optimizer: optax.GradientTransformation, gradients: Params, state: GradientState
) -> GradientState:
    updates, optimizer_state = optimizer.update(
        gradients, state.optimizer_state, state.params
    )
    return GradientState(optax.apply_updates(state.params, updates), optimizer_state)
