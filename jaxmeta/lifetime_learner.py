"""The meta-learner of agents that live on, put together of its parts."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp

from jaxmeta import adaptation, checks, lifetimes, policies, trees
from jaxmeta.lifetimes import Lifetime
from jaxmeta.types import (
    Dataset,
    Environment,
    Info,
    Inner,
    Key,
    MetaLearner,
    MetaState,
    Outer,
    Params,
    Policy,
    TaskDistribution,
)


class LifetimesState(NamedTuple):
    """The state of the outer learner, and the lifetimes ``[M]`` it learns from."""

    outer: Any
    lifetimes: Lifetime


def lifetime_learner(
    tasks: TaskDistribution,
    policy: Policy,
    inner: Inner,
    outer: Outer,
    meta_init: Callable[[Key], Params],
    *,
    num_lifetimes: int,
    lifetime: int | None,
    num_updates: int,
    num_environments: int,
    length: int,
    lifetime_batch_size: int | None = None,
) -> MetaLearner:
    """Compose a meta-learner whose agents live on between its updates.

    There are ``M`` lifetimes at a time, part of the meta-learner's state. One
    ``update`` lets each act and learn for ``K`` updates of its agent, by the present
    meta-params, and hands that window to the outer learner: a meta-gradient reaches
    back to its start and no further. An agent whose lifetime is over is replaced by a
    new one in a new task. The first ones have lifetimes of different length, so that
    all ages are present at any time.

    Its info holds ``returns`` ``[K + 1]``, the mean return of the episodes that ended
    last in each environment (zero as long as none has), ``environment_steps``, and the
    info of the outer learner.

    Args:
        tasks: the distribution of tasks.
        policy: who acts, without memory.
        inner: how an agent is made, and how it learns.
        outer: how what happened in a window changes the meta-params.
        meta_init: ``key -> meta_params``.
        num_lifetimes: ``M``.
        lifetime: updates in the life of an agent; a multiple of ``num_updates``. None:
            it lives for ever.
        num_updates: ``K``, the window.
        num_environments: ``N`` copies of the environment per lifetime.
        length: ``T`` steps in each per update.
        lifetime_batch_size: lifetimes whose agents are updated at a time, a divisor of
            ``num_lifetimes``; see ``batching.map_tasks``.

    Raises:
        TypeError: if a number is not an integer.
        ValueError: if a number is out of range, or the parts do not fit each other.
    """
    environment = _checked_environment(tasks, policy)
    num_lifetimes = checks.positive_int("num_lifetimes", num_lifetimes)
    num_updates = checks.positive_int("num_updates", num_updates)
    num_environments = checks.positive_int("num_environments", num_environments)
    length = checks.positive_int("length", length)
    lifetime = checked_lifetime(lifetime, num_updates)
    check_batch(num_lifetimes, lifetime_batch_size)
    parts = {"environment": environment, "policy": policy, "inner": inner}
    born = partial(lifetimes.born, num_environments=num_environments, **parts)
    live = partial(
        lifetimes.live,
        num_updates=num_updates,
        length=length,
        task_batch_size=lifetime_batch_size,
        **parts,
    )

    def newborn(key: Key, meta_params: Params) -> Lifetime:
        key_task, key_born = jax.random.split(key)
        return born(key_born, meta_params, tasks.sample(key_task))

    def generation(key: Key, meta_params: Params) -> Lifetime:
        keys = jax.random.split(key, num_lifetimes)
        return jax.vmap(newborn, in_axes=(0, None))(keys, meta_params)

    def init(key: Key) -> MetaState:
        checks.typed_key(key)
        key_params, key_lifetimes = jax.random.split(key)
        meta_params = trees.strong_types(meta_init(key_params))
        first = generation(key_lifetimes, meta_params)
        if lifetime is not None:
            windows = lifetime // num_updates
            ages = jnp.arange(num_lifetimes) * windows // num_lifetimes * num_updates
            first = first._replace(age=ages.astype(jnp.int32))
        state = LifetimesState(outer.init(meta_params), first)
        return MetaState(meta_params, state, jnp.zeros((), jnp.int32))

    def update(key: Key, state: MetaState) -> tuple[MetaState, Info]:
        checks.typed_key(key)
        key_live, key_outer, key_born = jax.random.split(key, 3)
        meta_params, (outer_state, living) = state.meta_params, state.outer_state
        keys = jax.random.split(key_live, num_lifetimes)
        living, experience, returns = jax.vmap(live, in_axes=(0, None, 0))(
            keys, meta_params, living
        )
        if lifetime is not None:
            is_over = living.age >= lifetime
            living = jax.vmap(trees.where)(
                is_over, generation(key_born, meta_params), living
            )
        meta_params, outer_state, info = outer.update(
            key_outer, meta_params, outer_state, experience
        )
        steps = num_lifetimes * (num_updates + 1) * num_environments * length
        info = {
            **info,
            "returns": jnp.sum(returns.mean * returns.share, axis=0)
            / jnp.maximum(jnp.sum(returns.share, axis=0), 1e-8),
            "environment_steps": jnp.asarray(steps, jnp.int32),
        }
        kept = LifetimesState(outer_state, living)
        return MetaState(meta_params, kept, state.step + 1), info

    def collect(key: Key, meta_params: Params, task: Any, *, environment=environment):
        key_born, key_live = jax.random.split(key)
        at = {"environment": environment}
        start = born(key_born, meta_params, task, **at)
        return live(key_live, meta_params, start, **at)[1]

    return MetaLearner(
        init,
        update,
        collect,
        partial(adaptation.adapt, inner=inner),
        policy,
        environment,
        inner,
        outer.objective,
        num_updates,
    )


def lifetime_curve(
    key: Key,
    learner: MetaLearner,
    meta_params: Params,
    tasks: TaskDistribution,
    *,
    num_lifetimes: int,
    num_updates: int,
    num_environments: int,
    length: int,
) -> jax.Array:
    """How well new agents do through their lives, by the present meta-params.

    It is compiled; nothing is meta-learned.

    Args:
        key: consumed.
        learner: of agents that live on.
        meta_params: how they learn.
        tasks: they are born into; the environment may be another than the learner's.
        num_lifetimes: ``M`` agents.
        num_updates: of each.
        num_environments: copies of the environment for each.
        length: steps in each per update.

    Returns:
        ``[M, num_updates]``, the mean return of the episodes that had ended last by the
        time of each update, zero before the first end.

    Raises:
        TypeError: if ``key`` is not a typed key, or a number no integer.
        ValueError: if a number is below one.
    """
    checks.typed_key(key)
    sizes = {
        "num_lifetimes": num_lifetimes,
        "num_updates": num_updates,
        "num_environments": num_environments,
        "length": length,
    }
    sizes = {name: checks.positive_int(name, size) for name, size in sizes.items()}
    return _curve(key, meta_params, learner, tasks, *sizes.values())


@partial(jax.jit, static_argnums=(2, 3, 4, 5, 6, 7))
def _curve(
    key, meta_params, learner, tasks, num_lifetimes, num_updates, num_copies, length
):
    environment = cast(Environment, tasks.environment)
    parts = {
        "environment": environment,
        "policy": learner.policy,
        "inner": learner.inner,
    }

    def one(key):
        key_task, key_born, key_live = jax.random.split(key, 3)
        start = lifetimes.born(
            key_born,
            meta_params,
            tasks.sample(key_task),
            num_environments=num_copies,
            **parts,
        )

        def step(lifetime, key):
            lifetime, _, returns = lifetimes.live(
                key,
                meta_params,
                lifetime,
                num_updates=1,
                length=length,
                judged=False,
                **parts,
            )
            return lifetime, returns.mean[0]

        return jax.lax.scan(step, start, jax.random.split(key_live, num_updates))[1]

    return jax.vmap(one)(jax.random.split(key, num_lifetimes))


def checked_lifetime(lifetime: int | None, num_updates: int) -> int | None:
    """A lifetime that a window fits into.

    Raises:
        TypeError: if it is no integer.
        ValueError: if it is shorter than a window, or no multiple of it.
    """
    if lifetime is None:
        return None
    lifetime = checks.positive_int("lifetime", lifetime)
    if num_updates > lifetime:
        raise ValueError(
            f"num_updates must be at most the lifetime, {lifetime}, got {num_updates}"
        )
    if lifetime % num_updates:
        raise ValueError(
            f"lifetime must be a multiple of num_updates={num_updates}, got {lifetime}"
        )
    return lifetime


def check_batch(num_lifetimes: int, lifetime_batch_size: int | None) -> None:
    """Check that lifetimes can be split into batches.

    Raises:
        TypeError: if a number is no integer.
        ValueError: if not.
    """
    if lifetime_batch_size is None:
        return
    size = checks.positive_int("lifetime_batch_size", lifetime_batch_size)
    if num_lifetimes % size:
        raise ValueError(
            f"lifetime_batch_size must divide num_lifetimes={num_lifetimes}, got {size}"
        )


def _checked_environment(tasks: TaskDistribution, policy: Policy) -> Environment:
    """Where agents act.

    Raises:
        ValueError: if the tasks are those of a Dataset, or the policy has memory.
    """
    environment = tasks.environment
    if isinstance(environment, Dataset):
        raise ValueError(
            "tasks: they are those of a Dataset, and lifetimes need an environment to "
            "act in"
        )
    policies.check_policy(policy, environment)
    policies.check_memoryless(policy, "an agent that lives on")
    return environment
