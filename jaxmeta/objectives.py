"""Meta-objectives: what an outer learner minimises, on the experience of one task."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import optax

from jaxmeta import adaptation, trees
from jaxmeta.advantages import steps_that_count
from jaxmeta.losses import AdvantageLoss, Loss, evaluate
from jaxmeta.outer import AdaptedDistributions, Objective
from jaxmeta.rollouts import unroll
from jaxmeta.sampling import SamplingTerm
from jaxmeta.types import Experience, Inner, Params, Policy, Transition


def after_adaptation(
    inner: Inner,
    outer_loss: Loss,
    *,
    weights: Sequence[float] = (1.0,),
    sampling_term: SamplingTerm | None = None,
    regularizer: str | None = None,
) -> Objective:
    """The outer loss of the adapted params on what they did, ``L(theta_K, query)``.

    Args:
        inner: how data changes the agent; it is differentiated through.
        outer_loss: what adapted params should make small.
        weights: of the outer loss after each of the last inner updates, the very last
            one at the end.
        sampling_term: adds how the support data itself depends on the meta-params.
        regularizer: an entry of the info of an inner update, whose mean over updates is
            added; None: nothing is.

    Returns:
        ``(meta_params, experience of one task) -> (scalar, info)``.
    """

    def objective(meta_params: Params, experience: Experience):
        states, inner_info = adaptation.adaptation_states(
            meta_params, experience, inner=inner
        )
        num_updates = experience.keys.shape[0] - 1
        total, info = jnp.zeros(()), {}
        for update, weight in enumerate(weights, start=num_updates + 1 - len(weights)):
            params = inner.params(meta_params, trees.at(states, update))
            loss, info = outer_loss(params, adaptation.batch_after(experience, update))
            total = total + weight * loss
        if sampling_term is not None:
            term = sampling_term(inner, meta_params, states, experience, weights)
            total = total + term
        if regularizer is not None:
            found = jnp.mean(inner_info[regularizer])
            total, info = total + found, {**info, regularizer: found}
        return total, info

    return objective


def bootstrapped(
    inner: Inner,
    policy: Policy,
    target_loss: Loss,
    target_optimizer: optax.GradientTransformation,
    *,
    num_matched: int,
) -> Objective:
    """How far the agent is from what it would become with more updates.

    ``KL(pi_target || pi_K)``, averaged over the steps of the query. The target is the
    agent after all ``K + L - 1`` inner updates of the experience and one step of
    ``target_optimizer`` on ``target_loss``, which does not depend on the meta-params;
    no gradient passes through it. The meta-gradient is that of the first ``K``.

    Args:
        inner: how data changes the agent; it is differentiated through.
        policy: who acts.
        target_loss: what the last step towards the target descends, on the query.
        target_optimizer: of that step.
        num_matched: ``K``.

    Source: Flennerhag, Schroecker, Zahavy, van Hasselt, Silver and Singh,
    "Bootstrapped Meta-Learning", 2022.
    """

    def distributions(params: Params, batch: Transition):
        def along(trajectory):
            return unroll(policy, params, trajectory, next_values=False)[0]

        return jax.vmap(along)(batch).distribution

    def objective(meta_params: Params, experience: Experience):
        # Only the way to what is matched is differentiated, so it goes on apart.
        until = experience._replace(
            keys=experience.keys[: num_matched + 1],
            support=jax.tree.map(lambda leaf: leaf[:num_matched], experience.support),
        )
        states, _ = adaptation.adaptation_states(meta_params, until, inner=inner)
        state = trees.at(states, -1)
        matched = inner.params(meta_params, state)
        fixed, state = jax.lax.stop_gradient((meta_params, state))
        after = experience._replace(
            keys=experience.keys[num_matched:],
            support=jax.tree.map(lambda leaf: leaf[num_matched:], experience.support),
            initial=state,
        )
        states, _ = adaptation.adaptation_states(fixed, after, inner=inner)
        params = inner.params(fixed, trees.at(states, -1))
        gradients, info = jax.grad(target_loss, has_aux=True)(params, experience.query)
        updates, _ = target_optimizer.update(
            gradients, target_optimizer.init(params), params
        )
        target = jax.lax.stop_gradient(optax.apply_updates(params, updates))
        divergence = distributions(target, experience.query).kl(
            distributions(matched, experience.query)
        )
        return jnp.mean(divergence), info

    return objective


def lifetime_return(*, final: bool = False) -> Objective:
    """Minus how well an agent that lives on does, for what asks for no gradient.

    The mean return of the episodes that had ended last by the end of each batch that an
    updated agent acted, averaged over the window. Only environments in which an episode
    has ended count, and it is zero before any has: where windows are shorter than
    episodes, or returns negative, an agent that ends none may look best;
    ``lifetime_reward`` counts every step.

    Args:
        final: only by the end of the window. Where that is the end of its life, this is
            what a learning rule is for.
    """

    def objective(meta_params: Params, experience: Experience):
        del meta_params
        after = experience.window.returns.mean[1:]
        return -(after[-1] if final else jnp.mean(after)), {}

    return objective


def lifetime_reward() -> Objective:
    """Minus the mean reward of a step that an updated agent takes in a window.

    It counts every step, and so does not wait for the end of an episode.
    """

    def objective(meta_params: Params, experience: Experience):
        del meta_params
        support, query = experience.support.reward[1:], experience.query.reward
        rewards = jnp.concatenate([support, query[None]])
        return -jnp.mean(rewards), {}

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
