"""Sampling terms: how the data an agent adapts to depends on its meta-params.

Adaptation to a finite sample maximises ``E_D[J(U(theta, D))]``, with the sample ``D``
drawn by the policy that ``theta`` gives and ``U`` the update. Its gradient has two
parts, ``E[(dU/dtheta)^T grad J(U)] + E[J(U) sum_n s_n]``, where ``s_n`` is the score
(the gradient of the log-probability) of trajectory ``n``. The first is what plain
differentiation of an update of ``log pi A`` gives. The second, which rewards
exploration, is what is here, as a term of the objective. Scores are sums over time and
over trajectories, and what weighs them are returns, neither averaged nor normalised.

With several updates each draws its own sample from its own params ``theta_k``, which
depend on ``theta`` too: the scores are differentiated through them.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxmeta import adaptation, trees
from jaxmeta.advantages import Advantage, step_discounts, steps_that_count
from jaxmeta.losses.advantage_loss import AdvantageLoss, evaluate
from jaxmeta.losses.dice import traced
from jaxmeta.types import Experience, Inner, Params, Transition

SamplingTerm = Callable[[Inner, Params, Any, Experience, Sequence[float]], jax.Array]
"""``(inner, meta_params, inner states [K + 1], experience, weights of the outer loss)
-> scalar to minimise``."""


def score_term(
    inner_loss: AdvantageLoss, outer_loss: AdvantageLoss, *, baseline: bool
) -> SamplingTerm:
    """E-MAML's term, ``-sum_k sum_n (J(theta_K) - b_n) log p(tau_n; theta_k)``.

    ``J`` is the mean discounted return of the query. The spread of its gradient grows
    as the square root of the number of episodes.

    Args:
        inner_loss: its advantage estimator says which steps of the support count.
        outer_loss: its advantage estimator gives the discount.
        baseline: subtract the mean return of the *other* episodes of the same sample,
            which does not depend on episode ``n``: it removes how hard the task is.

    Source: Stadie, Yang, Houthooft, Chen, Duan, Wu, Abbeel and Sutskever, "Some
    Considerations on Learning to Explore via Meta-Reinforcement Learning", 2018.
    """

    def term(inner, meta_params, states, experience, weights):
        returns = _returns_after(outer_loss, experience)
        total = jnp.zeros(())
        for update, later in _later_weights(weights, len(returns) - 1):
            gains = jnp.zeros(())
            for j, weight in later.items():
                gains += weight * jnp.mean(returns[j])
            if baseline:
                gains -= sum(later.values()) * _mean_of_others(returns[update])
            params = inner.params(meta_params, trees.at(states, update))
            batch = adaptation.batch_after(experience, update)
            total = total - _weigh_log_probs(inner_loss, params, batch, gains)
        return total

    return term


def leave_one_out_term(
    inner_loss: AdvantageLoss, outer_loss: AdvantageLoss
) -> SamplingTerm:
    """Each episode credited with what it added to the update.

    ``-sum_k sum_n [J(U(D_k)) - J(U(D_k without n))] log p(tau_n; theta_k)``. What is
    subtracted does not depend on episode ``n``, so the mean is that of
    :func:`score_term`; the bracket is of order ``1/N``, so the spread of the gradient
    falls as the square root of the number of episodes.

    The bracket is estimated on what ``U(D_k)`` did next, ``sum_t (rho_t - rho_{t-1})
    A_t`` with the probability ratios ``rho_t`` of the actions up to ``t``, under
    ``U(D_k without n)`` and ``U(D_k)``. The ``N`` updates run one after the other, so
    that memory does not grow with ``N``. With several inner updates, what later ones
    add to the return is not in the bracket: it weighs the scores of the earlier samples
    as in :func:`score_term`, with no bias and a spread that grows, if from less. Where
    the outer discount is below one, the bracket is that of the discounted return if
    the outer advantage has ``discount_steps=True``.

    Args:
        inner_loss: its advantage estimator says which steps of the support count.
        outer_loss: its advantage estimator gives the advantages and the discount.
    """

    def term(inner, meta_params, states, experience, weights):
        returns = _returns_after(outer_loss, experience)
        total = jnp.zeros(())
        for update, later in _later_weights(weights, len(returns) - 1):
            credit = _credit(outer_loss, inner, meta_params, states, experience, update)
            gains = sum(later.values()) * credit
            for j, weight in later.items():
                gains += weight * (jnp.mean(returns[j]) - jnp.mean(returns[update + 1]))
            params = inner.params(meta_params, trees.at(states, update))
            batch = adaptation.batch_after(experience, update)
            total = total - _weigh_log_probs(inner_loss, params, batch, gains)
        return total

    return term


def _credit(
    outer_loss: AdvantageLoss,
    inner: Inner,
    meta_params: Params,
    states: Any,
    experience: Experience,
    update: int,
) -> jax.Array:
    """``J(U(D)) - J(U(D without n))`` ``[N]`` for the episodes ``D`` of an update."""
    meta_params, states = jax.lax.stop_gradient((meta_params, states))
    batch = adaptation.batch_after(experience, update)
    after = adaptation.batch_after(experience, update + 1)
    before, reached = trees.at(states, update), trees.at(states, update + 1)
    params = inner.params(meta_params, reached)
    _, estimate = evaluate(outer_loss.policy, outer_loss.advantage, params, after)
    old_log_probs = after.distribution.log_prob(after.action)

    def improvement(params: Params) -> jax.Array:
        """Over the policy that acted: the mean of ``sum_t (rho_t - rho_{t-1}) A_t``."""
        output, _ = evaluate(outer_loss.policy, outer_loss.advantage, params, after)
        log_ratio = output.distribution.log_prob(after.action) - old_log_probs
        until = traced(log_ratio, after.timestep.is_first, 1.0)
        ratios = jnp.exp(until) - jnp.exp(until - log_ratio)
        return jnp.sum(ratios * estimate.advantages) / estimate.advantages.shape[0]

    num_episodes = batch.reward.shape[0]

    def improvement_without(episode: jax.Array) -> jax.Array:
        state = before
        if num_episodes > 1:
            others = (episode + 1 + jnp.arange(num_episodes - 1)) % num_episodes
            key, rest = experience.keys[update + 1], trees.at(batch, others)
            state, _ = inner.update(key, meta_params, before, rest)
        return improvement(inner.params(meta_params, state))

    without = jax.lax.map(improvement_without, jnp.arange(num_episodes))
    return improvement(params) - without


def _later_weights(
    weights: Sequence[float], num_updates: int
) -> Iterator[tuple[int, dict[int, float]]]:
    """Each update, and the weights of the outer losses after it that are not zero."""
    first = num_updates + 1 - len(weights)
    for update in range(num_updates):
        yield (
            update,
            {
                j: weight
                for j, weight in enumerate(weights, start=first)
                if j > update and weight
            },
        )


def _returns_after(loss: AdvantageLoss, experience: Experience) -> list[jax.Array]:
    """Discounted returns ``[N]`` of the episodes after each number of updates."""
    return [
        _returns(loss.advantage, adaptation.batch_after(experience, update))
        for update in range(experience.keys.shape[0])
    ]


def _returns(advantage: Advantage, batch: Transition) -> jax.Array:
    discounts = step_discounts(batch, advantage.discount)
    return jnp.sum(
        steps_that_count(advantage, batch) * discounts * batch.reward, axis=1
    )


def _mean_of_others(returns: jax.Array) -> jax.Array:
    """For each of ``[N]`` the mean of the others; zero where there are none."""
    return (jnp.sum(returns) - returns) / max(returns.shape[0] - 1, 1)


def _weigh_log_probs(
    loss: AdvantageLoss, params: Params, batch: Transition, gains: jax.Array
) -> jax.Array:
    """``sum_n gains_n log p(tau_n)``, whose derivative takes the gains as constants."""
    output, _ = evaluate(loss.policy, loss.advantage, params, batch)
    log_probs = output.distribution.log_prob(batch.action)
    weights = steps_that_count(loss.advantage, batch)
    per_episode = jnp.sum(weights * log_probs, axis=1)
    return jnp.sum(jax.lax.stop_gradient(gains) * per_episode)
