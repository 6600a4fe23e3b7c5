"""The distribution of the choice that linear Thompson sampling makes."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmeta.types import Key

_DRAWS = 4096  # of the weights, by which probabilities are counted


class GaussianArgmax(NamedTuple):
    """The highest of jointly Gaussian scores ``mean + factor z``, ``z ~ N(0, I)``.

    Sampling is exact. Probabilities have no closed form: they are counted over 4,096
    draws of ``z``, always the same ones, half a draw added to each candidate so that
    none has the probability zero.

    Attributes:
        mean: ``[..., k]``, of the scores.
        factor: ``[..., k, F]``; their covariance is ``factor factor^T``.
    """

    mean: jax.Array
    factor: jax.Array

    def sample(self, key: Key) -> jax.Array:
        """Draw one choice ``[...]``, int32."""
        shape = (*self.mean.shape[:-1], self.factor.shape[-1])
        scores = self._scores(jax.random.normal(key, shape, self.mean.dtype))
        return jnp.argmax(scores, axis=-1).astype(jnp.int32)

    def mode(self) -> jax.Array:
        """The choice made most often ``[...]``, int32, by counting."""
        return jnp.argmax(self.probabilities(), axis=-1).astype(jnp.int32)

    def probabilities(self) -> jax.Array:
        """How often each is chosen ``[..., k]``, by counting."""
        size = self.mean.shape[-1]
        draws = jax.random.normal(jax.random.key(0), (_DRAWS, self.factor.shape[-1]))

        def count(total, draw):
            best = jnp.argmax(self._scores(draw.astype(self.mean.dtype)), axis=-1)
            return total + jax.nn.one_hot(best, size, dtype=total.dtype), None

        start = jnp.full(self.mean.shape, 0.5, self.mean.dtype)
        return jax.lax.scan(count, start, draws)[0] / (_DRAWS + 0.5 * size)

    def log_prob(self, action: jax.Array) -> jax.Array:
        """``log P(action)`` ``[...]``, by counting."""
        log_probs = jnp.log(self.probabilities())
        return jnp.take_along_axis(log_probs, action[..., None], axis=-1)[..., 0]

    def entropy(self) -> jax.Array:
        """Entropy ``[...]`` in nats, by counting."""
        return jnp.sum(jax.scipy.special.entr(self.probabilities()), axis=-1)

    def kl(self, other: Any) -> jax.Array:
        """``KL(self || other)`` ``[...]`` in nats, of two of these, by counting."""
        ours, theirs = self.probabilities(), other.probabilities()
        return jnp.sum(jax.scipy.special.rel_entr(ours, theirs), axis=-1)

    def _scores(self, draw: jax.Array) -> jax.Array:
        return self.mean + jnp.einsum("...kf,...f->...k", self.factor, draw)
