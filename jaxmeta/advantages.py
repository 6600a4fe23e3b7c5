"""Advantage estimators: what each action of a batch of episodes was worth.

``reward_to_go`` and ``linear_baseline`` use complete episodes without bootstrapping:
they count the first episode of each rollout and give the steps an auto-reset added
after it weight zero, as those belong to an episode that is cut. ``value_baseline`` has
a critic to bootstrap from and uses every step, of each episode or of the whole trial.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxmeta import bootstrapping, checks, returns, trees
from jaxmeta.types import Transition


class Estimate(NamedTuple):
    """Advantages of a batch ``[N, T]``, differentiable in the values they are made of.

    Attributes:
        advantages: what to weigh the log-probabilities with.
        weights: one for the steps that count, zero for the others.
        targets: what the critic should have said; None without a critic.
        baselines: what was subtracted from the returns; zeros without a baseline.
    """

    advantages: jax.Array
    weights: jax.Array
    targets: jax.Array | None
    baselines: jax.Array


class Advantage(NamedTuple):
    """An advantage estimator.

    Attributes:
        estimate: ``(batch [N, T], values [N, T], next_values [N, T]) -> Estimate``; the
            values are None without a critic.
        needs_complete_episodes: whether rollouts must be as long as an episode can be.
        needs_critic: whether the policy must estimate values.
        episodes_per_trial: over how many episodes of a rollout its returns go on; None:
            each episode is on its own.
        discount: of the returns.
        normalize: whether advantages are shifted and scaled, so no longer in units of
            the return.
        discount_steps: whether they count from the start of an episode.
    """

    estimate: Callable[[Transition, jax.Array | None, jax.Array | None], Estimate]
    needs_complete_episodes: bool
    needs_critic: bool
    episodes_per_trial: int | None
    discount: float
    normalize: bool
    discount_steps: bool = False

    @property
    def needs_next_values(self) -> bool:
        """Whether the values of the states reached, before any reset, count."""
        return self.needs_critic and self.episodes_per_trial is None


Baseline = Callable[[Transition], jax.Array]
"""``batch [N, T] -> [N, T]``, what to subtract from the return to go of each step."""


def reward_to_go(
    *, discount: float = 0.99, normalize: bool = False, discount_steps: bool = False
) -> Advantage:
    """Discounted return to go, ``A_t = sum_{s >= t} discount^(s - t) r_s``.

    Args:
        discount: in [0, 1].
        normalize: shift and scale the advantages of a batch to mean zero, variance one.
        discount_steps: multiply the advantage of step ``t`` by ``discount^t``, which
            makes the policy gradient that of the discounted return from the start of
            an episode. Most code leaves it out, so that late steps count in full.
    """
    return custom_baseline(
        lambda batch: jnp.zeros_like(batch.reward),
        discount=discount,
        normalize=normalize,
        discount_steps=discount_steps,
    )


def custom_baseline(
    baseline: Baseline,
    *,
    discount: float = 0.99,
    normalize: bool = False,
    discount_steps: bool = False,
) -> Advantage:
    """Return to go minus a baseline of your own.

    Args:
        baseline: ``batch [N, T] -> [N, T]``. If it depends on the actions of the batch,
            the policy gradient is biased.
        discount: in [0, 1].
        normalize: shift and scale the advantages of a batch to mean zero, variance one.
        discount_steps: as in :func:`reward_to_go`.

    Raises:
        TypeError: if ``baseline`` is no function.
        ValueError: if ``discount`` is outside [0, 1].
    """
    if not callable(baseline):
        raise TypeError(f"baseline must be a function of a batch, got {baseline!r}")
    checks.unit_interval("discount", discount)

    def estimate(batch, values, next_values):
        del values, next_values
        to_go, weights = _first_episode_returns(batch, discount)
        baselines = baseline(batch)
        found = Estimate(to_go - baselines, weights, None, baselines)
        return _finish(found, batch, discount, normalize, discount_steps)

    return Advantage(estimate, True, False, None, discount, normalize, discount_steps)


def linear_baseline(
    *,
    discount: float = 0.99,
    normalize: bool = False,
    discount_steps: bool = False,
    regularizer: float = 1e-5,
) -> Advantage:
    """Return to go minus a least-squares fit to it on features of state and time.

    The features are ``[o, o^2, t, t^2, t^3, 1]`` with ``t`` in hundreds of steps, the
    fit is a ridge regression on the batch itself, features scaled to unit mean square.

    Args:
        discount: in [0, 1].
        normalize: shift and scale the advantages of a batch to mean zero, variance one.
        discount_steps: as in :func:`reward_to_go`.
        regularizer: of the ridge regression, relative to the scaled features.

    Source: Duan, Chen, Houthooft, Schulman and Abbeel, "Benchmarking Deep Reinforcement
    Learning for Continuous Control", 2016.
    """
    checks.unit_interval("discount", discount)
    if not regularizer > 0:
        raise ValueError(f"regularizer must be positive, got {regularizer}")

    def fit(batch: Transition) -> jax.Array:
        to_go, weights = _first_episode_returns(batch, discount)
        features = _features(batch.timestep.observation) * weights[..., None]
        features = features.reshape(-1, features.shape[-1])
        scale = jnp.sqrt(jnp.mean(features**2, axis=0, keepdims=True))
        features = features / jnp.where(scale > 0, scale, 1.0)
        count = features.shape[0]
        gram = features.T @ features / count
        gram = gram + regularizer * jnp.eye(gram.shape[0], dtype=gram.dtype)
        moments = features.T @ (to_go * weights).reshape(-1) / count
        factor = jax.scipy.linalg.cho_factor(gram)
        baseline = features @ jax.scipy.linalg.cho_solve(factor, moments)
        return baseline.reshape(to_go.shape)

    return custom_baseline(
        fit, discount=discount, normalize=normalize, discount_steps=discount_steps
    )


def value_baseline(
    *,
    discount: float = 0.99,
    trace_decay: float = 0.95,
    normalize: bool = False,
    discount_steps: bool = False,
    episodes_per_trial: int | None = None,
) -> Advantage:
    """Generalised advantage estimates from the policy's own critic.

    Rollouts may be shorter than an episode: a truncated or unfinished one is completed
    by the critic. With ``episodes_per_trial`` a rollout is a trial: see
    ``bootstrapping.steps_of``.

    Args:
        discount: in [0, 1].
        trace_decay: lambda in [0, 1].
        normalize: shift and scale the advantages of a batch to mean zero, variance one.
        discount_steps: as in :func:`reward_to_go`.
        episodes_per_trial: what an episode teaches counts in those after it, up to so
            many; None: each episode is on its own.

    Source: Schulman et al., "High-Dimensional Continuous Control Using Generalized
    Advantage Estimation", 2016.

    Raises:
        TypeError: if ``episodes_per_trial`` is neither an integer nor None.
        ValueError: if a number is out of range, or ``discount_steps`` is set for
            trials.
    """
    checks.unit_interval("discount", discount)
    checks.unit_interval("trace_decay", trace_decay)
    if episodes_per_trial is not None:
        checks.positive_int("episodes_per_trial", episodes_per_trial)
        if discount_steps:
            raise ValueError(
                "discount_steps counts steps from the start of each episode, which "
                "contradicts episodes_per_trial"
            )

    def estimate(batch, values, next_values):
        if values is None or (next_values is None and episodes_per_trial is None):
            raise ValueError(
                "advantage: value_baseline needs a policy with a critic; make one with "
                "critic=True, or use linear_baseline or reward_to_go"
            )
        steps = bootstrapping.steps_of(
            batch, values, next_values, discount, episodes_per_trial
        )
        advantages = jax.vmap(
            returns.generalized_advantages, in_axes=(0, 0, 0, 0, 0, None)
        )(
            batch.reward,
            steps.discounts,
            values,
            steps.next_values,
            steps.is_last,
            trace_decay,
        )
        found = Estimate(advantages, steps.weights, advantages + values, values)
        return _finish(found, batch, discount, normalize, discount_steps)

    return Advantage(
        estimate, False, True, episodes_per_trial, discount, normalize, discount_steps
    )


def step_discounts(batch: Transition, discount: float) -> jax.Array:
    """``discount^t`` ``[N, T]``, ``t`` counted from the start of each episode."""
    time = jnp.arange(batch.reward.shape[1])[None]
    starts = jax.lax.cummax(jnp.where(batch.timestep.is_first, time, 0), axis=1)
    return jnp.asarray(discount, batch.reward.dtype) ** (time - starts)


def steps_that_count(advantage: Advantage, batch: Transition) -> jax.Array:
    """Weights ``[N, T]``: of each rollout's first episodes, or of every step."""
    if advantage.episodes_per_trial is not None:
        return _first_episodes(batch, advantage.episodes_per_trial)
    if not advantage.needs_complete_episodes:
        return jnp.ones_like(batch.reward)
    return _first_episodes(batch)


def _first_episode_returns(
    batch: Transition, discount: float
) -> tuple[jax.Array, jax.Array]:
    """Returns to go ``[N, T]`` and the weights ``[N, T]`` of the first episodes."""
    discounts = jnp.where(batch.terminated | batch.truncated, 0.0, discount)
    to_go = jax.vmap(returns.discounted_returns)(batch.reward, discounts)
    return to_go, _first_episodes(batch)


def _first_episodes(batch: Transition, num_episodes: int = 1) -> jax.Array:
    mask = jax.vmap(returns.episode_mask, in_axes=(0, None))(
        batch.timestep.is_first, num_episodes
    )
    return mask.astype(batch.reward.dtype)


def _features(observations: jax.Array) -> jax.Array:
    """``[N, T, F]`` features of observations ``[N, T, ...]`` and time."""
    num_episodes, length = observations.shape[:2]
    flat = observations.reshape(num_episodes, length, -1)
    time = jnp.arange(length, dtype=flat.dtype) / 100.0
    powers = jnp.stack([time, time**2, time**3, jnp.ones_like(time)], axis=-1)
    powers = jnp.broadcast_to(powers[None], (num_episodes, length, 4))
    return jnp.concatenate([flat, flat**2, powers], axis=-1)


def _finish(
    found: Estimate,
    batch: Transition,
    discount: float,
    normalize: bool,
    discount_steps: bool,
) -> Estimate:
    advantages, weights, targets, baselines = found
    if normalize:
        count = jnp.sum(weights)
        mean = jnp.sum(advantages * weights) / count
        variance = jnp.sum(weights * (advantages - mean) ** 2) / count
        scale = trees.safe_sqrt(variance) + 1e-8
        advantages, baselines = (advantages - mean) / scale, (baselines + mean) / scale
    if discount_steps:
        discounts = step_discounts(batch, discount)
        advantages, baselines = advantages * discounts, baselines * discounts
    return Estimate(advantages * weights, weights, targets, baselines * weights)
