"""Meta-objectives: what an outer learner minimises, on the experience of one task."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxmeta import adaptation, trees
from jaxmeta.advantages import steps_that_count
from jaxmeta.losses import AdvantageLoss, Loss, evaluate
from jaxmeta.outer import AdaptedDistributions, Objective
from jaxmeta.sampling import SamplingTerm
from jaxmeta.types import Experience, Inner, Params


def after_adaptation(
    inner: Inner,
    outer_loss: Loss,
    *,
    weights: Sequence[float] = (1.0,),
    sampling_term: SamplingTerm | None = None,
) -> Objective:
    """The outer loss of the adapted params on what they did, ``L(theta_K, query)``.

    Args:
        inner: how data changes the agent; it is differentiated through.
        outer_loss: what adapted params should make small.
        weights: of the outer loss after each of the last inner updates, the very last
            one at the end.
        sampling_term: adds how the support data itself depends on the meta-params.

    Returns:
        ``(meta_params, experience of one task) -> (scalar, info)``.
    """

    def objective(meta_params: Params, experience: Experience):
        states, _ = adaptation.adaptation_states(meta_params, experience, inner=inner)
        num_updates = experience.keys.shape[0] - 1
        total, info = jnp.zeros(()), {}
        for update, weight in enumerate(weights, start=num_updates + 1 - len(weights)):
            params = inner.params(meta_params, trees.at(states, update))
            loss, info = outer_loss(params, adaptation.batch_after(experience, update))
            total = total + weight * loss
        if sampling_term is not None:
            term = sampling_term(inner, meta_params, states, experience, weights)
            total = total + term
        return total, info

    return objective


def adapted_distributions(
    inner: Inner, outer_loss: AdvantageLoss, *, weights: Sequence[float] = (1.0,)
) -> AdaptedDistributions:
    """The adapted policies' distributions, whose KL a trust region bounds.

    Args:
        inner: how data changes the agent; it is differentiated through.
        outer_loss: its advantage estimator says which steps count.
        weights: of the policies after each of the last inner updates, the very last
            one at the end, as in ``after_adaptation``; they add up to one here.

    Returns:
        ``(meta_params, experience of one task) -> (distribution, recorded, weights)``,
        each ``[len(weights), N, T]``.
    """
    total = sum(weights)

    def distributions(meta_params: Params, experience: Experience):
        states, _ = adaptation.adaptation_states(meta_params, experience, inner=inner)
        num_updates = experience.keys.shape[0] - 1
        found = []
        for update, weight in enumerate(weights, start=num_updates + 1 - len(weights)):
            params = inner.params(meta_params, trees.at(states, update))
            batch = adaptation.batch_after(experience, update)
            output, _ = evaluate(outer_loss.policy, outer_loss.advantage, params, batch)
            counts = steps_that_count(outer_loss.advantage, batch)
            share = counts / jnp.maximum(jnp.sum(counts), 1) * (weight / total)
            found.append((output.distribution, batch.distribution, share))
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *found)

    return distributions
