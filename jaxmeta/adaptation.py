"""Collect, then adapt.

Interaction without gradients first; then the same inner updates again on what was
recorded, differentiable in the meta-params.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxmeta import batching, rollouts, trees
from jaxmeta.types import (
    Dataset,
    Environment,
    Examples,
    Experience,
    Info,
    Inner,
    Key,
    Params,
    Policy,
)


def collect(
    key: Key,
    meta_params: Params,
    task: Any,
    *,
    environment: Environment | Dataset,
    policy: Policy,
    inner: Inner,
    num_updates: int,
    num_episodes: int,
    length: int,
    task_batch_size: int | None = None,
) -> Experience:
    """Interact with one task: act, update, act again, with fresh episodes each time.

    No gradient passes through it: differentiate :func:`adapt` on what it returns. Of a
    Dataset it draws examples once, and every update learns from the same support, as
    in the field's K-shot protocol.

    Args:
        key: consumed.
        meta_params: what adaptation starts from.
        task: the task.
        environment: where to act, or a Dataset to draw examples from.
        policy: who acts.
        inner: how data changes the agent.
        num_updates: ``K`` inner updates.
        num_episodes: ``N`` episodes per update, and as many of the adapted policy; for
            a Dataset, examples in the support, and as many others in the query.
        length: ``T`` steps per episode.
        task_batch_size: under ``jax.vmap`` over tasks, acting is on all of them at
            once, updates are on so many at a time; see ``batching.map_tasks``.

    Returns:
        The experience: support ``[K, N, T]``, query ``[N, T]``; of examples without
        the ``T``.
    """
    if isinstance(environment, Dataset):
        return _draw(key, environment, task, num_updates, num_episodes)
    meta_params = jax.lax.stop_gradient(meta_params)
    key_inner, key_act = jax.random.split(key)
    keys = jax.random.split(key_inner, num_updates + 1)
    inner_update = batching.map_when_batched(inner.update, batch_size=task_batch_size)

    def act_then_update(state, step):
        key_act, key_update, is_last = step
        batch = rollouts.episodes(
            key_act,
            environment,
            policy,
            inner.params(meta_params, state),
            task,
            num_episodes=num_episodes,
            length=length,
        )
        # The query is acted in the same loop, so that the rollout compiles only once.
        state = jax.lax.cond(
            is_last,
            lambda: state,
            lambda: inner_update(key_update, meta_params, state, batch)[0],
        )
        return state, batch

    steps = (
        jax.random.split(key_act, num_updates + 1),
        jnp.roll(keys, -1),  # keys[0] is that of init; the last step does not update
        jnp.arange(num_updates + 1) == num_updates,
    )
    state = inner.init(keys[0], meta_params)
    _, batches = jax.lax.scan(act_then_update, state, steps)
    support = jax.tree.map(lambda leaf: leaf[:-1], batches)
    query = jax.tree.map(lambda leaf: leaf[-1], batches)
    return Experience(keys=keys, support=support, query=query)


def _draw(
    key: Key, dataset: Dataset, task: Any, num_updates: int, num_examples: int
) -> Experience:
    """Examples of one task: the same ``N`` for every update, ``N`` others as query."""
    key_inner, key_examples = jax.random.split(key)
    drawn = dataset.examples(key_examples, task, 2 * num_examples)
    support = jax.tree.map(
        lambda leaf: jnp.broadcast_to(
            leaf[None, :num_examples], (num_updates, num_examples, *leaf.shape[1:])
        ),
        drawn,
    )
    query = jax.tree.map(lambda leaf: leaf[num_examples:], drawn)
    keys = jax.random.split(key_inner, num_updates + 1)
    return Experience(keys=keys, support=support, query=query)


def adapt(
    meta_params: Params, experience: Experience, *, inner: Inner
) -> tuple[Params, Info]:
    """Repeat the inner updates on recorded data of one task.

    On what :func:`collect` recorded with the same meta-params this gives the params it
    acted with in the query episodes; with others, or on data from elsewhere, what the
    same data would have taught an agent that started from those.

    Args:
        meta_params: what adaptation starts from; the result is differentiable in them.
        experience: of one task; the query is not used.
        inner: how data changes the agent.

    Returns:
        The adapted policy params, and the info of the updates with a leading ``[K]``.
    """
    params, info = adaptation_path(meta_params, experience, inner=inner)
    return jax.tree.map(lambda leaf: leaf[-1], params), info


def adaptation_path(
    meta_params: Params, experience: Experience, *, inner: Inner
) -> tuple[Params, Info]:
    """The policy params before adaptation and after each inner update.

    Args:
        meta_params: as in :func:`adapt`.
        experience: as in :func:`adapt`.
        inner: as in :func:`adapt`.

    Returns:
        Policy params with a leading ``[K + 1]``, and the info of the updates ``[K]``.
    """
    states, info = adaptation_states(meta_params, experience, inner=inner)
    size = experience.keys.shape[0]  # a state may be empty
    params = jax.vmap(lambda s: inner.params(meta_params, s), axis_size=size)(states)
    return params, info


def adaptation_states(
    meta_params: Params, experience: Experience, *, inner: Inner
) -> tuple[Any, Info]:
    """The states of the inner learner before adaptation and after each update.

    Args:
        meta_params: as in :func:`adapt`.
        experience: as in :func:`adapt`.
        inner: as in :func:`adapt`.

    Returns:
        States with a leading ``[K + 1]``, and the info of the updates ``[K]``.
    """

    def update(state, step):
        key, batch = step
        state, info = inner.update(key, meta_params, state, batch)
        return state, (state, info)

    start = experience.initial
    if start is None:
        start = inner.init(experience.keys[0], meta_params)
    steps = (experience.keys[1:], experience.support)
    # Few updates are worth laying out one after the other: on a CPU, what is inside a
    # loop does not run in parallel.
    num_updates = experience.keys.shape[0] - 1
    unroll = max(num_updates, 1) if num_updates <= 4 else 1
    _, (states, info) = jax.lax.scan(update, start, steps, unroll=unroll)
    path = jax.tree.map(lambda x, xs: jnp.concatenate([x[None], xs]), start, states)
    return path, info


def batch_after(experience: Experience, update: int) -> Any:
    """What the agent did after so many inner updates, ``[N, T]``.

    The data of an update is the support of the next one; that of the last, the query.
    Examples are the query whatever the number of updates.
    """
    if isinstance(experience.query, Examples):
        return experience.query
    num_updates = experience.keys.shape[0] - 1
    if update == num_updates:
        return experience.query
    return trees.at(experience.support, update)
