"""How well agents do in the course of their lives."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxmeta import batching, checks, lifetimes, rollouts
from jaxmeta.agents import Agent
from jaxmeta.learner import mean_returns
from jaxmeta.types import Environment, Key, MetaLearner, Params


def life_curves(
    key: Key,
    agent: Agent | MetaLearner,
    meta_params: Params,
    environment: Environment,
    tasks: Any,
    *,
    num_updates: int,
    num_environments: int,
    length: int,
    num_tests: int = 10,
    num_episodes: int = 16,
    batch_size: int | None = None,
) -> tuple[jax.Array, jax.Array]:
    """How well new agents do in the course of their lives, in episodes for the test.

    Each of ``M`` agents lives in a task of its own and is tested before it has learned
    anything and after each of ``num_tests`` parts of its life, in episodes from their
    start from which nothing is learned. It is compiled.

    Args:
        key: consumed.
        agent: who acts and learns: one of ``agents``, or those of a meta-learner.
        meta_params: of ``agent.inner``: those of a rule, or ``Numbers``.
        environment: of the tasks.
        tasks: one for each agent, ``jax.vmap(distribution.sample)(keys)``.
        num_updates: in a life, a multiple of ``num_tests``.
        num_environments: copies of the environment each learns in.
        length: steps in each copy per update.
        num_tests: parts of a life.
        num_episodes: of a test.
        batch_size: agents at a time; see ``batching.map_tasks``. By default all.

    Returns:
        ``[M, num_tests + 1]`` returns of sampled actions, and of the policy's mode.

    Raises:
        TypeError: if ``key`` is not a typed key, or a number no integer.
        ValueError: if a number is below one, or ``num_tests`` does not divide
            ``num_updates``.
    """
    checks.typed_key(key)
    sizes = {
        "num_updates": num_updates,
        "num_environments": num_environments,
        "length": length,
        "num_tests": num_tests,
        "num_episodes": num_episodes,
    }
    for name, size in sizes.items():
        checks.positive_int(name, size)
    if num_updates % num_tests:
        raise ValueError(
            f"num_updates must be a multiple of num_tests={num_tests}, got "
            f"{num_updates}"
        )
    count = jax.tree.leaves(tasks)[0].shape[0]
    batch_size = count if batch_size is None else batch_size
    return _curves(
        key, meta_params, tasks, agent, environment, batch_size, *sizes.values()
    )


@partial(jax.jit, static_argnums=(3, 4, 5, 6, 7, 8, 9, 10))
def _curves(
    key,
    meta_params,
    tasks,
    agent,
    environment,
    batch_size,
    num_updates,
    num_environments,
    length,
    num_tests,
    num_episodes,
):
    parts = {
        "environment": environment,
        "policy": agent.policy,
        "inner": agent.inner,
    }

    def test(key, params, task):
        def returns(key, mode):
            batch = rollouts.episodes(
                key,
                environment,
                agent.policy,
                params,
                task,
                num_episodes=num_episodes,
                length=environment.horizon,
                mode=mode,
            )
            return mean_returns(batch)[0]

        key_sampled, key_mode = jax.random.split(key)
        return returns(key_sampled, False), returns(key_mode, True)

    def one(key, task):
        key_born, key_live, key_test = jax.random.split(key, 3)
        start = lifetimes.born(
            key_born, meta_params, task, num_environments=num_environments, **parts
        )

        def part(lifetime, step):
            key_live, key_test, is_last = step
            params = agent.inner.params(meta_params, lifetime.agent)
            found = test(key_test, params, task)
            lifetime = jax.lax.cond(
                is_last,
                lambda: lifetime,
                lambda: lifetimes.live(
                    key_live,
                    meta_params,
                    lifetime,
                    num_updates=num_updates // num_tests,
                    length=length,
                    judged=False,
                    **parts,
                )[0],
            )
            return lifetime, found

        steps = (
            jax.random.split(key_live, num_tests + 1),
            jax.random.split(key_test, num_tests + 1),
            jnp.arange(num_tests + 1) == num_tests,
        )
        return jax.lax.scan(part, start, steps)[1]

    count = jax.tree.leaves(tasks)[0].shape[0]
    keys = jax.random.split(key, count)
    return batching.map_tasks(one, keys, tasks, batch_size=batch_size)
