"""What the data of a task says about a latent variable: a product of Gaussians."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmeta import checks
from jaxmeta.distributions import DiagonalGaussian
from jaxmeta.policies.conditioning import ContextParams
from jaxmeta.types import Inner, Params

Encode = Callable[[Params, Any], DiagonalGaussian]
"""``(meta_params, transitions [...]) -> factors [..., L]``, one of each transition."""


class GaussianProduct(NamedTuple):
    """Gaussian factors of a latent ``[L]``, multiplied; the order makes no difference.

    Attributes:
        precision: ``[L]`` the sum of ``1 / std_n^2``.
        weighted_mean: ``[L]`` the sum of ``mean_n / std_n^2``.
        num_factors: ``[]`` how many there are.
    """

    precision: jax.Array
    weighted_mean: jax.Array
    num_factors: jax.Array

    def gaussian(self) -> DiagonalGaussian:
        """The normalised product ``[L]``; without factors the prior, ``N(0, I)``."""
        empty = self.num_factors <= 0
        precision = jnp.where(empty, 1.0, self.precision)
        return DiagonalGaussian(
            self.weighted_mean / precision, -0.5 * jnp.log(precision)
        )


def no_factors(num_latents: int) -> GaussianProduct:
    """The product of no factors."""
    zeros = jnp.zeros(num_latents, jnp.float32)
    return GaussianProduct(zeros, zeros, jnp.zeros((), jnp.float32))


def multiply(
    product: GaussianProduct,
    factors: DiagonalGaussian,
    weights: jax.Array | None = None,
) -> GaussianProduct:
    """Multiply factors ``[..., L]`` into a product.

    Args:
        product: what there is.
        factors: of the same latent; all axes before the last are multiplied over.
        weights: ``[...]`` one for a factor that counts, zero for one that does not; by
            default all do.
    """
    size = factors.mean.shape[-1]
    mean = factors.mean.reshape(-1, size)
    precision = jnp.exp(-2.0 * factors.log_std).reshape(-1, size)
    if weights is None:
        weights = jnp.ones(mean.shape[0], mean.dtype)
    weights = weights.reshape(-1).astype(mean.dtype)
    return GaussianProduct(
        product.precision + weights @ precision,
        product.weighted_mean + weights @ (precision * mean),
        product.num_factors + jnp.sum(weights),
    )


class PosteriorState(NamedTuple):
    """What is known of a task, and the latent ``[L]`` the agent acts on."""

    product: GaussianProduct
    latent: jax.Array


def posterior(encode: Encode, num_latents: int) -> Inner:
    """Adapt by posterior sampling: infer a latent of the task, and act on a draw of it.

    ``q(z | c) = prod_n N(z; mean(c_n), std(c_n)^2)`` over all transitions ``c`` seen of
    the task so far, and ``N(0, I)`` before the first one. Each update multiplies in the
    factors of its batch and draws a new ``z``, on which the agent acts until the next.

    The policy params are ``ContextParams(meta_params.actor, z)``; ``encode`` reads of
    the meta-params what it needs. They may be differentiated through ``z``.

    Args:
        encode: ``(meta_params, batch [N, T]) -> factors [N, T, L]``.
        num_latents: ``L``.

    Source: Rakelly, Zhou, Quillen, Finn and Levine, "Efficient Off-Policy Meta-
    Reinforcement Learning via Probabilistic Context Variables", 2019.

    Raises:
        TypeError: if ``num_latents`` is not an integer.
        ValueError: if it is below one.
    """
    num_latents = checks.positive_int("num_latents", num_latents)

    def draw(key, product):
        return PosteriorState(product, product.gaussian().sample(key))

    def init(key, meta_params):
        del meta_params
        return draw(key, no_factors(num_latents))

    def update(key, meta_params, state, batch):
        product = multiply(state.product, encode(meta_params, batch))
        gaussian = product.gaussian()
        info = {"posterior_std": jnp.mean(jnp.exp(gaussian.log_std))}
        return draw(key, product), info

    return Inner(
        init=init,
        update=update,
        params=lambda meta_params, state: ContextParams(
            meta_params.actor, state.latent
        ),
    )
