"""VariBAD: a policy that acts on what it believes about its task."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax

from jaxmeta import (
    advantages,
    checks,
    decoders,
    inner,
    losses,
    replay,
    rollouts,
    trees,
)
from jaxmeta.advantages import Advantage
from jaxmeta.algorithms import family, trials
from jaxmeta.decoders import Decoder
from jaxmeta.losses import Loss
from jaxmeta.losses.elbo import BeliefLoss
from jaxmeta.policies.adapters import told_as
from jaxmeta.types import (
    Environment,
    Key,
    MetaLearner,
    Outer,
    Params,
    Policy,
    TaskDistribution,
    Transition,
)


class VariBADParams(NamedTuple):
    """What VariBAD learns: a policy with beliefs, and what they mean."""

    policy: Params
    decoder: Params


class VariBADState(NamedTuple):
    """The states of both optimizers, and the trials beliefs are learned from."""

    outer: Any
    model: Any
    replay: replay.Replay


def varibad(
    tasks: TaskDistribution,
    policy: Policy,
    *,
    decoder: Decoder,
    outer_optimizer: optax.GradientTransformation,
    model_optimizer: optax.GradientTransformation,
    num_tasks: int,
    num_episodes: int = 1,
    length: int | None = None,
    advantage: Advantage | None = None,
    outer_loss: Loss | None = None,
    entropy_coefficient: float | None = None,
    num_epochs: int = 4,
    num_minibatches: int = 4,
    num_model_updates: int = 3,
    model_batch_size: int = 32,
    capacity: int = 1000,
    kl_weight: float = 0.01,
    kl_to: Literal["previous", "prior"] = "previous",
    decode: Literal["trial", "past"] = "trial",
    stochastic: bool = True,
) -> MetaLearner:
    """VariBAD: approximately Bayes-optimal behaviour by variational inference.

    A trial is ``num_episodes`` episodes of one task. An encoder infers the posterior
    of a latent task from it, step by step; it is trained, with a decoder, to maximise
    the evidence lower bound of whole trials (``losses.elbo``) on a replay of past ones.
    The policy acts on the observation and the posterior, so that it knows what it does
    not know, and maximises the reward of the trial by proximal policy optimization. No
    gradient of the policy's loss reaches the encoder.

    Ablations of the paper are arguments: ``kl_weight=0``, ``kl_to="prior"``,
    ``decode="past"``, ``stochastic=False``, and ``policies.belief(...,
    policy_gradient=True)``; with ``num_model_updates=0`` too that is RL^2.

    Args:
        tasks: the distribution of tasks.
        policy: one with beliefs and a critic, ``policies.belief``.
        decoder: what beliefs are to explain, such as ``decoders.reward``.
        outer_optimizer: of the policy's params. Those of the encoder have no gradient
            here, so they stay, unless weight decay shrinks them.
        model_optimizer: of encoder and decoder; likewise the policy's own stay.
        num_tasks: tasks per update, with one trial each.
        num_episodes: episodes in a trial.
        length: steps in a trial; by default ``num_episodes`` times the horizon.
        advantage: as in ``rl2``, like the next four; ``value_baseline(discount=0.95,
            trace_decay=0.95, episodes_per_trial=num_episodes)`` by default.
        outer_loss: of the policy.
        entropy_coefficient: of the default loss.
        num_epochs: how often an update learns from its trials.
        num_minibatches: steps of the optimizer per epoch.
        num_model_updates: steps of the model's optimizer per update.
        model_batch_size: trials in each, drawn from the replay.
        capacity: trials the replay keeps.
        kl_weight: as in ``losses.elbo``, like those that follow.
        kl_to: what beliefs are held close to.
        decode: what beliefs explain.
        stochastic: draw latents.

    Source: Zintgraf, Shiarlis, Igl, Schulze, Gal, Hofmann and Whiteson, "VariBAD: A
    Very Good Method for Bayes-Adaptive Deep RL via Meta-Learning", 2020.

    Raises:
        TypeError: if a number is no integer, or ``decoder`` none.
        ValueError: as ``rl2``; if the policy has no beliefs, the decoder does not fit
            the rewards of the tasks, or the replay cannot hold the trials of an update.
    """
    num_episodes = checks.positive_int("num_episodes", num_episodes)
    num_tasks = checks.positive_int("num_tasks", num_tasks)
    capacity = checks.positive_int("capacity", capacity, minimum=num_tasks)
    model_batch_size = checks.positive_int("model_batch_size", model_batch_size)
    num_model_updates = checks.positive_int(
        "num_model_updates", num_model_updates, minimum=0
    )
    family.check_optimizers(model_optimizer=model_optimizer)
    belief_loss = losses.elbo(
        policy,
        decoder,
        kl_weight=kl_weight,
        kl_to=kl_to,
        decode=decode,
        stochastic=stochastic,
    )
    if advantage is None and outer_loss is None:
        advantage = advantages.value_baseline(
            discount=0.95, trace_decay=0.95, episodes_per_trial=num_episodes
        )

    def extend(policy_optimization: Outer, steps: int):
        example = jax.eval_shape(
            partial(_trial, tasks, policy, steps), jax.random.key(0)
        )
        num_latents = _check_decoder(decoder, tasks, policy, example)

        def init(key):
            key_policy, key_decoder = jax.random.split(key)
            return VariBADParams(
                policy.init(key_policy), decoder.init(key_decoder, num_latents)
            )

        learns = _learning_beliefs(
            policy_optimization,
            belief_loss,
            model_optimizer,
            partial(replay.empty, example, capacity),
            num_updates=num_model_updates,
            batch_size=model_batch_size,
        )
        return inner.identity(lambda meta_params: meta_params.policy), learns, init

    return trials.policy_optimization(
        tasks,
        policy,
        trials.choose_loss(policy, advantage, outer_loss, entropy_coefficient),
        outer_optimizer=outer_optimizer,
        num_tasks=num_tasks,
        num_trials=1,
        episodes_per_trial=num_episodes,
        length=length,
        num_epochs=num_epochs,
        num_minibatches=num_minibatches,
        extend=extend,
    )


def _learning_beliefs(
    policy_optimization: Outer,
    belief_loss: BeliefLoss,
    optimizer: optax.GradientTransformation,
    empty: Callable[[], replay.Replay],
    *,
    num_updates: int,
    batch_size: int,
) -> Outer:
    """Policy optimization, then steps of encoder and decoder on past trials."""

    def init(meta_params):
        return VariBADState(
            policy_optimization.init(meta_params.policy),
            trees.strong_types(optimizer.init(meta_params)),
            empty(),
        )

    def loss(meta_params, key, past):
        return belief_loss(key, meta_params.policy, meta_params.decoder, past)

    def model_step(kept, carry, key):
        meta_params, state = carry
        key_trials, key_latents = jax.random.split(key)
        past = replay.sample(key_trials, kept, batch_size)
        gradients, info = jax.grad(loss, has_aux=True)(meta_params, key_latents, past)
        updates, state = optimizer.update(gradients, state, meta_params)
        return (optax.apply_updates(meta_params, updates), state), info

    def update(key, meta_params, state, experience):
        key_policy, key_model = jax.random.split(key)
        policy_params, outer_state, info = policy_optimization.update(
            key_policy, meta_params.policy, state.outer, experience
        )
        meta_params = meta_params._replace(policy=policy_params)
        kept = replay.add(state.replay, _acted(experience.query))
        carry = (meta_params, state.model)
        if num_updates:
            carry, model_info = jax.lax.scan(
                partial(model_step, kept),
                carry,
                jax.random.split(key_model, num_updates),
            )
            info = {**info, **jax.tree.map(jnp.mean, model_info)}
        meta_params, model_state = carry
        return meta_params, VariBADState(outer_state, model_state, kept), info

    return Outer(init, update)


def _acted(trials: Transition) -> Transition:
    """Trials ``[M, 1, T]`` as ``[M, T]``, without what beliefs are not learned from."""
    return jax.tree.map(lambda leaf: leaf[:, 0], trials._replace(distribution=()))


def _trial(
    tasks: TaskDistribution, policy: Policy, length: int, key: Key
) -> Transition:
    """A trial ``[T]`` of an untrained policy, as it is kept."""
    found = rollouts.episodes(
        key,
        cast(Environment, tasks.environment),
        policy,
        policy.init(key),
        tasks.sample(key),
        num_episodes=1,
        length=length,
    )
    return trees.at(found._replace(distribution=()), 0)


def _check_decoder(
    decoder: Decoder, tasks: TaskDistribution, policy: Policy, example: Transition
) -> int:
    """Check that a decoder explains trials of the tasks; the number of its latents."""
    decoders.check_fit(decoder, tasks)
    beliefs_of = policy.beliefs
    assert beliefs_of is not None

    def explain(key, trial):
        latent = beliefs_of(policy.init(key), trial.timestep).mean[0]
        params = decoder.init(key, latent.shape[0])
        return latent, decoder.log_prob(params, latent, trial)

    environment = tasks.environment
    with told_as(
        f"decoder: it cannot explain {environment.name}, whose observations have shape "
        f"{environment.observation.shape} and whose actions are {environment.action}; "
        "make it for tasks.environment"
    ):
        latent, log_probs = jax.eval_shape(explain, jax.random.key(0), example)
    if log_probs.shape != example.reward.shape:
        raise ValueError(
            f"decoder: its log_prob of a trial of shape {example.reward.shape} has "
            f"shape {log_probs.shape}; there must be one for every reward"
        )
    return latent.shape[0]
