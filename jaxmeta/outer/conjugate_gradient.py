"""Linear systems of which only products with the matrix are known."""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def conjugate_gradient(
    product: Callable[[jax.Array], jax.Array], target: jax.Array, num_iterations: int
) -> tuple[jax.Array, jax.Array]:
    """Solve ``A x = target``, with A symmetric and positive, starting from zero.

    Args:
        product: ``v -> A v``.
        target: ``[P]``.
        num_iterations: at most; it stops where nothing is left to solve, or a product
            is not positive.

    Returns:
        ``x`` and the residual ``target - A x``, each ``[P]``.

    Source: Hestenes and Stiefel, "Methods of Conjugate Gradients for Solving Linear
    Systems", 1952.
    """
    start = jnp.vdot(target, target)
    negligible = jnp.finfo(target.dtype).eps ** 2 * start

    def proceed(carry):
        iteration, _, _, _, square = carry
        return (iteration < num_iterations) & (square > negligible)

    def iterate(carry):
        iteration, x, residual, direction, square = carry
        image = product(direction)
        curvature = jnp.vdot(direction, image)
        positive = curvature > 0
        rate = jnp.where(positive, square / jnp.where(positive, curvature, 1.0), 0.0)
        x = x + rate * direction
        residual = residual - rate * image
        left = jnp.where(positive, jnp.vdot(residual, residual), 0.0)
        direction = residual + left / square * direction
        return iteration + 1, x, residual, direction, left

    initial = (jnp.zeros((), jnp.int32), jnp.zeros_like(target), target, target, start)
    _, x, residual, _, _ = jax.lax.while_loop(proceed, iterate, initial)
    return x, residual
