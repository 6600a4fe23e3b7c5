"""Adapted params whose derivative is that of what adaptation converges to."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxmeta import adaptation, checks, trees
from jaxmeta.losses import Loss
from jaxmeta.types import Experience, Inner, Params


def adapted_params(
    inner: Inner, loss: Loss, *, strength: float, num_cg: int
) -> Callable[[Params, Experience], Params]:
    """``(meta_params, experience) -> phi``, with an implicit derivative.

    Where ``phi`` minimises ``L(phi) + strength / 2 |phi - theta|^2``, its derivative is
    ``dphi/dtheta = (I + Hessian of L(phi) / strength)^{-1}``, whatever the path that
    led there: neither memory nor the derivative depends on the number of updates. The
    product with it is solved for by conjugate gradient, on the mean loss of all support
    batches.

    Args:
        inner: ``inner.proximal`` of the same loss and strength.
        loss: ``L``, on one batch.
        strength: lambda, of the pull to the meta-params.
        num_cg: conjugate-gradient iterations; few of them also guard against a Hessian
            that is not positive definite.

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

        def mean_loss(params):
            batches = experience.support
            return jnp.mean(jax.vmap(lambda batch: loss(params, batch)[0])(batches))

        _, hessian_product = jax.linearize(jax.grad(mean_loss), params)

        def product(vector):
            curved = hessian_product(vector)
            return jax.tree.map(lambda v, h: v + h / strength, vector, curved)

        solution, _ = jax.scipy.sparse.linalg.cg(product, cotangent, maxiter=num_cg)
        return solution, trees.zero_cotangents(experience)

    adapted.defvjp(forward, backward)
    return adapted
