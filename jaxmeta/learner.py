"""The meta-learner: tasks, policy, inner and outer learner put together."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxmeta import adaptation, batching, checks, policies, rollouts, sharding, trees
from jaxmeta.returns import episode_returns
from jaxmeta.types import (
    Dataset,
    Environment,
    Experience,
    Info,
    Inner,
    Key,
    MetaLearner,
    MetaState,
    Outer,
    Params,
    Policy,
    TaskDistribution,
    Transition,
)


def meta_learner(
    tasks: TaskDistribution,
    policy: Policy,
    inner: Inner,
    outer: Outer,
    meta_init: Callable[[Key], Params],
    *,
    num_tasks: int,
    num_updates: int,
    num_episodes: int,
    length: int | None = None,
    episodes_per_trial: int = 1,
    task_batch_size: int | None = None,
) -> MetaLearner:
    """Compose a meta-learner.

    One ``update`` samples ``M`` tasks, collects experience of each (``K`` times ``N``
    support episodes with an inner update after each batch, ``N`` query episodes of the
    adapted policy) and hands it to the outer learner. Its info holds ``returns``
    ``[K + 1]``, the mean return before adaptation and after each inner update (of the
    first ``length`` steps of an episode, where that is less than the horizon);
    ``environment_steps``; and the info of the outer learner. For a Dataset an episode
    is an example: see :func:`performance` for ``returns``.

    With ``episodes_per_trial`` a policy's memory lasts over ``E`` episodes of a task,
    and what was an episode above is a trial of so many: ``returns`` are ``[(K + 1)
    E]``, episode after episode.

    Args:
        tasks: the distribution of tasks.
        policy: who acts.
        inner: how the data of one task changes the agent.
        outer: how the experience of a batch of tasks changes the meta-params.
        meta_init: ``key -> meta_params``.
        num_tasks: ``M`` tasks per update.
        num_updates: ``K`` inner updates per task.
        num_episodes: ``N`` episodes per inner update, and in the query; for a Dataset
            the examples ("shots") of the support, and as many others in the query.
        length: ``T`` steps per episode; by default the environment's horizon. A
            Dataset has none. Of a trial, ``E`` times as many by default.
        episodes_per_trial: ``E`` episodes that the policy's memory lasts.
        task_batch_size: tasks whose inner updates run at a time while experience is
            collected; see ``batching.map_tasks``.

    Raises:
        TypeError: if a number is not an integer.
        ValueError: if a number is too small, or the parts do not fit each other.
    """
    environment = tasks.environment
    num_tasks = checks.positive_int("num_tasks", num_tasks)
    num_updates = checks.positive_int("num_updates", num_updates, minimum=0)
    num_episodes = checks.positive_int("num_episodes", num_episodes)
    if task_batch_size is not None:
        checks.positive_int("task_batch_size", task_batch_size)
    is_dataset = isinstance(environment, Dataset)
    policies.check_policy(policy, environment)
    length = checked_length(environment, policy, length, episodes_per_trial)

    collect = partial(
        adaptation.collect,
        environment=environment,
        policy=policy,
        inner=inner,
        num_updates=num_updates,
        num_episodes=num_episodes,
        length=length,
        task_batch_size=task_batch_size,
    )
    adapt = partial(adaptation.adapt, inner=inner)
    measure = partial(
        performance,
        environment=environment,
        policy=policy,
        inner=inner,
        episodes_per_trial=episodes_per_trial,
    )

    def init(key: Key) -> MetaState:
        checks.typed_key(key)
        meta_params = trees.strong_types(meta_init(key))
        state = MetaState(meta_params, outer.init(meta_params), jnp.int32(0))
        return sharding.replicated(state)

    def update(key: Key, state: MetaState) -> tuple[MetaState, Info]:
        checks.typed_key(key)
        key_tasks, key_collect, key_outer = jax.random.split(key, 3)
        drawn = jax.vmap(tasks.sample)(jax.random.split(key_tasks, num_tasks))
        acting, experience = _interact(
            collect, outer, key_collect, key_outer, state.meta_params, drawn
        )
        meta_params, outer_state, info = outer.update(
            key_outer, state.meta_params, state.outer_state, experience
        )
        returns = batching.map_tasks(
            measure if outer.propose is None else jax.vmap(measure),
            acting,
            experience,
            batch_size=task_batch_size,
        ).reshape(-1, (num_updates + 1) * episodes_per_trial)
        batches = 2 if is_dataset else num_updates + 1
        steps = len(returns) * batches * num_episodes * length
        info = {
            **info,
            "returns": jnp.mean(returns, axis=0),
            "environment_steps": jnp.asarray(steps, jnp.int32),
        }
        after = MetaState(meta_params, outer_state, state.step + 1)
        return sharding.replicated((after, info))

    def probe(key: Key) -> Any:
        meta_params = init(key).meta_params
        experience = collect(key, meta_params, tasks.sample(key))
        return adapt(meta_params, experience)[0], measure(meta_params, experience)

    jax.eval_shape(probe, jax.random.key(0))  # parts that do not fit fail here and now
    return MetaLearner(
        init,
        sharding.spread(update, num_tasks),
        collect,
        adapt,
        policy,
        environment,
        inner,
        outer.objective,
        num_updates,
        episodes_per_trial,
    )


def checked_length(
    environment: Environment | Dataset,
    policy: Policy,
    length: int | None,
    episodes_per_trial: int,
) -> int:
    """Steps per trial, which without memory is an episode.

    Args:
        environment: where it is acted.
        policy: whose memory lasts for a trial.
        length: steps; None for those of its episodes.
        episodes_per_trial: ``E``.

    Raises:
        TypeError: if a number is no integer.
        ValueError: if they are too few, or more than the memory holds.
    """
    checks.positive_int("episodes_per_trial", episodes_per_trial)
    if isinstance(environment, Dataset):
        given = {"length": length, "episodes_per_trial": episodes_per_trial}
        for (name, value), allowed in zip(given.items(), (None, 1), strict=True):
            if value != allowed:
                raise ValueError(
                    f"{name} must be {allowed} for a Dataset, whose examples have no "
                    f"time, got {value}"
                )
    if length is None:
        length = episodes_per_trial * environment.horizon
    length = checks.positive_int("length", length)
    if policy.max_length is not None and length > policy.max_length:
        raise ValueError(
            f"policy: its memory holds {policy.max_length} steps, and a trial has "
            f"{length}"
        )
    if episodes_per_trial > 1 and length < episodes_per_trial * environment.horizon:
        raise ValueError(
            f"length must be at least the horizon of {environment.name}, "
            f"{environment.horizon} steps, for each of the {episodes_per_trial} "
            f"episodes of a trial, got {length}"
        )
    return length


def _interact(
    collect: Callable[..., Experience],
    outer: Outer,
    key: Key,
    key_outer: Key,
    meta_params: Params,
    drawn: Any,
) -> tuple[Params, Experience]:
    """The meta-params that acted on each task, ``[M]`` or ``[M, P]``, and how."""
    num_tasks = jax.tree.leaves(drawn)[0].shape[0]
    keys = sharding.over_tasks(jax.random.split(key, num_tasks))
    drawn = sharding.over_tasks(drawn)
    if outer.propose is None:
        acting = jax.tree.map(
            lambda leaf: jnp.broadcast_to(leaf, (num_tasks, *leaf.shape)), meta_params
        )
        each = jax.vmap(collect, in_axes=(0, None, 0))
        return acting, each(keys, meta_params, drawn)
    propose = jax.vmap(outer.propose, in_axes=(0, None))
    proposals = propose(jax.random.split(key_outer, num_tasks), meta_params)
    each = jax.vmap(jax.vmap(collect, in_axes=(None, 0, None)))
    return proposals, each(keys, proposals, drawn)


def performance(
    meta_params: Params,
    experience: Experience,
    *,
    environment: Environment | Dataset,
    policy: Policy,
    inner: Inner,
    episodes_per_trial: int = 1,
) -> jax.Array:
    """How good the agent was in one task before adaptation and after each update.

    In an environment the mean return of each episode of the trials it acted, which
    without memory are single episodes; for a Dataset the mean score of its predictions
    on the query examples.

    Args:
        meta_params: those the experience was collected with.
        experience: of one task.
        environment: where it was collected.
        policy: who acted.
        inner: how data changes the agent.
        episodes_per_trial: ``E``.

    Returns:
        ``[(K + 1) E]``.

    Raises:
        ValueError: if the score of a Dataset is no scalar.
    """
    if not isinstance(environment, Dataset):
        each = partial(mean_returns, episodes_per_trial=episodes_per_trial)
        before = jax.vmap(each)(experience.support).reshape(-1)
        return jnp.concatenate([before, each(experience.query)])
    path, _ = adaptation.adaptation_path(meta_params, experience, inner=inner)

    def mean_score(params: Params) -> jax.Array:
        predictions = rollouts.predict(policy, params, experience.query)
        scores = jax.vmap(environment.score)(predictions, experience.query.targets)
        if scores.ndim != 1:
            raise ValueError(
                f"score of {environment.name}: it must be a scalar (), got "
                f"{scores.shape[1:]}"
            )
        return jnp.mean(scores)

    return jax.vmap(mean_score)(path)


def mean_returns(batch: Transition, *, episodes_per_trial: int = 1) -> jax.Array:
    """Mean return ``[E]`` of each episode of a batch of trials ``[N, T]``."""
    each = partial(episode_returns, num_episodes=episodes_per_trial)
    return jnp.mean(jax.vmap(each)(batch.reward, batch.timestep.is_first), axis=0)


def train(
    key: Key, learner: MetaLearner, state: MetaState, num_updates: int
) -> tuple[MetaState, Info]:
    """Run ``num_updates`` meta-updates in one scan: jit it, vmap it over seeds.

    Update ``i`` (counted from the very first, ``state.step``) uses ``fold_in(key, i)``:
    stopping and going on with the same key changes nothing.

    Returns:
        The new state, and the info of every update with a leading ``[num_updates]``.
    """
    checks.typed_key(key)
    num_updates = checks.positive_int("num_updates", num_updates)

    def step(state: MetaState, _) -> tuple[MetaState, Info]:
        return learner.update(jax.random.fold_in(key, state.step), state)

    return jax.lax.scan(step, state, length=num_updates)
