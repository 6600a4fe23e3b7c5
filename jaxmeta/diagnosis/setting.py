"""What all ways to learn share that are compared: tasks, policy, loss and budget."""

from functools import lru_cache
from typing import Any, NamedTuple

import jax

from jaxmeta import advantages, checks, losses, policies
from jaxmeta.advantages import Advantage
from jaxmeta.distributions import Categorical, DiagonalGaussian
from jaxmeta.evaluation import check_fit
from jaxmeta.losses import Loss
from jaxmeta.types import Examples, Key, MetaLearner, Policy, TaskDistribution

_STEPS_BESIDE_MEMORY = 10  # of descent, where the learner itself makes none


class Budget(NamedTuple):
    """What may be spent on one task.

    Attributes:
        num_updates: times that an agent may learn from what it did.
        num_episodes: episodes before each, and of the adapted agent; of a Dataset,
            examples.
        length: steps in an episode; None for a Dataset.
    """

    num_updates: int
    num_episodes: int
    length: int | None


class Setting(NamedTuple):
    """What all ways to learn share."""

    tasks: TaskDistribution
    test_tasks: TaskDistribution
    policy: Policy
    loss: Loss
    budget: Budget
    num_steps: int
    num_tuning_tasks: int
    num_tasks: int


def budget_of(learner: MetaLearner, tasks: TaskDistribution) -> Budget:
    """What a learner spends on a task, for one that adapts in updates of its params.

    Args:
        learner: adapts in inner updates, or in its memory over the episodes of a trial.
        tasks: where.

    Raises:
        ValueError: if its agents live on, or it adapts in both ways.
    """

    def collect(key: Key) -> Any:
        meta_params = learner.init(key).meta_params
        return learner.collect(key, meta_params, tasks.sample(key))

    experience = jax.eval_shape(collect, jax.random.key(0))
    if experience.window is not None:
        raise ValueError(
            "learner: its agents live on from update to update, so there is no budget "
            "of adaptation to a task to compare at; jm.life_curves shows how they do, "
            "beside others"
        )
    if isinstance(experience.query, Examples):
        return Budget(learner.num_updates, experience.query.inputs.shape[0], None)
    num_episodes, length = experience.query.reward.shape
    per_trial = learner.episodes_per_trial
    if per_trial == 1:
        return Budget(learner.num_updates, num_episodes, length)
    if learner.num_updates:
        raise ValueError(
            f"learner: it adapts in {learner.num_updates} inner updates and in memory "
            f"over {per_trial} episodes, and nothing else adapts in both; compare it "
            "with one of the two"
        )
    return Budget(per_trial - 1, 1, length // per_trial)


def setting_of(
    test_learner: MetaLearner,
    tasks: TaskDistribution,
    test_tasks: TaskDistribution | None,
    policy: Policy | None,
    loss: Loss | None,
    num_steps: int | None,
    num_tuning_tasks: int,
    num_tasks: int,
) -> Setting:
    """What was given and what was not, once it is known to fit."""
    test_tasks = tasks if test_tasks is None else test_tasks
    for each in (tasks, test_tasks):
        check_fit(test_learner.environment, each.environment)
    policy = _plain_policy(test_learner, tasks) if policy is None else policy
    policies.check_policy(policy, tasks.environment)
    if jax.tree.leaves(policy.initial_carry()):
        raise ValueError(
            "policy: it has a memory, and what adapts here are its params; use "
            "policies.mlp, or leave it out"
        )
    budget = budget_of(test_learner, tasks)
    if num_steps is None:
        num_steps = 1 if test_learner.num_updates else _STEPS_BESIDE_MEMORY
    if loss is None:
        loss = default_loss(policy, tasks.environment, budget)
    return Setting(
        tasks,
        test_tasks,
        policy,
        loss,
        budget,
        checks.positive_int("num_steps", num_steps),
        checks.positive_int("num_tuning_tasks", num_tuning_tasks),
        checks.positive_int("num_tasks", num_tasks, minimum=2),
    )


def _plain_policy(learner: MetaLearner, tasks: TaskDistribution) -> Policy:
    """The learner's own, if its params are all there is to adapt."""
    own = learner.policy
    if not jax.tree.leaves(own.initial_carry()):
        output = policies.check_policy(own, tasks.environment)
        if isinstance(output.distribution, Categorical | DiagonalGaussian):
            return own
    return policies.mlp(tasks.environment)


def default_advantage(policy: Policy, environment: Any, num_episodes: int) -> Advantage:
    """By the critic if the policy has one, else by what an episode's features tell."""
    if policies.check_policy(policy, environment).value is not None:
        return advantages.value_baseline(normalize=True)
    if num_episodes == 1:  # the fit would explain the one episode away
        return advantages.reward_to_go(normalize=True)
    return advantages.linear_baseline(normalize=True)


@lru_cache(maxsize=16)  # what is the same is compiled once
def default_loss(policy: Policy, environment: Any, budget: Budget) -> Loss:
    """PPO's surrogate, whose first step is a policy gradient; a Dataset's usual one."""
    supervised = losses.default_supervised(environment, policy, None)
    if supervised is not None:
        return supervised
    advantage = default_advantage(policy, environment, budget.num_episodes)
    return losses.clipped_surrogate(policy, advantage)
