"""RL^2: reinforcement learning in the activations of a policy with memory."""

import jax
import optax

from jaxmeta import advantages, checks, inner, learner, losses, outer
from jaxmeta.advantages import Advantage
from jaxmeta.algorithms import family
from jaxmeta.losses import AdvantageLoss, Loss
from jaxmeta.types import Dataset, MetaLearner, Policy, TaskDistribution


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
    entropy_coefficient: float = 0.01,
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
        outer_loss: ``losses.clipped_surrogate`` (PPO) by default; ``losses.v_trace``
            makes it the V-trace actor-critic.
        entropy_coefficient: weight of the entropy bonus in the default loss.
        num_epochs: how often an update learns from its trials.
        num_minibatches: steps of the optimizer per epoch.

    Source: Duan, Schulman, Chen, Bartlett, Sutskever and Abbeel, "RL^2: Fast
    Reinforcement Learning via Slow Reinforcement Learning", 2016; Schulman et al.,
    "Proximal Policy Optimization Algorithms", 2017.

    Raises:
        TypeError: if a number is no integer.
        ValueError: if the policy has no memory or no critic, a number is out of range,
            the advantage is not that of a trial, or the trials cannot be split into
            minibatches.
    """
    num_episodes = checks.positive_int("num_episodes", num_episodes)
    if not jax.tree.leaves(policy.initial_carry()):
        raise ValueError(
            "policy: rl2 learns in a policy's memory, and this one has none; use "
            "policies.recurrent, or the method multitask"
        )
    if advantage is None:
        advantage = advantages.value_baseline(
            trace_decay=0.3, episodes_per_trial=num_episodes
        )
    given = outer_loss.advantage if isinstance(outer_loss, AdvantageLoss) else advantage
    if given.needs_next_values or given.needs_complete_episodes:
        raise ValueError(
            "advantage: its episodes are each on their own, so that exploring for "
            "later ones never pays; use value_baseline(episodes_per_trial="
            f"{num_episodes})"
        )
    return policy_optimization(
        tasks,
        policy,
        outer_loss or default_loss(policy, advantage, entropy_coefficient),
        outer_optimizer=outer_optimizer,
        num_tasks=num_tasks,
        num_trials=1,
        episodes_per_trial=num_episodes,
        length=length,
        num_epochs=num_epochs,
        num_minibatches=num_minibatches,
    )


def default_loss(
    policy: Policy, advantage: Advantage, entropy_coefficient: float
) -> AdvantageLoss:
    """PPO's loss."""
    return losses.clipped_surrogate(
        policy, advantage, entropy_coefficient=entropy_coefficient
    )


def policy_optimization(
    tasks: TaskDistribution,
    policy: Policy,
    loss: Loss,
    *,
    outer_optimizer: optax.GradientTransformation,
    num_tasks: int,
    num_trials: int,
    episodes_per_trial: int,
    length: int | None,
    num_epochs: int,
    num_minibatches: int,
) -> MetaLearner:
    """The meta-learner of a policy that nothing adapts, ``num_trials`` per task.

    Raises:
        TypeError: if a number is no integer, or the optimizer none.
        ValueError: if a number is out of range, the tasks are those of a Dataset, or
            the trials cannot be split into minibatches.
    """
    family.check_optimizers(outer_optimizer=outer_optimizer)
    if isinstance(tasks.environment, Dataset):
        raise ValueError(
            "tasks: they are those of a Dataset, and this method needs an environment "
            "to act in"
        )
    losses.check_length(loss, length, tasks.environment)
    outer_learner = outer.on_trials(
        loss,
        outer_optimizer,
        num_epochs=num_epochs,
        num_minibatches=num_minibatches,
    )
    made = learner.meta_learner(
        tasks,
        policy,
        inner.identity(),
        outer_learner,
        policy.init,
        num_tasks=num_tasks,
        num_updates=0,
        num_episodes=num_trials,
        episodes_per_trial=episodes_per_trial,
        length=length,
    )
    outer.check_minibatches(num_tasks * num_trials, num_minibatches)
    jax.eval_shape(
        made.update, jax.random.key(0), jax.eval_shape(made.init, jax.random.key(0))
    )
    return made
