"""Reference solutions as meta-learners, so that they are evaluated like the others."""

from typing import NamedTuple

import numpy as np

from jaxmeta import checks
from jaxmeta.inner import identity
from jaxmeta.learner import meta_learner
from jaxmeta.references.bandits import BanditMemory
from jaxmeta.tasks.random_actions import look_around
from jaxmeta.types import (
    Environment,
    Inner,
    MetaLearner,
    Outer,
    Policy,
    TaskDistribution,
)

_TASK_BATCH_SIZE = 128  # the tables of a task are small


class Reference(NamedTuple):
    """A classical strategy that learns from episode to episode of one task.

    Attributes:
        policy: who acts in an episode.
        inner: how an episode (a batch of one) changes the params it acts with.
    """

    policy: Policy
    inner: Inner


def learner(
    tasks: TaskDistribution, reference: Policy | Reference, *, num_episodes: int = 1
) -> MetaLearner:
    """A meta-learner of a reference, for ``adaptation_curve`` and its like.

    There is nothing to meta-learn: its meta-params are an empty dictionary, and
    ``update`` raises. ::

        agent = references.learner(tasks, references.bandits.thompson(5))
        returns = jaxmeta.adaptation_curve(key, agent, {}, tasks, num_tasks=1000)

    Args:
        tasks: where it acts.
        reference: a policy whose memory lasts for a trial (the bandits), or a Reference
            (finite MDPs).
        num_episodes: episodes in a trial, after each of which a Reference learns: the
            curve is ``[num_tasks, num_episodes]``, the return of each episode.

    Raises:
        TypeError: if ``reference`` is neither a Policy nor a Reference, or
            ``num_episodes`` not an integer.
        ValueError: if ``num_episodes`` is below one, or the reference does not fit the
            tasks: a strategy that counts successes needs rewards of zero or one.
    """
    num_episodes = checks.positive_int("num_episodes", num_episodes)
    remembers = isinstance(reference, Policy)
    if remembers:
        reference = Reference(reference, identity())
    if not isinstance(reference, Reference):
        raise TypeError(
            "reference must be a Policy or a Reference, such as "
            f"references.bandits.thompson(5), got {type(reference).__name__}"
        )
    if isinstance(tasks.environment, Environment):
        _check_bandit(tasks, tasks.environment, reference.policy)
    return meta_learner(
        tasks,
        reference.policy,
        reference.inner,
        Outer(init=lambda meta_params: (), update=_refuse),
        lambda key: {},
        num_tasks=1,
        num_updates=0 if remembers else num_episodes - 1,
        num_episodes=1,
        episodes_per_trial=num_episodes if remembers else 1,
        task_batch_size=_TASK_BATCH_SIZE,
    )


def _check_bandit(
    tasks: TaskDistribution, environment: Environment, policy: Policy
) -> None:
    """Check that a strategy that counts successes meets nothing else.

    Raises:
        ValueError: if the rewards are not zero or one, or the arms others.
    """
    memory = policy.initial_carry()
    if not isinstance(memory, BanditMemory):
        return
    (num_arms,) = memory.successes.shape
    found = getattr(environment.action, "n", None)
    if found != num_arms:
        raise ValueError(
            f"reference: it plays {num_arms} arms, and the actions of "
            f"{environment.name} are {environment.action}"
        )
    rewards = np.unique(look_around(tasks, lambda step: step.reward, num_tasks=64))
    wrong = rewards[~np.isin(rewards, (0.0, 1.0))]
    if wrong.size:
        raise ValueError(
            "reference: it counts rewards of 0 and 1, and those of "
            f"{environment.name} are others too, such as {wrong[0]:g}; use "
            "tasks.bernoulli_bandit"
        )


def _refuse(key, meta_params, state, experience):
    raise TypeError(
        "update: a reference solution has nothing to meta-learn; evaluate it with "
        "jaxmeta.adaptation_curve(key, learner, {}, tasks, num_tasks=...)"
    )
