"""The meta-learner: tasks, policy, inner and outer learner put together."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from jaxmeta import adaptation, checks, policies, trees
from jaxmeta.returns import first_episode_return
from jaxmeta.types import (
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
    task_batch_size: int | None = None,
) -> MetaLearner:
    """Compose a meta-learner.

    One ``update`` samples ``M`` tasks, collects experience of each (``K`` times ``N``
    support episodes with an inner update after each batch, ``N`` query episodes of the
    adapted policy) and hands it to the outer learner. Its info holds ``returns``
    ``[K + 1]``, the mean return before adaptation and after each inner update (of the
    first ``length`` steps of an episode, where that is less than the horizon);
    ``environment_steps``; and the info of the outer learner.

    Args:
        tasks: the distribution of tasks.
        policy: who acts.
        inner: how the data of one task changes the agent.
        outer: how the experience of a batch of tasks changes the meta-params.
        meta_init: ``key -> meta_params``.
        num_tasks: ``M`` tasks per update.
        num_updates: ``K`` inner updates per task.
        num_episodes: ``N`` episodes per inner update, and in the query.
        length: ``T`` steps per episode; by default the environment's horizon.
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
    length = environment.horizon if length is None else length
    length = checks.positive_int("length", length)
    if task_batch_size is not None:
        checks.positive_int("task_batch_size", task_batch_size)
    policies.check_policy(policy, environment)

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

    def init(key: Key) -> MetaState:
        checks.typed_key(key)
        meta_params = trees.strong_types(meta_init(key))
        return MetaState(meta_params, outer.init(meta_params), jnp.zeros((), jnp.int32))

    def update(key: Key, state: MetaState) -> tuple[MetaState, Info]:
        checks.typed_key(key)
        key_tasks, key_collect, key_outer = jax.random.split(key, 3)
        drawn = jax.vmap(tasks.sample)(jax.random.split(key_tasks, num_tasks))
        keys = jax.random.split(key_collect, num_tasks)
        if outer.propose is None:
            each = jax.vmap(collect, in_axes=(0, None, 0))
            experience = each(keys, state.meta_params, drawn)
        else:
            propose = jax.vmap(outer.propose, in_axes=(0, None))
            proposals = propose(
                jax.random.split(key_outer, num_tasks), state.meta_params
            )
            each = jax.vmap(jax.vmap(collect, in_axes=(None, 0, None)))
            experience = each(keys, proposals, drawn)
        meta_params, outer_state, info = outer.update(
            key_outer, state.meta_params, state.outer_state, experience
        )
        returns_of = experience_returns
        for _ in experience.keys.shape[:-1]:  # tasks, and proposals where there are
            returns_of = jax.vmap(returns_of)
        returns = returns_of(experience).reshape(-1, num_updates + 1)
        steps = len(returns) * (num_updates + 1) * num_episodes * length
        info = {
            **info,
            "returns": jnp.mean(returns, axis=0),
            "environment_steps": jnp.asarray(steps, jnp.int32),
        }
        return MetaState(meta_params, outer_state, state.step + 1), info

    def probe(key: Key) -> Params:
        meta_params = init(key).meta_params
        return adapt(meta_params, collect(key, meta_params, tasks.sample(key)))[0]

    jax.eval_shape(probe, jax.random.key(0))  # parts that do not fit fail here and now
    return MetaLearner(
        init, update, collect, adapt, policy, environment, inner, outer.objective
    )


def experience_returns(experience: Experience) -> jax.Array:
    """Mean first-episode return before adaptation and after each update, ``[K+1]``."""

    def mean_return(batch: Transition) -> jax.Array:
        is_first = batch.timestep.is_first
        return jnp.mean(jax.vmap(first_episode_return)(batch.reward, is_first))

    support = jax.vmap(mean_return)(experience.support)
    return jnp.append(support, mean_return(experience.query))


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
