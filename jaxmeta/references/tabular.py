"""Classical strategies for random finite MDPs, which learn from episode to episode.

All believe what ``tasks.tabular_mdp`` draws: next states ``~ Dirichlet(1, ..., 1)``,
mean rewards ``N(1, 1)``, rewards ``N(mean, 1)``. After ``n`` visits of a state and
action with next-state counts ``c`` and a reward sum ``g`` the posterior is
``Dirichlet(1 + c)`` and ``N((1 + g) / (1 + n), 1 / (1 + n))``. Before every episode
they plan over its ``H`` steps. They differ in the MDP they plan in. The published
rows agree with a prior mean of zero instead of one, which is ``prior_mean=0``.
"""

import jax
import jax.numpy as jnp

from jaxmeta import checks
from jaxmeta.references.learners import Reference
from jaxmeta.references.planners import (
    best_action_logits,
    mean_rewards,
    mean_transitions,
    planner,
)
from jaxmeta.references.planning import action_values, optimistic_action_values
from jaxmeta.types import Environment


def psrl(environment: Environment, *, prior_mean: float = 1.0) -> Reference:
    """Plan in one MDP drawn from the posterior (posterior sampling).

    Args:
        environment: a finite MDP with one-hot observations.
        prior_mean: of the mean rewards.

    Source: Strens, "A Bayesian Framework for Reinforcement Learning", 2000; Osband,
    Russo and Van Roy, "(More) Efficient Reinforcement Learning via Posterior Sampling",
    2013.

    Raises:
        ValueError: if the environment is not such an MDP.
    """
    return optimistic_psrl(environment, num_samples=1, prior_mean=prior_mean)


def optimistic_psrl(
    environment: Environment, *, num_samples: int = 10, prior_mean: float = 1.0
) -> Reference:
    """Act by the best value of several MDPs drawn from the posterior.

    ``Q_h(s, a) = max_k Q_h^k(s, a)``, each ``Q^k`` planned in a draw of its own.

    Args:
        environment: a finite MDP with one-hot observations.
        num_samples: draws.
        prior_mean: of the mean rewards.

    Source: Osband, Russo and Van Roy, "(More) Efficient Reinforcement Learning via
    Posterior Sampling", 2013; Duan et al., "RL^2: Fast Reinforcement Learning via Slow
    Reinforcement Learning", 2016 (OPSRL).

    Raises:
        TypeError: if ``num_samples`` is not an integer.
        ValueError: if it is below one, or the environment is not such an MDP.
    """
    num_samples = checks.positive_int("num_samples", num_samples)

    def plan(key, statistics, horizon):
        key_ties, key = jax.random.split(key)

        def of_one_draw(key):
            key_transitions, key_rewards = jax.random.split(key)
            concentration = 1.0 + statistics.next_states
            transitions = jax.random.dirichlet(key_transitions, concentration)
            mean = mean_rewards(statistics)
            noise = jax.random.normal(key_rewards, mean.shape)
            rewards = mean + noise / jnp.sqrt(1.0 + statistics.visits)
            return action_values(transitions, rewards, horizon=horizon)

        tables = jax.vmap(of_one_draw)(jax.random.split(key, num_samples))
        return best_action_logits(key_ties, jnp.max(tables, axis=0))

    return planner(environment, plan, prior_mean)


def ucrl2(
    environment: Environment,
    *,
    scale: float = 0.2,
    delta: float = 0.05,
    prior_mean: float = 1.0,
) -> Reference:
    """Plan in the most favourable MDP near the posterior mean.

    The L1 radius of transitions is ``scale sqrt(4 S L / max(1, n))``, the bonus of
    rewards ``scale sqrt(4 L / max(1, n))``, ``L = log(2 S A (e + 1) / delta)`` after
    ``e`` episodes. The original plans near the empirical means, with ``scale`` about
    two, and an endless horizon.

    Args:
        environment: a finite MDP with one-hot observations.
        scale: of the confidence intervals; the default agrees with published tables.
        delta: the probability of error they are made for, in (0, 1).
        prior_mean: of the mean rewards.

    Source: Jaksch, Ortner and Auer, "Near-optimal Regret Bounds for Reinforcement
    Learning", 2010.

    Raises:
        ValueError: if a number is out of range, or the environment is not such an MDP.
    """
    if not scale >= 0:
        raise ValueError(f"scale must not be negative, got {scale}")
    if not 0.0 < delta < 1.0:
        raise ValueError(f"delta must lie in (0, 1), got {delta}")

    def plan(key, statistics, horizon):
        visits = statistics.visits
        num_states, num_actions = visits.shape
        scaled = 2.0 * num_states * num_actions / delta
        log = jnp.log(scaled * (statistics.episodes + 1.0))
        bonus = scale * jnp.sqrt(4.0 * log / jnp.maximum(visits, 1.0))
        table = optimistic_action_values(
            mean_transitions(statistics),
            mean_rewards(statistics) + bonus,
            bonus * num_states**0.5,
            horizon=horizon,
        )
        return best_action_logits(key, table)

    return planner(environment, plan, prior_mean)


def exploration_bonus(
    environment: Environment, *, beta: float = 1.0, prior_mean: float = 1.0
) -> Reference:
    """Plan in the posterior mean with rewards raised by ``beta / (1 + n)`` (BEB).

    Args:
        environment: a finite MDP with one-hot observations.
        beta: weight of the bonus; tuned in the published tables, whose rows agree with
            0.75 for 10 episodes and 0.85 for 25.
        prior_mean: of the mean rewards.

    Source: Kolter and Ng, "Near-Bayesian Exploration in Polynomial Time", 2009.

    Raises:
        ValueError: if ``beta`` is negative, or the environment is not such an MDP.
    """
    if not beta >= 0:
        raise ValueError(f"beta must not be negative, got {beta}")

    def plan(key, statistics, horizon):
        rewards = mean_rewards(statistics) + beta / (1.0 + statistics.visits)
        table = action_values(mean_transitions(statistics), rewards, horizon=horizon)
        return best_action_logits(key, table)

    return planner(environment, plan, prior_mean)


def epsilon_greedy(
    environment: Environment, *, epsilon: float = 0.1, prior_mean: float = 1.0
) -> Reference:
    """Plan in the posterior mean; with ``epsilon`` take any action.

    Args:
        environment: a finite MDP with one-hot observations.
        epsilon: probability of a uniformly drawn action at every step.
        prior_mean: of the mean rewards.

    Raises:
        ValueError: if ``epsilon`` is out of range, or the environment is not such an
            MDP.
    """
    checks.unit_interval("epsilon", epsilon)

    def plan(key, statistics, horizon):
        table = action_values(
            mean_transitions(statistics), mean_rewards(statistics), horizon=horizon
        )
        best = jnp.exp(best_action_logits(key, table))
        return jnp.log((1.0 - epsilon) * best + epsilon / table.shape[-1])

    return planner(environment, plan, prior_mean)


def greedy(environment: Environment, *, prior_mean: float = 1.0) -> Reference:
    """Plan in the posterior mean.

    Args:
        environment: a finite MDP with one-hot observations.
        prior_mean: of the mean rewards.

    Raises:
        ValueError: if the environment is not a finite MDP with one-hot observations.
    """
    return epsilon_greedy(environment, epsilon=0.0, prior_mean=prior_mean)


def random(environment: Environment) -> Reference:
    """Take any action.

    Raises:
        ValueError: if the environment is not a finite MDP with one-hot observations.
    """
    return epsilon_greedy(environment, epsilon=1.0)
