"""Action distributions: pytrees with sample, mode, log_prob, entropy and kl.

The event is the last axis of the leaves (``A`` logits, ``D`` action dimensions); any
axes before it are batch axes, so the same object serves one step or ``[N, T]`` steps.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmeta.types import Key

_LOG_2PI = float(np.log(2 * np.pi))


class Categorical(NamedTuple):
    """A distribution over ``A`` actions with unnormalised ``logits`` ``[..., A]``."""

    logits: jax.Array

    def sample(self, key: Key) -> jax.Array:
        """Draw one action ``[...]``, int32 in ``[0, A)``."""
        return jax.random.categorical(key, self.logits).astype(jnp.int32)

    def mode(self) -> jax.Array:
        """The most likely action ``[...]``, int32."""
        return jnp.argmax(self.logits, axis=-1).astype(jnp.int32)

    def log_prob(self, action: jax.Array) -> jax.Array:
        """``log p(action)`` ``[...]``."""
        log_probs = jax.nn.log_softmax(self.logits)
        return jnp.take_along_axis(log_probs, action[..., None], axis=-1)[..., 0]

    def entropy(self) -> jax.Array:
        """``-sum_a p(a) log p(a)`` ``[...]``, in nats."""
        log_probs = jax.nn.log_softmax(self.logits)
        return -jnp.sum(_zero_if_impossible(log_probs, log_probs), axis=-1)

    def kl(self, other: "Categorical") -> jax.Array:
        """``KL(self || other)`` ``[...]``, in nats."""
        log_p, log_q = jax.nn.log_softmax(self.logits), jax.nn.log_softmax(other.logits)
        return jnp.sum(_zero_if_impossible(log_p, log_p - log_q), axis=-1)


class DiagonalGaussian(NamedTuple):
    """A Gaussian with ``mean`` ``[..., D]`` and independent ``exp(log_std)``."""

    mean: jax.Array
    log_std: jax.Array

    def sample(self, key: Key) -> jax.Array:
        """Draw one action ``[..., D]``."""
        noise = jax.random.normal(key, self.mean.shape, self.mean.dtype)
        return self.mean + jnp.exp(self.log_std) * noise

    def mode(self) -> jax.Array:
        """The mean ``[..., D]``."""
        return self.mean

    def log_prob(self, action: jax.Array) -> jax.Array:
        """``log p(action)`` ``[...]``, summed over the ``D`` action dimensions."""
        scaled = (action - self.mean) * jnp.exp(-self.log_std)
        return jnp.sum(-0.5 * (scaled**2 + _LOG_2PI) - self.log_std, axis=-1)

    def entropy(self) -> jax.Array:
        """``sum_d log std_d + (1 + log 2 pi) / 2`` ``[...]``, in nats."""
        return jnp.sum(self.log_std + 0.5 * (1.0 + _LOG_2PI), axis=-1)

    def kl(self, other: "DiagonalGaussian") -> jax.Array:
        """``KL(self || other)`` ``[...]``, in nats."""
        variance_ratio = jnp.exp(2.0 * (self.log_std - other.log_std))
        scaled = (self.mean - other.mean) * jnp.exp(-other.log_std)
        log_ratio = self.log_std - other.log_std
        return jnp.sum(0.5 * (variance_ratio + scaled**2 - 1.0) - log_ratio, axis=-1)


def _zero_if_impossible(log_p: jax.Array, term: jax.Array) -> jax.Array:
    """``p * term`` where p > 0 and zero elsewhere, with gradients that stay finite."""
    possible = jnp.isfinite(log_p)
    return jnp.where(possible, jnp.exp(log_p) * jnp.where(possible, term, 0.0), 0.0)
