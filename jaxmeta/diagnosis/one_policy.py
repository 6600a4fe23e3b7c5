"""One policy for all tasks, trained on as much as a meta-learner."""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxmeta import learner
from jaxmeta.algorithms import maml, multitask
from jaxmeta.diagnosis.setting import Budget, default_advantage
from jaxmeta.types import Dataset, Key, MetaLearner, Params, Policy, TaskDistribution

_NUM_EPOCHS = _NUM_MINIBATCHES = 4


def one_policy(
    key: Key,
    tasks: TaskDistribution,
    policy: Policy,
    budget: Budget,
    *,
    num_updates: int,
    steps_per_update: int,
    rates: Sequence[float],
) -> Params:
    """Train one policy on all tasks, by each of several rates.

    In an environment by PPO, on episodes of tasks that are each drawn anew; on a
    Dataset by the loss of its examples. The rate of Adam falls to zero, as a cosine.

    Args:
        key: consumed; every rate meets the same tasks.
        tasks: to train on.
        policy: who acts.
        budget: ``length`` is that of the episodes, ``num_episodes`` the examples of a
            task.
        num_updates: updates.
        steps_per_update: environment steps, or examples, in each, or a few more.
        rates: of Adam, at first.

    Returns:
        Params with a leading axis of rates.
    """
    supervised = isinstance(tasks.environment, Dataset)
    of_task = budget.length or 2 * budget.num_episodes  # of a Dataset, examples
    num_tasks = -(-steps_per_update // of_task)
    steps = 1 if supervised else _NUM_EPOCHS * _NUM_MINIBATCHES

    made = _policy_learner(
        tasks, policy, budget.length, of_task, num_tasks, num_updates * steps
    )
    return _by_rates(key, jnp.asarray(rates, jnp.float32), made, num_updates)


@lru_cache(maxsize=16)
def _policy_learner(
    tasks: TaskDistribution,
    policy: Policy,
    length: int | None,
    of_task: int,
    num_tasks: int,
    num_steps: int,
) -> Callable[[Any], MetaLearner]:
    """``rate -> learner`` of one policy, whose rate falls over so many steps."""

    def made(rate: Any) -> MetaLearner:
        falling = optax.adam(optax.cosine_decay_schedule(rate, num_steps))
        if isinstance(tasks.environment, Dataset):
            return maml(
                tasks,
                policy,
                inner_optimizer=optax.sgd(0.0),  # there are no inner updates
                outer_optimizer=falling,
                num_tasks=num_tasks,
                num_updates=0,
                num_episodes=of_task,
            )
        # Of a whole number of tasks; the baseline is fitted on each part of the batch.
        in_part = -(-num_tasks // _NUM_MINIBATCHES)
        return multitask(
            tasks,
            policy,
            outer_optimizer=falling,
            num_tasks=in_part * _NUM_MINIBATCHES,
            length=length,
            advantage=default_advantage(policy, tasks.environment, in_part),
            num_epochs=_NUM_EPOCHS,
            num_minibatches=_NUM_MINIBATCHES,
        )

    return made


@partial(jax.jit, static_argnums=(2, 3))
def _by_rates(
    key: Key,
    rates: jax.Array,
    made: Callable[[Any], MetaLearner],
    num_updates: int,
) -> Params:
    key_init, key_train = jax.random.split(key)

    def by(rate):
        each = made(rate)
        state = each.init(key_init)
        return learner.train(key_train, each, state, num_updates)[0].meta_params

    return jax.lax.map(by, rates)


@lru_cache(maxsize=16)  # what is the same is compiled once
def without_adaptation(
    tasks: TaskDistribution, policy: Policy, budget: Budget
) -> MetaLearner:
    """MAML without inner updates: its meta-gradients are those of one policy."""
    num_episodes = max(budget.num_episodes, 10)
    advantage = None
    if not isinstance(tasks.environment, Dataset):
        advantage = default_advantage(policy, tasks.environment, num_episodes)
    return maml(
        tasks,
        policy,
        inner_optimizer=optax.sgd(0.0),
        outer_optimizer=optax.sgd(0.0),
        num_tasks=1,
        num_updates=0,
        num_episodes=num_episodes,
        length=budget.length,
        advantage=advantage,
    )
