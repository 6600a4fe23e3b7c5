"""Optax transforms that can be differentiated through, and the test of that property.

An inner optimizer is part of the function the meta-gradient differentiates. Several
optax transforms have an infinite derivative at a zero gradient, which turns the
meta-gradient into NaN; these have the same update and a finite derivative.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxmeta import trees


def adam(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 1e-8,
) -> optax.GradientTransformation:
    """Adam with a positive ``eps_root``, so its derivative at zero gradient is finite.

    ``update = -learning_rate * m_hat / (sqrt(v_hat + eps_root) + eps)``. With optax's
    default ``eps_root = 0`` the derivative of the square root is infinite at
    ``v_hat = 0``.

    Source: Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015.

    Raises:
        ValueError: if ``eps_root`` is not positive.
    """
    if not eps_root > 0:
        raise ValueError(f"eps_root must be positive, got {eps_root}")
    return optax.adam(learning_rate, b1=b1, b2=b2, eps=eps, eps_root=eps_root)


def clip_by_global_norm(max_norm: float) -> optax.GradientTransformation:
    """Scale a gradient down to norm ``max_norm`` if it is longer.

    ``update = g * min(1, max_norm / |g|)``, with a finite derivative at ``g = 0``.

    Raises:
        ValueError: if ``max_norm`` is not positive.
    """
    if not max_norm > 0:
        raise ValueError(f"max_norm must be positive, got {max_norm}")

    def update(updates, state, params=None):
        del params
        norm = trees.safe_norm(updates)
        scale = max_norm / jnp.maximum(norm, max_norm)
        return jax.tree.map(lambda g: g * scale.astype(g.dtype), updates), state

    return optax.GradientTransformation(optax.init_empty_state, update)


def masked(
    optimizer: optax.GradientTransformation, mask: Any
) -> optax.GradientTransformation:
    """Apply ``optimizer`` where ``mask`` is true, and change nothing elsewhere.

    ``optax.masked`` instead passes the gradients of the rest on as they are.

    Args:
        optimizer: any optax transform.
        mask: a tree of bools with the structure of the params; see ``trees.path_mask``.
    """
    return optax.partition({True: optimizer, False: optax.set_to_zero()}, mask)


def check_meta_differentiable(
    optimizer: optax.GradientTransformation,
    params: Any,
    *,
    argument: str,
    first_order_helps: bool = True,
) -> None:
    """Raise if the derivative of an update by its gradient is not finite at zero.

    Nothing is checked where the optimizer depends on traced values, such as a learning
    rate that is vmapped over.

    Args:
        optimizer: the transform to test, on two updates in a row.
        params: a pytree of arrays (or shapes) the optimizer is meant for.
        argument: the name of the argument, for the message.
        first_order_helps: whether there would be no derivative with first_order=True.

    Raises:
        ValueError: if it is not, naming the safe transforms.
    """
    leaves, treedef = jax.tree.flatten(params)
    shapes = tuple((tuple(leaf.shape), jnp.dtype(leaf.dtype)) for leaf in leaves)
    try:
        finite = _is_meta_differentiable(optimizer, treedef, shapes)
    except jax.errors.ConcretizationTypeError:
        return
    if not finite:
        instead = "; or first_order=True" if first_order_helps else ""
        raise ValueError(
            f"{argument} cannot be differentiated through: at a zero gradient its "
            "derivative is not finite, so meta-gradients would be NaN. Use optax.sgd; "
            "jaxmeta.optimizers.adam and jaxmeta.optimizers.clip_by_global_norm for "
            f"those of optax{instead}."
        )


@functools.lru_cache(maxsize=64)  # a trace asks several times, each costs a compilation
def _is_meta_differentiable(optimizer, treedef, shapes) -> bool:
    def two_updates(gradients):
        params = jax.tree.map(jnp.zeros_like, gradients)
        state = optimizer.init(params)
        for _ in range(2):
            updates, state = optimizer.update(gradients, state, params)
            params = optax.apply_updates(params, updates)
        return sum(jnp.sum(leaf) for leaf in jax.tree.leaves(params))

    @jax.jit
    def all_finite(gradients):
        derivative = jax.tree.leaves(jax.grad(two_updates)(gradients))
        return jnp.all(jnp.stack([jnp.all(jnp.isfinite(d)) for d in derivative]))

    with jax.ensure_compile_time_eval():  # the caller may be under a trace
        zeros = [jnp.zeros(shape, dtype) for shape, dtype in shapes]
        return bool(all_finite(jax.tree.unflatten(treedef, zeros)))
