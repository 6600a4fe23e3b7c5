"""Finite-horizon planning in a known finite Markov decision process."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxmeta import checks
from jaxmeta.types import Key


def action_values(
    transitions: jax.Array, rewards: jax.Array, *, horizon: int
) -> jax.Array:
    """Value iteration, ``Q_h(s, a) = r(s, a) + sum_s' P(s' | s, a) max_a' Q_{h+1}``.

    Args:
        transitions: ``[S, A, S]`` probabilities of the next state.
        rewards: ``[S, A]`` mean rewards.
        horizon: ``H`` steps in an episode; ``Q_H = 0``.

    Returns:
        ``[H, S, A]``, by the time in the episode.

    Source: Bellman, "Dynamic Programming", 1957.
    """
    return backward(
        lambda values: rewards + transitions @ values,
        horizon=horizon,
        num_states=rewards.shape[0],
    )


def optimistic_action_values(
    transitions: jax.Array, rewards: jax.Array, radius: jax.Array, *, horizon: int
) -> jax.Array:
    """Value iteration that may choose the transitions too, near the given ones.

    ``Q_h(s, a) = r(s, a) + max_p p . V_{h+1}`` over all distributions ``p`` with
    ``|p - P(. | s, a)|_1 <= radius(s, a)``: half the radius moves to the best state,
    off the worst ones.

    Args:
        transitions: ``[S, A, S]`` estimated probabilities.
        rewards: ``[S, A]`` optimistic mean rewards.
        radius: ``[S, A]``.
        horizon: ``H`` steps in an episode.

    Returns:
        ``[H, S, A]``, by the time in the episode.

    Source: Jaksch, Ortner and Auer, "Near-optimal Regret Bounds for Reinforcement
    Learning", 2010, figure 2.
    """

    def backup(values: jax.Array) -> jax.Array:
        best_first = jnp.argsort(-values)
        moved = transitions[:, :, best_first].at[:, :, 0].add(radius / 2.0)
        # What exceeds a total of one is cut off at the worst end.
        total = jnp.minimum(jnp.cumsum(moved, axis=-1), 1.0)
        chosen = jnp.diff(total, axis=-1, prepend=0.0)
        return rewards + chosen @ values[best_first]

    return backward(backup, horizon=horizon, num_states=rewards.shape[0])


def backward(
    backup: Callable[[jax.Array], jax.Array], *, horizon: int, num_states: int
) -> jax.Array:
    """``Q_h = backup(max_a Q_{h+1})`` for all ``h``, ``[H, S, A]``."""

    def step(values, _):
        table = backup(values)
        return jnp.max(table, axis=-1), table

    zeros = jnp.zeros(num_states)
    return jax.lax.scan(step, zeros, length=horizon, reverse=True)[1]


def tabular_mdp_oracle(
    key: Key,
    *,
    num_mdps: int,
    num_states: int = 10,
    num_actions: int = 5,
    horizon: int = 10,
) -> tuple[jax.Array, jax.Array]:
    """Mean return per episode of agents told their MDP, over ``tasks.tabular_mdp()``.

    Args:
        key: consumed.
        num_mdps: MDPs to average over.
        num_states: states; an episode starts in the first.
        num_actions: actions.
        horizon: steps in an episode.

    Returns:
        The mean ``[]`` and its standard error ``[]``.

    Raises:
        TypeError: if a number is not an integer.
        ValueError: if a number is below one, or ``num_mdps`` below two.
    """
    checks.typed_key(key)
    num_mdps = checks.positive_int("num_mdps", num_mdps, minimum=2)
    num_states = checks.positive_int("num_states", num_states)
    num_actions = checks.positive_int("num_actions", num_actions)
    horizon = checks.positive_int("horizon", horizon)

    def best_return(key: Key) -> jax.Array:
        key_transitions, key_rewards = jax.random.split(key)
        # Normalised exponentials are Dirichlet(1), and faster than gamma draws.
        shape = (num_states, num_actions, num_states)
        drawn = jax.random.exponential(key_transitions, shape)
        transitions = drawn / jnp.sum(drawn, axis=-1, keepdims=True)
        rewards = 1.0 + jax.random.normal(key_rewards, shape[:2])
        table = action_values(transitions, rewards, horizon=horizon)
        return jnp.max(table[0, 0])

    keys = jax.random.split(key, num_mdps)
    returns = jax.lax.map(best_return, keys, batch_size=1000)
    return jnp.mean(returns), jnp.std(returns, ddof=1) / num_mdps**0.5
