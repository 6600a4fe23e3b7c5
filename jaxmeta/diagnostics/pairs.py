"""Products of the means of noisy gradients, and bootstrap intervals of them.

The norm of a mean of noisy gradients is biased upward, and a cosine to it downward, by
as much as there is noise. So inner products of means are estimated by products of
*different* rows, ``<mu_a, mu_b> = E[a_i . b_j]`` for ``i != j``, whose noise is
independent.

Source: Hoeffding, "A Class of Statistics with Asymptotically Normal Distribution",
1948; Efron, "Bootstrap Methods: Another Look at the Jackknife", 1979.
"""

import jax
import jax.numpy as jnp

from jaxmeta.evaluation import Interval
from jaxmeta.types import Key

# Of fewer, a resample may be one of them again and again, and have no pairs.
FEWEST = 10


def resample(key: Key, count: int, num_resamples: int) -> jax.Array:
    """How often each is drawn ``[1 + num_resamples, count]``; at first, each once."""

    def drawn(key):
        return jnp.bincount(jax.random.randint(key, (count,), 0, count), length=count)

    counts = jax.lax.map(drawn, jax.random.split(key, num_resamples))
    return jnp.concatenate([jnp.ones((1, count)), counts.astype(jnp.float32)])


def mean_over_pairs(counts: jax.Array, a: jax.Array, b: jax.Array) -> jax.Array:
    """Mean of ``a_i . b_j`` over ``i != j`` ``[R]``, drawn ``counts`` ``[R, B]`` times.

    Two draws of the same row are no pair: the product of a row with itself holds its
    squared noise, which is not in the mean of independent rows.
    """
    products = jnp.matmul(a, b.T, precision="highest")
    products = jnp.where(jnp.eye(len(a), dtype=bool), 0.0, products)
    sums = jnp.sum(jnp.matmul(counts, products, precision="highest") * counts, axis=1)
    return sums / (jnp.sum(counts, axis=1) ** 2 - jnp.sum(counts**2, axis=1))


def interval(
    values: jax.Array, lowest: float, highest: float, confidence: float
) -> Interval:
    """The first of ``[1 + R]`` values, and the interval by the percentiles of the rest.

    NaN may be anything from the lowest to the highest. Percentiles are not
    interpolated, as they may be infinite.
    """
    rest = values[1:]
    unknown = jnp.isnan(rest)
    tail = (1.0 - confidence) / 2.0
    low = jnp.quantile(jnp.where(unknown, lowest, rest), tail, method="lower")
    high = jnp.quantile(jnp.where(unknown, highest, rest), 1.0 - tail, method="higher")
    return Interval(values[0], low, high)


def noise(counts: jax.Array, a: jax.Array) -> jax.Array:
    """``sqrt(E|a_i - mu_a|^2)`` ``[R]``, for rows drawn ``counts`` ``[R, B]`` times.

    The variance is half the mean of ``|a_i - a_j|^2`` over the same pairs.
    """
    weights = counts * (jnp.sum(counts, axis=1, keepdims=True) - counts)
    squares = jnp.matmul(weights, jnp.sum(a**2, axis=1), precision="highest")
    squares = squares / jnp.sum(weights, axis=1)
    return jnp.sqrt(jnp.maximum(squares - mean_over_pairs(counts, a, a), 0.0))


def positive_root(square: jax.Array) -> jax.Array:
    """The square root, NaN where the estimate of a square is not positive."""
    return jnp.sqrt(jnp.where(square > 0, square, jnp.nan))


def unit(gradients: jax.Array) -> jax.Array:
    """Each divided by its norm; zero stays zero."""
    norms = jnp.linalg.norm(gradients, axis=-1, keepdims=True)
    return gradients / jnp.where(norms > 0, norms, 1.0)
