"""Meta-objectives: what an outer learner minimises, on the experience of one task."""

from collections.abc import Sequence

import jax.numpy as jnp

from jaxmeta import adaptation, trees
from jaxmeta.losses import Loss
from jaxmeta.outer import Objective
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
