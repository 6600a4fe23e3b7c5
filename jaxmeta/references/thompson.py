"""The distribution of the arm that Thompson sampling plays."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import betainc

from jaxmeta.types import Key

_EDGES = 513  # of the grid the integrals are sums on


class ThompsonSampling(NamedTuple):
    """The arm of the highest of independent draws ``max(floor_a, Beta(a_a, b_a))``.

    The first of equal ones is played. Sampling is exact. Probabilities are those of the
    floors plus ``sum_i (F_arm(x_{i+1}) - F_arm(x_i)) prod_{other} F_other(x_{i+1/2})``
    on a grid of 512 cells, where ``F`` is the distribution function of a draw; those of
    narrow posteriors (more than some 10,000 pulls) are not to be trusted.

    Attributes:
        alpha: ``[..., A]``, first parameter of every arm's Beta distribution.
        beta: ``[..., A]``, the second one.
        floor: ``[..., A]`` the least a draw can be; zeros for plain Thompson sampling.
    """

    alpha: jax.Array
    beta: jax.Array
    floor: jax.Array

    def sample(self, key: Key) -> jax.Array:
        """Draw one arm ``[...]``, int32."""
        draws = jax.random.beta(key, self.alpha, self.beta)
        return jnp.argmax(jnp.maximum(draws, self.floor), axis=-1).astype(jnp.int32)

    def mode(self) -> jax.Array:
        """The arm most often played ``[...]``, int32."""
        return jnp.argmax(self.probabilities(), axis=-1).astype(jnp.int32)

    def probabilities(self) -> jax.Array:
        """How often every arm is played ``[..., A]``; see the class for how."""
        played = self._by_draw() + self._by_floor()
        return played / jnp.sum(played, axis=-1, keepdims=True)

    def _by_draw(self) -> jax.Array:
        """The part where the arm's draw is above its floor."""
        edges = jnp.linspace(0.0, 1.0, _EDGES)
        centres = 0.5 * (edges[1:] + edges[:-1])

        def aligned(x: jax.Array) -> list[jax.Array]:
            x = x.reshape((1,) * self.alpha.ndim + x.shape)
            return jnp.broadcast_arrays(*(leaf[..., None] for leaf in self), x)

        alpha, beta, floor, x = aligned(edges)
        mass = jnp.diff(betainc(alpha, beta, jnp.maximum(x, floor)), axis=-1)
        below = _cdf(*aligned(centres))
        return jnp.sum(mass * _product_of_others(below), axis=-1)

    def _by_floor(self) -> jax.Array:
        """The part where the arm's draw is raised to its floor, which still wins.

        Equal floors are won by the first arm: a later one must be beaten or equalled,
        an earlier one beaten.
        """
        ours = self.floor[..., :, None]
        other = [leaf[..., None, :] for leaf in self]
        loses = _cdf(*jnp.broadcast_arrays(*other, ours))  # [..., arm, other]
        earlier = jnp.tril(jnp.ones_like(loses), -1) > 0
        loses = jnp.where((other[2] == ours) & earlier, 0.0, loses)
        itself = jnp.broadcast_to(jnp.eye(loses.shape[-1]) > 0, loses.shape)
        loses = jnp.where(itself, 1.0, loses)
        return betainc(*self) * jnp.prod(loses, axis=-1)

    def log_prob(self, action: jax.Array) -> jax.Array:
        """``log P(action)`` ``[...]``, by the sums of ``probabilities``."""
        log_probs = jnp.log(self.probabilities())
        return jnp.take_along_axis(log_probs, action[..., None], axis=-1)[..., 0]

    def entropy(self) -> jax.Array:
        """Entropy ``[...]`` in nats, by the sums of ``probabilities``."""
        return jnp.sum(jax.scipy.special.entr(self.probabilities()), axis=-1)

    def kl(self, other: Any) -> jax.Array:
        """``KL(self || other)`` ``[...]`` in nats, of two Thompson samplings."""
        ours, theirs = self.probabilities(), other.probabilities()
        return jnp.sum(jax.scipy.special.rel_entr(ours, theirs), axis=-1)


def _cdf(
    alpha: jax.Array, beta: jax.Array, floor: jax.Array, x: jax.Array
) -> jax.Array:
    """``P(max(floor, Beta(alpha, beta)) <= x)``."""
    return jnp.where(x < floor, 0.0, betainc(alpha, beta, x))


def _product_of_others(factors: jax.Array) -> jax.Array:
    """For every arm the product over the other arms; ``[..., A, G]``, zeros allowed."""
    ones = jnp.ones_like(factors[..., :1, :])
    before = jnp.cumprod(jnp.concatenate([ones, factors[..., :-1, :]], -2), axis=-2)
    flipped = jnp.flip(factors, axis=-2)
    after = jnp.cumprod(jnp.concatenate([ones, flipped[..., :-1, :]], -2), axis=-2)
    return before * jnp.flip(after, axis=-2)
