"""Agents that live on from one meta-update to the next."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmeta import batching, losses, rollouts, trees
from jaxmeta.losses import AdvantageLoss
from jaxmeta.rollouts import RolloutState
from jaxmeta.types import (
    Environment,
    Experience,
    Inner,
    Key,
    Params,
    Policy,
    Transition,
)


class Scores(NamedTuple):
    """Returns of the episodes of ``N`` environments.

    Attributes:
        running: ``[N]`` of the episodes that go on.
        last: ``[N]`` of those that ended last, zero before the first end.
        has_ended: ``[N]`` bool, whether there was one.
    """

    running: jax.Array
    last: jax.Array
    has_ended: jax.Array


class Returns(NamedTuple):
    """How well an agent did by the end of each of ``B`` batches.

    Attributes:
        mean: ``[B]`` return of the episodes that ended last, zero without any.
        share: ``[B]`` of the environments in which an episode had ended.
    """

    mean: jax.Array
    share: jax.Array


class Window(NamedTuple):
    """A part of a life.

    Attributes:
        returns: ``[B]``, by the end of each batch of it.
        perturbation: like the meta-params, how far those that acted were from the
            meta-params in every window of this life so far, this one included, added
            up. None: the meta-params themselves acted, or each window is judged by
            itself.
    """

    returns: Returns
    perturbation: Any = None


class Lifetime(NamedTuple):
    """One agent in one task, in ``N`` copies of its environment; a batch adds ``[M]``.

    Attributes:
        task: it was born into.
        agent: the state of the inner learner.
        rollouts: where the copies of the environment stand, ``[N]``.
        scores: how well it does.
        age: ``[]`` int32, updates it has made.
    """

    task: Any
    agent: Any
    rollouts: RolloutState
    scores: Scores
    age: jax.Array


def born(
    key: Key,
    meta_params: Params,
    task: Any,
    *,
    environment: Environment,
    policy: Policy,
    inner: Inner,
    num_environments: int,
) -> Lifetime:
    """A new agent at the start of its life.

    Args:
        key: consumed.
        meta_params: of the inner learner.
        task: it is born into.
        environment: where it acts.
        policy: how.
        inner: how it learns; its ``init`` makes the agent.
        num_environments: ``N``.
    """
    key_agent, key_start = jax.random.split(key)
    starts = jax.vmap(lambda key: rollouts.start(key, environment, policy, task))(
        jax.random.split(key_start, num_environments)
    )
    zeros = jnp.zeros(num_environments)
    agent = jax.lax.stop_gradient(inner.init(key_agent, meta_params))
    scores = Scores(zeros, zeros, jnp.zeros(num_environments, bool))
    lifetime = Lifetime(task, agent, starts, scores, jnp.int32(0))
    return trees.strong_types(lifetime)


def live(
    key: Key,
    meta_params: Params,
    lifetime: Lifetime,
    *,
    environment: Environment,
    policy: Policy,
    inner: Inner,
    num_updates: int,
    length: int,
    judged: bool = True,
    task_batch_size: int | None = None,
) -> tuple[Lifetime, Experience]:
    """Act and update by turns, from where the lifetime stands, without gradients.

    Environments go on where they stood: an episode may last over several updates.

    Args:
        key: consumed.
        meta_params: how the agent learns.
        lifetime: to go on with.
        environment: where it acts.
        policy: how.
        inner: how it learns.
        num_updates: ``K``.
        length: ``T`` steps of each of ``N`` environments per update.
        judged: whether the agent acts once more after the last update. Nothing learns
            from that batch, so it can judge what was learned.
        task_batch_size: under ``jax.vmap`` over lifetimes, acting is for all at once,
            updates are for so many at a time; see ``batching.map_tasks``.

    Returns:
        The lifetime ``K`` updates later; and the experience, support ``[K, N, T]`` and
        query ``[N, T]`` (None unless ``judged``), with the agent of before as
        ``initial`` and returns by the end of each batch, ``[K + 1]`` or ``[K]``, as
        ``window``.
    """
    meta_params = jax.lax.stop_gradient(meta_params)
    key_updates, key_act = jax.random.split(key)
    keys = jax.random.split(key_updates, num_updates + 1)
    num_batches = num_updates + judged
    inner_update = batching.map_when_batched(inner.update, batch_size=task_batch_size)

    def act(key, params, state):
        return rollouts.rollout(
            key, environment, policy, params, lifetime.task, state, length=length
        )

    def act_then_update(carry, step):
        agent, states, scores = carry
        key_act, key_update, is_last = step
        num_environments = scores.last.shape[0]
        batch, states = jax.vmap(act, in_axes=(0, None, 0))(
            jax.random.split(key_act, num_environments),
            inner.params(meta_params, agent),
            states,
        )
        scores = jax.vmap(_count)(scores, batch)
        agent = jax.lax.cond(
            is_last,
            lambda: agent,
            lambda: inner_update(key_update, meta_params, agent, batch)[0],
        )
        return (agent, states, scores), (batch, _returns(scores))

    (agent, states, scores), (batches, returns) = jax.lax.scan(
        act_then_update,
        (lifetime.agent, lifetime.rollouts, lifetime.scores),
        (
            jax.random.split(key_act, num_batches),
            jnp.roll(keys, -1)[:num_batches],  # keys[0] is that of Inner.init
            jnp.arange(num_batches) == num_updates,
        ),
    )
    experience = Experience(
        keys=keys,
        support=jax.tree.map(lambda leaf: leaf[:num_updates], batches),
        query=trees.at(batches, -1) if judged else None,
        initial=lifetime.agent,
        window=Window(returns),
    )
    age = lifetime.age + num_updates
    return Lifetime(lifetime.task, agent, states, scores, age), experience


def mean_returns(returns: Returns) -> jax.Array:
    """Over lives ``[..., B]``, of those in which an episode has ended; ``[B]``."""
    axes = tuple(range(returns.mean.ndim - 1))
    total = jnp.sum(returns.mean * returns.share, axis=axes)
    return total / jnp.maximum(jnp.sum(returns.share, axis=axes), 1e-8)


def check_loss(name: str, loss: Any) -> None:
    """Check that a loss makes sense of batches that start and end anywhere.

    Args:
        name: of the argument, for the error.
        loss: a loss.

    Raises:
        TypeError: if it is no function, or scheduled.
        ValueError: if its advantages count from the start of an episode or of a trial,
            or need its end.
    """
    if not callable(loss):
        raise TypeError(f"{name} must give a loss, got {loss!r}")
    losses.check_not_scheduled(**{name: loss})
    if not isinstance(loss, AdvantageLoss):
        return
    advantage = loss.advantage
    what = {
        "need complete episodes": advantage.needs_complete_episodes,
        "are those of trials": advantage.episodes_per_trial is not None,
        "discount steps from the start": advantage.discount_steps,
    }
    for reason, is_so in what.items():
        if is_so:
            raise ValueError(
                f"{name}: its advantages {reason}, and a batch of an agent that lives "
                "on starts and ends in the middle of episodes; use value_baseline with "
                "a critic"
            )


def _returns(scores: Scores) -> Returns:
    share = jnp.mean(scores.has_ended)
    return Returns(jnp.mean(scores.last) / jnp.where(share > 0, share, 1.0), share)


def _count(scores: Scores, transitions: Transition) -> Scores:
    """The scores of one environment after ``[T]`` more steps."""

    def step(scores, transition):
        running = scores.running + transition.reward
        ends = transition.terminated | transition.truncated
        last = jnp.where(ends, running, scores.last)
        has_ended = scores.has_ended | ends
        return Scores(jnp.where(ends, 0.0, running), last, has_ended), None

    return jax.lax.scan(step, scores, transitions)[0]
