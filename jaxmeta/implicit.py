"""Adapted params whose derivative is that of what adaptation converges to."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jaxmeta import adaptation, checks, trees
from jaxmeta.losses import Loss
from jaxmeta.outer.conjugate_gradient import conjugate_gradient
from jaxmeta.types import Examples, Experience, Inner, Params


def adapted_params(
    inner: Inner, loss: Loss, *, strength: float, num_cg: int
) -> Callable[[Params, Experience], Params]:
    """``(meta_params, experience) -> phi``, with an implicit derivative.

    Where ``phi`` minimises ``L(phi) + strength / 2 |phi - theta|^2``, its derivative is
    ``dphi/dtheta = (I + Hessian of L(phi) / strength)^{-1}``, whatever the path that
    led there: neither memory nor the derivative depends on the number of updates. The
    product with it is solved for by conjugate gradient, on the mean loss of all support
    batches (of one, where all are the same examples). Where the matrix is seen not to
    be positive definite the iterations stop, and before the first the derivative is
    taken to be one, as in first-order MAML.

    Args:
        inner: ``inner.proximal`` of the same loss and strength.
        loss: ``L``, on one batch.
        strength: lambda, of the pull to the meta-params.
        num_cg: conjugate-gradient iterations.

    Source: Rajeswaran, Finn, Kakade and Levine, "Meta-Learning with Implicit
    Gradients", 2019.

    Raises:
        ValueError: if ``num_cg`` is below one, or ``strength`` not positive.
    """
    num_cg = checks.positive_int("num_cg", num_cg)
    if not strength > 0:
        raise ValueError(f"strength must be positive, got {strength}")

    @jax.custom_vjp
    def adapted(meta_params, experience):
        return adaptation.adapt(meta_params, experience, inner=inner)[0]

    def forward(meta_params, experience):
        params = adapted(meta_params, experience)
        return params, (params, experience)

    def backward(residuals, cotangent):
        params, experience = residuals
        batches = experience.support
        if isinstance(batches, Examples):
            batches = jax.tree.map(lambda leaf: leaf[:1], batches)
        target, unravel = ravel_pytree(cotangent)
        count = jax.tree.leaves(batches)[0].shape[0]

        def product(vector):
            def add(total, batch):
                gradient = jax.grad(lambda params: loss(params, batch)[0])
                _, curved = jax.jvp(gradient, (params,), (unravel(vector),))
                return total + ravel_pytree(curved)[0], None

            # One batch after the other, so that memory does not grow with them.
            total, _ = jax.lax.scan(add, jnp.zeros_like(vector), batches)
            return vector + total / (strength * count)

        solution, _ = conjugate_gradient(product, target, num_cg)
        solution = jnp.where(jnp.any(solution != 0), solution, target)
        return unravel(solution), trees.zero_cotangents(experience)

    adapted.defvjp(forward, backward)
    return adapted
