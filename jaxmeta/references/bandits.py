"""Classical strategies for Bernoulli bandits, as policies with counts for a memory.

All of them believe that the arms pay with independent probabilities uniform on [0, 1]:
an arm with ``s`` successes and ``f`` failures has posterior ``Beta(s + 1, f + 1)`` and
posterior mean ``(s + 1) / (s + f + 2)``. Of equally good arms the first is played. That
matters for the greedy ones: an arm with one success and one failure is not left for one
never tried, which is what the published tables show. They have no params. Those that
count need rewards of zero or one; ``references.learner`` refuses them elsewhere.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxmeta import checks
from jaxmeta.distributions import Categorical
from jaxmeta.references import indices
from jaxmeta.references.thompson import ThompsonSampling
from jaxmeta.types import Distribution, Policy, PolicyOutput


class BanditMemory(NamedTuple):
    """What a trial has shown so far; it lasts over the episodes of the trial.

    Attributes:
        successes: ``[A]`` int32, rewards of one of every arm.
        failures: ``[A]`` int32, rewards of zero.
    """

    successes: jax.Array
    failures: jax.Array

    @property
    def pulls(self) -> jax.Array:
        """Arms pulled so far, ``[]``."""
        return jnp.sum(self.successes + self.failures)


def strategy(num_arms: int, choose: Callable[[BanditMemory], Distribution]) -> Policy:
    """A policy that counts successes and failures and chooses an arm by them.

    Args:
        num_arms: ``A``.
        choose: ``memory -> distribution`` over arms; at the start all counts are zero.

    Returns:
        A policy without params whose rewards must be zero or one.

    Raises:
        TypeError: if ``num_arms`` is not an integer.
        ValueError: if it is below one.
    """
    num_arms = checks.positive_int("num_arms", num_arms)

    def initial_carry():
        counts = jnp.zeros(num_arms, jnp.int32)
        return BanditMemory(counts, counts)

    def apply(params, memory, timestep):
        del params
        # At the first step of a trial the previous action is -1, no arm.
        arm = (jnp.arange(num_arms) == timestep.previous_action).astype(jnp.int32)
        reward = jnp.round(timestep.previous_reward).astype(jnp.int32)
        memory = BanditMemory(
            memory.successes + arm * reward,
            memory.failures + arm * (1 - reward),
        )
        return PolicyOutput(choose(memory), None), memory

    return Policy(lambda key: {}, initial_carry, apply)


def gittins(num_arms: int, horizon: int, *, discount: float | None = None) -> Policy:
    """Play an arm of the highest Gittins index.

    Args:
        num_arms: ``A``.
        horizon: pulls in a trial; in a longer one, an arm beyond the table counts as
            one at its edge.
        discount: None: the index of the pulls that remain (``indices.finite_horizon``),
            a near-optimal strategy for the undiscounted sum. A number in (0, 1): the
            classical index, which is optimal for the discounted endless trial.

    Source: Gittins, "Bandit Processes and Dynamic Allocation Indices", 1979.

    Raises:
        TypeError: if a number is not an integer.
        ValueError: if a number is out of range.
    """
    if discount is None:
        table = indices.finite_horizon(horizon)
    else:
        table = indices.discounted(horizon, discount)
    horizon = table.horizon

    def choose(memory: BanditMemory) -> Categorical:
        remaining = jnp.maximum(horizon - memory.pulls, 1)
        most = horizon - (1 if discount is not None else remaining)
        successes = jnp.minimum(memory.successes, most)
        failures = jnp.minimum(memory.failures, most - successes)
        offset = jnp.asarray(table.offsets)[remaining]
        positions = offset + indices.triangular(successes, failures)
        return first_best(jnp.asarray(table.values)[positions])

    return strategy(num_arms, choose)


def thompson(num_arms: int) -> Policy:
    """Play the arm whose sample from its posterior is the highest.

    Source: Thompson, "On the Likelihood that One Unknown Probability Exceeds Another in
    View of the Evidence of Two Samples", 1933.

    Raises:
        TypeError: if ``num_arms`` is not an integer.
        ValueError: if it is below one.
    """

    def choose(memory: BanditMemory) -> ThompsonSampling:
        return ThompsonSampling(
            memory.successes + 1.0,
            memory.failures + 1.0,
            jnp.zeros(num_arms),
        )

    return strategy(num_arms, choose)


def optimistic_thompson(num_arms: int) -> Policy:
    """Thompson sampling whose samples are raised to the posterior mean at least.

    Source: May, Korda, Lee and Leslie, "Optimistic Bayesian Sampling in
    Contextual-Bandit Problems", 2012.

    Raises:
        TypeError: if ``num_arms`` is not an integer.
        ValueError: if it is below one.
    """

    def choose(memory: BanditMemory) -> ThompsonSampling:
        return ThompsonSampling(
            memory.successes + 1.0, memory.failures + 1.0, posterior_mean(memory)
        )

    return strategy(num_arms, choose)


def ucb1(num_arms: int, *, c: float = 0.2) -> Policy:
    """Play an arm of the highest upper confidence bound.

    ``mean_a + c sqrt(2 log t / (n_a + 2))`` with the posterior mean, ``n_a`` pulls of
    the arm and step ``t = 1, 2, ...``. The original has ``c = 1``, the empirical mean
    and ``n_a``, so that it starts with one pull of every arm; with more arms than pulls
    that is as good as random, so mean and count include those of the prior here.

    Args:
        num_arms: ``A``.
        c: weight of the bonus. The published tables have it tuned; the default agrees
            with them for 10 and 100 pulls.

    Source: Auer, Cesa-Bianchi and Fischer, "Finite-time Analysis of the Multiarmed
    Bandit Problem", 2002; Kuleshov and Precup, "Algorithms for Multi-armed Bandit
    Problems", 2014.

    Raises:
        TypeError: if ``num_arms`` is not an integer.
        ValueError: if a number is out of range.
    """
    if not c >= 0:
        raise ValueError(f"c must not be negative, got {c}")

    def choose(memory: BanditMemory) -> Categorical:
        pulls = memory.successes + memory.failures
        logarithm = jnp.log(memory.pulls + 1.0)
        bonus = c * jnp.sqrt(2.0 * logarithm / (pulls + 2.0))
        return first_best(posterior_mean(memory) + bonus)

    return strategy(num_arms, choose)


def epsilon_greedy(num_arms: int, *, epsilon: float = 0.1) -> Policy:
    """Play an arm of the highest posterior mean, or with ``epsilon`` any arm.

    Args:
        num_arms: ``A``.
        epsilon: probability of an arm drawn uniformly, the best ones included.

    Source: Sutton and Barto, "Reinforcement Learning: An Introduction", 1998.

    Raises:
        TypeError: if ``num_arms`` is not an integer.
        ValueError: if a number is out of range.
    """
    checks.unit_interval("epsilon", epsilon)

    def choose(memory: BanditMemory) -> Categorical:
        best = jax.nn.one_hot(jnp.argmax(posterior_mean(memory)), num_arms)
        return Categorical(jnp.log((1.0 - epsilon) * best + epsilon / num_arms))

    return strategy(num_arms, choose)


def greedy(num_arms: int) -> Policy:
    """Play an arm of the highest posterior mean.

    Raises:
        TypeError: if ``num_arms`` is not an integer.
        ValueError: if it is below one.
    """
    return strategy(num_arms, lambda memory: first_best(posterior_mean(memory)))


def random(num_arms: int) -> Policy:
    """Play any arm; as it counts nothing, rewards may be any number.

    Raises:
        TypeError: if ``num_arms`` is not an integer.
        ValueError: if it is below one.
    """
    num_arms = checks.positive_int("num_arms", num_arms)

    def apply(params, carry, timestep):
        del params, timestep
        return PolicyOutput(Categorical(jnp.zeros(num_arms)), None), carry

    return Policy(lambda key: {}, lambda: (), apply)


def posterior_mean(memory: BanditMemory) -> jax.Array:
    """``(s + 1) / (s + f + 2)`` of every arm, ``[A]``."""
    pulls = memory.successes + memory.failures
    return (memory.successes + 1.0) / (pulls + 2.0)


def first_best(scores: jax.Array) -> Categorical:
    """The first of the highest of scores ``[A]``, with certainty."""
    is_best = jnp.arange(scores.shape[-1]) == jnp.argmax(scores)
    return Categorical(jnp.where(is_best, 0.0, -jnp.inf))
