"""One policy for all tasks: what there is to gain without adaptation."""

import jax
import optax

from jaxmeta import advantages
from jaxmeta.advantages import Advantage
from jaxmeta.algorithms import trials
from jaxmeta.losses import Loss
from jaxmeta.types import MetaLearner, Policy, TaskDistribution


def multitask(
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
    """Proximal policy optimization of one policy without memory, over all tasks.

    The reference that says what adaptation is worth. On ``tasks.told(tasks,
    encode)``, whose observations tell the task, it is the other one: an agent with
    nothing to find out.

    Args:
        tasks: the distribution of tasks.
        policy: one without memory and with a critic: ``policies.mlp(critic=True)``.
        outer_optimizer: of the policy's params.
        num_tasks: tasks per update.
        num_episodes: episodes of each task.
        length: steps per episode.
        advantage: of the default loss; ``advantages.value_baseline()`` by default.
        outer_loss: ``losses.clipped_surrogate`` by default.
        entropy_coefficient: weight of the entropy bonus in the default loss; 0.01 by
            default.
        num_epochs: how often an update learns from its episodes.
        num_minibatches: steps of the optimizer per epoch.

    Source: Schulman, Wolski, Dhariwal, Radford and Klimov, "Proximal Policy
    Optimization Algorithms", 2017.

    Raises:
        TypeError: if a number is no integer.
        ValueError: if the policy has memory or no critic, a number is out of range, two
            arguments contradict each other, or the episodes cannot be split into
            minibatches.
    """
    if jax.tree.leaves(policy.initial_carry()):
        raise ValueError(
            "policy: it has a memory, which multitask would never use over episodes; "
            "use policies.mlp, or the method rl2"
        )
    if advantage is None and outer_loss is None:
        advantage = advantages.value_baseline()
    return trials.policy_optimization(
        tasks,
        policy,
        trials.choose_loss(policy, advantage, outer_loss, entropy_coefficient),
        outer_optimizer=outer_optimizer,
        num_tasks=num_tasks,
        num_trials=num_episodes,
        episodes_per_trial=None,
        length=length,
        num_epochs=num_epochs,
        num_minibatches=num_minibatches,
    )
