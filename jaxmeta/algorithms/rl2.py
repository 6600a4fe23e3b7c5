"""RL^2: reinforcement learning in the activations of a policy with memory."""

import jax
import optax

from jaxmeta import advantages, checks
from jaxmeta.advantages import Advantage
from jaxmeta.algorithms import trials
from jaxmeta.losses import Loss
from jaxmeta.types import MetaLearner, Policy, TaskDistribution


def rl2(
    tasks: TaskDistribution,
    policy: Policy,
    *,
    outer_optimizer: optax.GradientTransformation,
    num_tasks: int,
    num_episodes: int = 1,
    length: int | None = None,
    advantage: Advantage | None = None,
    outer_loss: Loss | None = None,
    entropy_coefficient: float | None = None,
    num_epochs: int = 4,
    num_minibatches: int = 4,
) -> MetaLearner:
    """RL^2: a policy with memory, trained on whole trials, learns to learn.

    A trial is ``num_episodes`` episodes of one task, through which the memory lasts.
    The policy maximises the discounted reward of the *trial*: what it finds out in one
    episode pays in those after it. Nothing else adapts, so ``adaptation_curve`` is the
    return of each episode of a trial.

    Args:
        tasks: the distribution of tasks.
        policy: one with memory and a critic, such as ``policies.recurrent``.
        outer_optimizer: of the policy's params.
        num_tasks: tasks per update, with one trial each.
        num_episodes: episodes in a trial.
        length: steps in a trial; by default ``num_episodes`` times the horizon.
        advantage: of the default loss; ``value_baseline(discount=0.99, trace_decay=0.3,
            episodes_per_trial=num_episodes)`` by default.
        outer_loss: ``losses.clipped_surrogate`` (PPO) by default; ``losses.v_trace(
            policy, episodes_per_trial=num_episodes)`` makes it the V-trace
            actor-critic.
        entropy_coefficient: weight of the entropy bonus in the default loss; 0.01 by
            default.
        num_epochs: how often an update learns from its trials.
        num_minibatches: steps of the optimizer per epoch.

    Source: Duan, Schulman, Chen, Bartlett, Sutskever and Abbeel, "RL^2: Fast
    Reinforcement Learning via Slow Reinforcement Learning", 2016; Schulman et al.,
    "Proximal Policy Optimization Algorithms", 2017.

    Raises:
        TypeError: if a number is no integer.
        ValueError: if the policy has no memory or no critic, a number is out of range,
            the advantages are not those of such a trial, two arguments contradict each
            other, or the trials cannot be split into minibatches.
    """
    num_episodes = checks.positive_int("num_episodes", num_episodes)
    if not jax.tree.leaves(policy.initial_carry()):
        raise ValueError(
            "policy: rl2 learns in a policy's memory, and this one has none; use "
            "policies.recurrent, or the method multitask"
        )
    if advantage is None and outer_loss is None:
        advantage = advantages.value_baseline(
            trace_decay=0.3, episodes_per_trial=num_episodes
        )
    return trials.policy_optimization(
        tasks,
        policy,
        trials.choose_loss(policy, advantage, outer_loss, entropy_coefficient),
        outer_optimizer=outer_optimizer,
        num_tasks=num_tasks,
        num_trials=1,
        episodes_per_trial=num_episodes,
        length=length,
        num_epochs=num_epochs,
        num_minibatches=num_minibatches,
    )
