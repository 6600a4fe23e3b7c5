"""Enumerated trajectories as jaxmeta's batches, and means over them of its code."""

import enumeration as en
import expectations as ex
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxmeta import advantages, inner, losses, objectives
from jaxmeta.distributions import Categorical
from jaxmeta.types import Experience, Policy, PolicyOutput, Timestep, Transition


def table_policy() -> Policy:
    """Params ``[S, A]`` are the logits; an observation is the number of a state."""

    def apply(params, carry, timestep):
        row = timestep.observation.astype(int)
        return PolicyOutput(Categorical(params[row]), None), carry

    return Policy(lambda key: None, lambda: (), apply)


def advantage(discount, table, **options) -> advantages.Advantage:
    """Returns to go less the baseline ``table`` ``[T, S]``, steps discounted."""

    def baseline(batch):
        time = jnp.arange(batch.reward.shape[1])[None]
        return table[time, batch.timestep.observation.astype(int)]

    return advantages.custom_baseline(
        baseline, discount=discount, **{"discount_steps": True, **options}
    )


def transitions(tau: en.Trajectories, chosen, params) -> Transition:
    """The batch ``[N, T]`` of trajectories ``chosen`` ``[N]``, acted by ``params``."""
    states, actions = tau.states[chosen], tau.actions[chosen]
    rewards, no = tau.rewards[chosen], jnp.zeros(states.shape, bool)
    time = jnp.broadcast_to(jnp.arange(states.shape[1])[None], states.shape)
    observations = states.astype(params.dtype)
    # Nothing that is tested looks at what was before an action, or after the last.
    timestep = Timestep(observations, actions, rewards, time == 0)
    return Transition(
        timestep=timestep,
        action=actions,
        distribution=Categorical(params[states]),
        reward=rewards,
        terminated=time == states.shape[1] - 1,
        truncated=no,
        next_observation=observations,
    )


def make_objective(estimator, discount, table, rate, **options):
    """The meta-objective ``(meta_params, experience) -> (scalar, info)``."""
    policy, advantage_ = table_policy(), advantage(discount, table, **options)
    inner_loss = estimator.inner_loss(policy, advantage_)
    outer_loss = losses.policy_gradient(
        policy, advantage(discount, table), average="episode"
    )
    # Inner losses average over the steps too: all episodes have as many.
    optimizer = optax.sgd(rate * table.shape[0])
    adapter = inner.gradient(
        inner_loss, optimizer, first_order=estimator.first_order, rematerialize=False
    )
    term = estimator.sampling_term
    if term is not None:  # unchecked, so that a wrong combination can be tried
        term = term(inner_loss, outer_loss)
    return objectives.after_adaptation(adapter, outer_loss, sampling_term=term)


def experience_and_chance(theta, tau, setting, support, query):
    """One experience of given trajectories, and its probability.

    Who acts after an update is found by the definition of the update.

    Args:
        theta: ``[d]``.
        tau: the task.
        setting: what an inner update is.
        support: ``[K, N]`` indices.
        query: ``[Q]`` indices.
    """
    chance, batches = 1.0, []
    for chosen in support:
        each = en.probabilities(theta, tau, setting.shape)
        chance = chance * jnp.prod(each[chosen])
        batches.append(transitions(tau, chosen, theta.reshape(setting.shape)))
        gradient = ex.estimates(theta, tau, setting)[chosen].mean(0)
        theta = theta + setting.rate * gradient
    chance = chance * jnp.prod(en.probabilities(theta, tau, setting.shape)[query])
    keys = jnp.zeros(len(support) + 1)
    support = jax.tree.map(lambda *leaves: jnp.stack(leaves), *batches)
    query = transitions(tau, query, theta.reshape(setting.shape))
    return Experience(keys, support, query), chance


def all_experiences(count: int, size: int, num_updates: int, num_query: int = 1):
    """Indices of all supports ``[E, K, N]`` and queries ``[E, Q]``, and orderings."""
    chosen, orderings = en.batches(count, size)
    asked, asked_orderings = en.batches(count, num_query)
    axes = [np.arange(len(chosen))] * num_updates + [np.arange(len(asked))]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, num_updates + 1)
    weight = orderings[grid[:, :-1]].prod(1) * asked_orderings[grid[:, -1]]
    return chosen[grid[:, :-1]], asked[grid[:, -1]], weight


def moments(objective, theta, tau, setting, support, query, orderings):
    """The mean ``[d]`` of minus the meta-gradient over experiences, and of its square.

    Args:
        objective: ``(meta_params, experience) -> (scalar, info)``.
        theta: as the others in :func:`experience_and_chance`, with a leading ``[E]``.
        tau: see there.
        setting: see there.
        support: see there.
        query: see there.
        orderings: ``[E]``, how many experiences each stands for.
    """

    def one(support, query, orderings):
        seen, chance = experience_and_chance(theta, tau, setting, support, query)
        params = theta.reshape(setting.shape)
        gradient = -jax.grad(objective, has_aux=True)(params, seen)[0].reshape(-1)
        return orderings * chance, gradient

    weight, gradients = jax.vmap(one)(support, query, orderings)
    return weight @ gradients, weight @ jnp.sum(gradients**2, axis=1)
