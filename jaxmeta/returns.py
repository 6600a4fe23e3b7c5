"""Returns and advantages of one trajectory ``[T]``; batch them with ``jax.vmap``.

Termination lives in the mathematics: ``discount_t`` is the discount between step ``t``
and ``t + 1``, zero where the trajectory does not go on.
"""

import chex
import jax
import jax.numpy as jnp


def discounted_returns(rewards: jax.Array, discounts: jax.Array) -> jax.Array:
    """Discounted sum of the rewards to come, ``G_t = r_t + discount_t G_{t+1}``.

    The recursion starts from ``G_T = 0``.

    Args:
        rewards: ``[T]``.
        discounts: ``[T]``, zero at the last step of an episode.

    Returns:
        ``[T]`` returns.
    """
    chex.assert_rank([rewards, discounts], 1)
    chex.assert_equal_shape([rewards, discounts])

    def step(later_return, now):
        reward, discount = now
        to_go = reward + discount * later_return
        return to_go, to_go

    start = jnp.zeros((), jnp.result_type(rewards, discounts))
    _, returns = jax.lax.scan(step, start, (rewards, discounts), reverse=True)
    return returns


def generalized_advantages(
    rewards: jax.Array,
    discounts: jax.Array,
    values: jax.Array,
    next_values: jax.Array,
    is_last: jax.Array,
    trace_decay: float | jax.Array,
) -> jax.Array:
    """Generalised advantage estimates.

    ``A_t = delta_t + discount_t lambda (1 - last_t) A_{t+1}`` with
    ``delta_t = r_t + discount_t V(s_{t+1}) - V(s_t)``.

    Args:
        rewards: ``[T]``.
        discounts: ``[T]``, zero where the episode terminated; where it was only cut
            (truncated) it stays positive and the value of the next state counts.
        values: ``[T]`` values of the states acted in.
        next_values: ``[T]`` values of the states reached, before any reset.
        is_last: ``[T]`` bool, the last step of an episode, terminated or truncated.
        trace_decay: lambda in [0, 1].

    Returns:
        ``[T]`` advantages. Added to ``values`` they are the lambda-returns.

    Source: Schulman, Moritz, Levine, Jordan and Abbeel, "High-Dimensional Continuous
    Control Using Generalized Advantage Estimation", 2016.
    """
    chex.assert_rank([rewards, discounts, values, next_values, is_last], 1)
    chex.assert_equal_shape([rewards, discounts, values, next_values, is_last])
    errors = rewards + discounts * next_values - values
    return discounted_returns(errors, jnp.where(is_last, 0.0, discounts * trace_decay))


def v_trace(
    rewards: jax.Array,
    discounts: jax.Array,
    values: jax.Array,
    next_values: jax.Array,
    ratios: jax.Array,
    is_last: jax.Array,
    trace_decay: float | jax.Array,
    *,
    clip_ratio: float = 1.0,
    clip_trace: float = 1.0,
) -> tuple[jax.Array, jax.Array]:
    """V-trace: values and advantages of a policy on another policy's trajectory.

    With ``rho_t = min(clip_ratio, ratio_t)`` and ``c_t = lambda min(clip_trace,
    ratio_t)``::

        delta_t = rho_t (r_t + discount_t V(s_{t+1}) - V(s_t))
        v_t - V(s_t) = delta_t + discount_t c_t (1 - last_t) (v_{t+1} - V(s_{t+1}))
        A_t = rho_t (r_t + discount_t v_{t+1} - V(s_t))

    with ``V(s_{t+1})`` in the place of ``v_{t+1}`` after the last step.

    Args:
        rewards: ``[T]``.
        discounts: ``[T]``, as for :func:`generalized_advantages`.
        values: ``[T]`` values of the states acted in.
        next_values: ``[T]`` values of the states reached.
        ratios: ``[T]`` probability ratios ``pi(a|s) / behaviour(a|s)``.
        is_last: ``[T]`` bool, no later step counts for this one.
        trace_decay: lambda in [0, 1].
        clip_ratio: bounds what a step changes; it sets the policy that is evaluated.
        clip_trace: bounds how far a change reaches back.

    Returns:
        The targets ``v`` and the advantages of the policy gradient, each ``[T]``.

    Source: Espeholt et al., "IMPALA: Scalable Distributed Deep-RL with Importance
    Weighted Actor-Learner Architectures", 2018.
    """
    inputs = [rewards, discounts, values, next_values, ratios, is_last]
    chex.assert_rank(inputs, 1)
    chex.assert_equal_shape(inputs)
    weights = jnp.minimum(ratios, clip_ratio)
    errors = weights * (rewards + discounts * next_values - values)
    traces = discounts * trace_decay * jnp.minimum(ratios, clip_trace)
    corrections = discounted_returns(errors, jnp.where(is_last, 0.0, traces))
    later = jnp.where(is_last, 0.0, jnp.append(corrections[1:], 0.0))
    gains = rewards + discounts * (next_values + later) - values
    return values + corrections, weights * gains


def episode_mask(is_first: jax.Array, num_episodes: int = 1) -> jax.Array:
    """True on the steps of the first episodes of a rollout.

    Args:
        is_first: ``[T]`` bool, true on the first step of each episode.
        num_episodes: how many of them.

    Returns:
        ``[T]`` bool.
    """
    chex.assert_rank(is_first, 1)
    index = jnp.cumsum(is_first)
    return (index >= 1) & (index <= num_episodes)


def episode_returns(
    rewards: jax.Array, is_first: jax.Array, num_episodes: int = 1
) -> jax.Array:
    """Undiscounted return of each of the first episodes of a rollout.

    A sum over the whole rollout would count the episodes an auto-reset began after
    them: on an environment that pays one per step it is a constant.

    Args:
        rewards: ``[T]``.
        is_first: ``[T]`` bool, true on the first step of each episode.
        num_episodes: how many of them.

    Returns:
        ``[num_episodes]``; zero for those that never began.
    """
    chex.assert_rank([rewards, is_first], 1)
    chex.assert_equal_shape([rewards, is_first])
    index = jnp.cumsum(is_first)
    episodes = jnp.arange(1, num_episodes + 1)
    return jnp.where(index[None] == episodes[:, None], rewards[None], 0.0).sum(axis=1)
