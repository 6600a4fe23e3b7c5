"""What strategies for finite MDPs share: what they count, and acting by a table."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from gymnax.environments import spaces

from jaxmeta.distributions import Categorical
from jaxmeta.references.learners import Reference
from jaxmeta.types import Environment, Inner, Key, Policy, PolicyOutput, Transition


class Statistics(NamedTuple):
    """All a posterior depends on.

    Attributes:
        next_states: ``[S, A, S]`` how often each next state was reached.
        rewards: ``[S, A]`` sum of the rewards, and the prior mean as if it were one.
        episodes: ``[]`` episodes seen.
    """

    next_states: jax.Array
    rewards: jax.Array
    episodes: jax.Array

    @property
    def visits(self) -> jax.Array:
        """How often each action was taken, ``[S, A]``."""
        return jnp.sum(self.next_states, axis=-1)


class PlannerState(NamedTuple):
    """What was seen, and the logits ``[H, S, A]`` it was planned to act with."""

    statistics: Statistics
    logits: jax.Array


Plan = Callable[[Key, Statistics, int], jax.Array]
"""``(key, statistics, horizon) -> logits [H, S, A]``."""


def planner(environment: Environment, plan: Plan, prior_mean: float) -> Reference:
    """A strategy that counts, and plans anew after every batch of episodes.

    Args:
        environment: a finite MDP with one-hot observations, such as that of
            ``tasks.tabular_mdp()``.
        plan: how the counts become a policy.
        prior_mean: expected mean reward of what was not tried yet.

    Raises:
        ValueError: if the environment is not such an MDP, or ``prior_mean`` not finite.
    """
    if not math.isfinite(prior_mean):
        raise ValueError(f"prior_mean must be finite, got {prior_mean}")
    num_states, num_actions = _sizes(environment)
    horizon = environment.horizon

    def init(key, meta_params):
        del meta_params
        statistics = Statistics(
            jnp.zeros((num_states, num_actions, num_states)),
            jnp.full((num_states, num_actions), float(prior_mean)),
            jnp.zeros(()),
        )
        return PlannerState(statistics, plan(key, statistics, horizon))

    def update(key, meta_params, state, batch):
        del meta_params
        statistics = observe(state.statistics, batch)
        return PlannerState(statistics, plan(key, statistics, horizon)), {}

    inner = Inner(init, update, lambda meta_params, state: state.logits)
    return Reference(_by_table(num_states, num_actions, horizon), inner)


def observe(statistics: Statistics, batch: Transition) -> Statistics:
    """Add what a batch of episodes ``[N, T]`` showed."""
    num_states = statistics.next_states.shape[0]
    states = jnp.argmax(batch.timestep.observation, axis=-1)
    reached = jax.nn.one_hot(jnp.argmax(batch.next_observation, axis=-1), num_states)
    return Statistics(
        statistics.next_states.at[states, batch.action].add(reached),
        statistics.rewards.at[states, batch.action].add(batch.reward),
        statistics.episodes + batch.reward.shape[0],
    )


def _by_table(num_states: int, num_actions: int, horizon: int) -> Policy:
    """Look the logits up by state and by time in the episode, which is the memory."""

    def apply(params, carry, timestep):
        time = jnp.where(timestep.is_first, 0, carry)
        state = jnp.argmax(timestep.observation)
        logits = params[jnp.minimum(time, horizon - 1), state]
        return PolicyOutput(Categorical(logits), None), time + 1

    return Policy(
        lambda key: jnp.zeros((horizon, num_states, num_actions)),
        lambda: jnp.zeros((), jnp.int32),
        apply,
    )


def _sizes(environment: Any) -> tuple[int, int]:
    """The number of states and of actions."""
    observation = getattr(environment, "observation", None)
    action = getattr(environment, "action", None)
    if (
        not isinstance(environment, Environment)
        or len(environment.observation.shape) != 1
        or not isinstance(environment.action, spaces.Discrete)
    ):
        raise ValueError(
            "environment must be a finite MDP with one-hot observations [S] and "
            "discrete actions, such as tasks.tabular_mdp().environment, got "
            f"observation {observation} and action {action}"
        )
    return environment.observation.shape[0], int(environment.action.n)


def mean_transitions(statistics: Statistics) -> jax.Array:
    """Posterior mean ``(1 + c) / (S + n)``, ``[S, A, S]``."""
    counts = 1.0 + statistics.next_states
    return counts / jnp.sum(counts, axis=-1, keepdims=True)


def mean_rewards(statistics: Statistics) -> jax.Array:
    """Posterior mean ``(m + g) / (1 + n)`` with the prior mean ``m``, ``[S, A]``."""
    return statistics.rewards / (1.0 + statistics.visits)


def best_action_logits(key: Key, table: jax.Array) -> jax.Array:
    """Logits that take a best action with certainty, drawn where several are.

    The draw is made anew for every time and state: what is equally good because nothing
    is known of it is tried in turn within one episode.

    Args:
        key: consumed.
        table: ``[H, S, A]`` action values.
    """
    is_best = table >= jnp.max(table, axis=-1, keepdims=True) - 1e-5
    drawn = jnp.where(is_best, jax.random.uniform(key, table.shape), -1.0)
    return jnp.log(jax.nn.one_hot(jnp.argmax(drawn, axis=-1), table.shape[-1]))
