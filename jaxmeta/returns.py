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


def first_episode_mask(is_first: jax.Array) -> jax.Array:
    """True on the steps of the first episode of a rollout.

    Args:
        is_first: ``[T]`` bool, true on the first step of each episode.

    Returns:
        ``[T]`` bool.
    """
    chex.assert_rank(is_first, 1)
    return jnp.cumsum(is_first) == 1


def first_episode_return(rewards: jax.Array, is_first: jax.Array) -> jax.Array:
    """Undiscounted return of the first episode of a rollout.

    A sum over the whole rollout would count the episodes an auto-reset began after it:
    on an environment that pays one per step it is a constant.

    Args:
        rewards: ``[T]``.
        is_first: ``[T]`` bool, true on the first step of each episode.

    Returns:
        ``[]`` the return.
    """
    chex.assert_equal_shape([rewards, is_first])
    return jnp.sum(jnp.where(first_episode_mask(is_first), rewards, 0.0))
