"""The meta-learner of agents that live on, put together of its parts."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmeta import adaptation, checks, lifetimes, policies, sharding, trees
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
from jaxmeta.windows import Lives, check_batch, checked_lifetime, ways


class LifetimesState(NamedTuple):
    """The state of the outer learner, and the lives ``[M]`` it learns from."""

    outer: Any
    lives: Lives

    @property
    def lifetimes(self) -> Lifetime:
        """Of the agents that live."""
        return self.lives.lifetimes


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
    persistent: bool = False,
    lifetime_batch_size: int | None = None,
) -> MetaLearner:
    """Compose a meta-learner whose agents live on between its updates.

    There are ``M`` lifetimes at a time, part of the meta-learner's state. One
    ``update`` lets each act and learn for ``K`` updates of its agent, by the present
    meta-params, and hands that window to the outer learner: a meta-gradient reaches
    back to its start and no further. An agent whose lifetime is over is replaced by a
    new one in a new task. The first ones have lifetimes of different length, so that
    all ages are present at any time.

    With an outer learner that proposes other meta-params (``outer.evolution``), all
    proposals for a lifetime live through the window, from the same agent and with the
    same random numbers; then the agent lives through it by the meta-params, and goes on
    from there. With ``persistent`` each proposal has an agent of its own for life: they
    share their birth and their random numbers, and drift apart.

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
        persistent: agents live by proposals for life, not for a window.
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
    start, go_on = ways(
        live,
        outer,
        persistent=persistent,
        is_life=lifetime == num_updates,
        is_endless=lifetime is None,
    )

    def generation(key: Key, meta_params: Params) -> Lifetime:
        def newborn(key):
            key_task, key_born = jax.random.split(key)
            return born(key_born, meta_params, tasks.sample(key_task))

        return jax.vmap(newborn)(jax.random.split(key, num_lifetimes))

    def init(key: Key) -> MetaState:
        checks.typed_key(key)
        key_params, key_lifetimes = jax.random.split(key)
        meta_params = trees.strong_types(meta_init(key_params))
        first = generation(key_lifetimes, meta_params)
        if lifetime is not None:
            first = _of_all_ages(first, lifetime, num_updates)
        lives = start(meta_params, first)
        return _placed(meta_params, outer.init(meta_params), lives, jnp.int32(0))

    def update(key: Key, state: MetaState) -> tuple[MetaState, Info]:
        checks.typed_key(key)
        key_live, key_outer, key_born = jax.random.split(key, 3)
        keys = sharding.over_tasks(jax.random.split(key_live, num_lifetimes))
        meta_params, kept = state.meta_params, state.outer_state
        lives, experience, times = go_on(keys, key_outer, meta_params, kept.lives)
        if lifetime is not None:
            is_over = lives.lifetimes.age.reshape(num_lifetimes, -1)[:, 0] >= lifetime
            others = start(meta_params, generation(key_born, meta_params))
            lives = jax.vmap(trees.where)(is_over, others, lives)
        meta_params, outer_state, info = outer.update(
            key_outer, meta_params, kept.outer, experience
        )
        sizes = (num_lifetimes, num_updates, num_environments, length)
        info = {
            **info,
            "returns": lifetimes.mean_returns(experience.window.returns),
            "environment_steps": _counted(times, *sizes),
        }
        after = _placed(meta_params, outer_state, lives, state.step + 1)
        return after, sharding.replicated(info)

    def collect(key: Key, meta_params: Params, task: Any, *, environment=environment):
        key_born, key_live = jax.random.split(key)
        at = {"environment": environment}
        first = born(key_born, meta_params, task, **at)
        return live(key_live, meta_params, first, **at)[1]

    return MetaLearner(
        init,
        sharding.spread(update, num_lifetimes, "num_lifetimes"),
        collect,
        partial(adaptation.adapt, inner=inner),
        policy,
        environment,
        inner,
        outer.objective,
        num_updates,
    )


def _placed(meta_params: Params, outer_state: Any, lives: Any, step: Any) -> MetaState:
    """A state whose lives are spread over devices, if there are several."""
    meta_params, outer_state, step = sharding.replicated(
        (meta_params, outer_state, step)
    )
    kept = LifetimesState(outer_state, sharding.over_tasks(lives))
    return MetaState(meta_params, kept, step)


def _of_all_ages(lifetimes: Lifetime, lifetime: int, num_updates: int) -> Lifetime:
    """The first agents, some of which die sooner than a lifetime."""
    count, windows = lifetimes.age.shape[0], lifetime // num_updates
    ages = jnp.arange(count) * windows // count * num_updates
    return lifetimes._replace(age=ages.astype(jnp.int32))


def _counted(
    times: int, num_lifetimes: int, num_updates: int, num_environments: int, length: int
) -> jax.Array:
    """Environment steps of a meta-update.

    Raises:
        ValueError: if they are too many for an int32.
    """
    steps = num_lifetimes * times * (num_updates + 1) * num_environments * length
    if steps >= 2**31:
        raise ValueError(
            f"num_lifetimes={num_lifetimes}, num_updates={num_updates}, "
            f"num_environments={num_environments}, length={length}: an update of "
            f"{steps:,} environment steps is more than can be counted, {2**31 - 1:,}; "
            "make one of them smaller"
        )
    return jnp.asarray(steps, jnp.int32)


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
