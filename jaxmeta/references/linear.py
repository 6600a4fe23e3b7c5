r"""Linear contextual bandits: candidates with features, rewards linear in them.

All believe that a reward is ``x^T w + e``, ``w ~ N(mean, covariance)``, ``e`` of
variance ``noise_variance``, and keep the exact posterior of ``w``. Observations are the
features of the candidates ``[k, F]``, as in ``tasks.from_ratings``; actions choose one;
the memory lasts for a trial. They differ in what they make of the posterior, and in the
prior they are given: :func:`ridge_prior` knows nothing, :func:`population_prior` what
other tasks have shown. They have no params.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmeta import checks
from jaxmeta.distributions import Categorical
from jaxmeta.references.bandits import first_best
from jaxmeta.references.gaussian_argmax import GaussianArgmax
from jaxmeta.types import Distribution, Environment, Policy, PolicyOutput


class LinearPrior(NamedTuple):
    """What is believed of the weights before the first reward.

    Attributes:
        mean: ``[F]``.
        covariance: ``[F, F]``, symmetric and positive definite.
        noise_variance: of a reward, ``[]``.
    """

    mean: jax.Array
    covariance: jax.Array
    noise_variance: jax.Array


class LinearMemory(NamedTuple):
    """The posterior of the weights, and what was offered last.

    Attributes:
        mean: ``[F]``.
        covariance: ``[F, F]``.
        slate: ``[k, F]``, features of the candidates of the step before.
    """

    mean: jax.Array
    covariance: jax.Array
    slate: jax.Array


def posterior(
    prior: LinearPrior, features: jax.Array, reward: jax.Array
) -> LinearPrior:
    r"""The belief after one more reward.

    ::

        gain = P x / (s2 + x^T P x)
        mean <- mean + gain (reward - x^T mean),  P <- P - gain x^T P

    which is ridge regression, ``(P^{-1} + X^T X / s2)^{-1} (P^{-1} mean + X^T y /
    s2)``, one row at a time (Sherman and Morrison, 1950).

    Args:
        prior: before it.
        features: ``[F]``, of what was chosen.
        reward: ``[]``.
    """
    projected = prior.covariance @ features
    gain = projected / (prior.noise_variance + features @ projected)
    return LinearPrior(
        prior.mean + gain * (reward - features @ prior.mean),
        prior.covariance - gain[:, None] * projected[None, :],
        prior.noise_variance,
    )


def ridge_prior(
    num_features: int, *, penalty: float = 1.0, mean: Any = None
) -> LinearPrior:
    """Ridge regression as a belief: ``N(mean, I / penalty)``, noise of variance one.

    Args:
        num_features: ``F``.
        penalty: of the squared weights.
        mean: ``[F]`` that weights are shrunk towards; zeros by default.

    Raises:
        TypeError: if a number is of the wrong kind.
        ValueError: if a number is out of range, or ``mean`` has another shape.
    """
    num_features = checks.positive_int("num_features", num_features)
    penalty = checks.positive("penalty", penalty)
    center = jnp.zeros(num_features) if mean is None else jnp.asarray(mean, jnp.float32)
    if center.shape != (num_features,):
        raise ValueError(f"mean must have shape ({num_features},), got {center.shape}")
    return LinearPrior(center, jnp.eye(num_features) / penalty, jnp.ones(()))


def linucb(
    environment: Environment, prior: LinearPrior, *, exploration: float = 1.0
) -> Policy:
    r"""Choose the highest upper confidence bound, ``x^T w + a sqrt(x^T P x)``.

    ``w`` and ``P`` are the posterior's mean and covariance. With ``ridge_prior`` it is
    LinUCB with weights shared by the candidates; without exploration it is greedy.

    Args:
        environment: of slates.
        prior: of the weights.
        exploration: ``a``.

    Source: Li, Chu, Langford and Schapire, "A Contextual-Bandit Approach to
    Personalized News Article Recommendation", 2010; Chu, Li, Reyzin and Schapire,
    "Contextual Bandits with Linear Payoff Functions", 2011.

    Raises:
        TypeError: if a number is none.
        ValueError: if ``exploration`` is negative, or the prior does not fit.
    """
    exploration = checks.positive("exploration", exploration, or_zero=True)

    def choose(memory: LinearMemory, slate: jax.Array) -> Categorical:
        variance = jnp.einsum("kf,fg,kg->k", slate, memory.covariance, slate)
        bonus = exploration * jnp.sqrt(jnp.maximum(variance, 0.0))
        return first_best(slate @ memory.mean + bonus)

    return _strategy(environment, prior, choose)


def thompson(
    environment: Environment, prior: LinearPrior, *, scale: float = 1.0
) -> Policy:
    """Choose what is best under weights drawn from the posterior.

    Args:
        environment: of slates.
        prior: of the weights.
        scale: of the posterior's standard deviations; one is Thompson sampling.

    Source: Agrawal and Goyal, "Thompson Sampling for Contextual Bandits with Linear
    Payoffs", 2013.

    Raises:
        TypeError: if a number is none.
        ValueError: if ``scale`` is negative, or the prior does not fit.
    """
    scale = checks.positive("scale", scale, or_zero=True)

    def choose(memory: LinearMemory, slate: jax.Array) -> GaussianArgmax:
        jitter = 1e-6 * jnp.trace(memory.covariance) / memory.mean.size
        root = jnp.linalg.cholesky(
            memory.covariance + jitter * jnp.eye(memory.mean.size)
        )
        return GaussianArgmax(slate @ memory.mean, scale * (slate @ root))

    return _strategy(environment, prior, choose)


def fixed(environment: Environment, weights: Any) -> Policy:
    """Choose the highest ``x^T weights``, whatever the rewards: one model for all.

    Args:
        environment: of slates.
        weights: ``[F]``, such as those of :func:`shared_weights`.

    Raises:
        ValueError: if they do not fit.
    """
    _, num_features = _slate_shape(environment)
    weights = jnp.asarray(weights, jnp.float32)
    if weights.shape != (num_features,):
        raise ValueError(
            f"weights must have shape ({num_features},), got {weights.shape}"
        )

    def apply(params, carry, timestep):
        del params
        return PolicyOutput(first_best(timestep.observation @ weights), None), carry

    return Policy(lambda key: {}, lambda: (), apply)


def _strategy(
    environment: Environment,
    prior: LinearPrior,
    choose: Callable[[LinearMemory, jax.Array], Distribution],
) -> Policy:
    """A policy that keeps the posterior, and chooses by it."""
    num_candidates, num_features = _slate_shape(environment)
    prior = LinearPrior(*(jnp.asarray(leaf, jnp.float32) for leaf in prior))
    shapes = ((num_features,), (num_features, num_features), ())
    for name, leaf, shape in zip(prior._fields, prior, shapes, strict=True):
        if leaf.shape != shape:
            raise ValueError(
                f"prior: its {name} must have shape {shape} for {environment.name}, "
                f"whose candidates have {num_features} features, got {leaf.shape}"
            )

    def initial_carry():
        slate = jnp.zeros((num_candidates, num_features))
        return LinearMemory(prior.mean, prior.covariance, slate)

    def apply(params, memory, timestep):
        del params
        # At the first step of a trial the previous action is -1, no candidate: features
        # of zero teach nothing.
        chosen = jax.nn.one_hot(timestep.previous_action, num_candidates) @ memory.slate
        believed = LinearPrior(memory.mean, memory.covariance, prior.noise_variance)
        believed = posterior(believed, chosen, timestep.previous_reward)
        memory = LinearMemory(believed.mean, believed.covariance, timestep.observation)
        return PolicyOutput(choose(memory, timestep.observation), None), memory

    return Policy(lambda key: {}, initial_carry, apply)


def _slate_shape(environment: Environment) -> tuple[int, int]:
    """Candidates and features of an environment of slates.

    Raises:
        ValueError: if its observations are no features of candidates.
    """
    shape, candidates = (
        environment.observation.shape,
        getattr(environment.action, "n", None),
    )
    if len(shape) != 2 or shape[0] != candidates:
        raise ValueError(
            f"environment: observations of {environment.name} have shape {shape} and "
            f"its actions are {environment.action}; needed are features [k, F] of k "
            "candidates and a choice of one, as in tasks.from_ratings"
        )
    return shape
