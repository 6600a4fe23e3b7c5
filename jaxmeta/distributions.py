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


class TanhGaussian(NamedTuple):
    """A Gaussian that is squashed into bounds, ``low`` to ``high`` ``[..., D]``.

    ``action = center + scale tanh(u)`` with ``u ~ N(mean, exp(log_std)^2)``, ``center``
    the middle of the bounds and ``scale`` half of what is between them.

    Source: Haarnoja, Zhou, Abbeel and Levine, "Soft Actor-Critic: Off-Policy Maximum
    Entropy Deep Reinforcement Learning with a Stochastic Actor", 2018, appendix C.
    """

    mean: jax.Array
    log_std: jax.Array
    low: jax.Array
    high: jax.Array

    def sample(self, key: Key) -> jax.Array:
        """Draw one action ``[..., D]``."""
        return self._squash(self._base().sample(key))

    def mode(self) -> jax.Array:
        """The image of the mean ``[..., D]``: the median, not the densest point."""
        return self._squash(self.mean)

    def log_prob(self, action: jax.Array) -> jax.Array:
        """``log p(action)`` ``[...]``; an action at a bound counts as one next to it.

        Near the bounds ``tanh`` has rounded what it is computed from away: for actions
        that are drawn here and now :meth:`sample_and_log_prob` is exact.
        """
        center, scale = self._affine()
        unit = jnp.clip((action - center) / scale, -_ALMOST_ONE, _ALMOST_ONE)
        before = jnp.arctanh(unit)
        return self._base().log_prob(before) - self._log_derivative(before)

    def sample_and_log_prob(self, key: Key) -> tuple[jax.Array, jax.Array]:
        """Draw one action ``[..., D]``, and its ``log p`` ``[...]``."""
        # From the noise itself, which a small deviation rounds away in the draw.
        noise = jax.random.normal(key, self.mean.shape, self.mean.dtype)
        before = self.mean + jnp.exp(self.log_std) * noise
        unit = DiagonalGaussian(jnp.zeros_like(noise), jnp.zeros_like(noise))
        log_prob = unit.log_prob(noise) - jnp.sum(self.log_std, axis=-1)
        return self._squash(before), log_prob - self._log_derivative(before)

    def entropy(self) -> jax.Array:
        """Entropy ``[...]``, in nats; it has no closed form.

        ``H(u) + sum_d E[log |da / du|]``, the expectation by the trapezoid rule in
        ``(u - mean) / std`` from -6 to 6, whose error is below 1e-3 for standard
        deviations up to ``e^2``.
        """
        before = self.mean[..., None] + jnp.exp(self.log_std)[..., None] * jnp.reshape(
            _NODES.astype(self.mean.dtype), (1,) * self.mean.ndim + (-1,)
        )
        _, scale = self._affine()
        expected = _log_tanh_derivative(before) @ _WEIGHTS.astype(self.mean.dtype)
        return self._base().entropy() + jnp.sum(jnp.log(scale) + expected, axis=-1)

    def kl(self, other: "TanhGaussian") -> jax.Array:
        """``KL(self || other)`` ``[...]``, in nats, of one with the same bounds.

        A bijection changes no divergence: it is that of the Gaussians.
        """
        return self._base().kl(other._base())

    def _base(self) -> DiagonalGaussian:
        return DiagonalGaussian(self.mean, self.log_std)

    def _affine(self) -> tuple[jax.Array, jax.Array]:
        return 0.5 * (self.low + self.high), 0.5 * (self.high - self.low)

    def _squash(self, before: jax.Array) -> jax.Array:
        center, scale = self._affine()
        return center + scale * jnp.tanh(before)

    def _log_derivative(self, before: jax.Array) -> jax.Array:
        _, scale = self._affine()
        return jnp.sum(jnp.log(scale) + _log_tanh_derivative(before), axis=-1)


# The nearest to a bound that log_prob looks, in units of scale: float32 numbers are
# 6e-8 apart there.
_ALMOST_ONE = 1.0 - 1e-6

_NODES = np.linspace(-6.0, 6.0, 97)
_WEIGHTS = np.exp(-0.5 * _NODES**2) / np.sum(np.exp(-0.5 * _NODES**2))


def _log_tanh_derivative(x: jax.Array) -> jax.Array:
    """``log(1 - tanh(x)^2)``, also where ``tanh`` rounds to one."""
    return 2.0 * (float(np.log(2.0)) - x - jax.nn.softplus(-2.0 * x))


def _zero_if_impossible(log_p: jax.Array, term: jax.Array) -> jax.Array:
    """``p * term`` where p > 0 and zero elsewhere, with gradients that stay finite."""
    possible = jnp.isfinite(log_p)
    return jnp.where(possible, jnp.exp(log_p) * jnp.where(possible, term, 0.0), 0.0)
