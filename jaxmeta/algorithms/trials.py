"""What methods without inner updates share: policy optimization on trials."""

from collections.abc import Callable

import jax
import optax

from jaxmeta import inner, learner, losses, minibatches, outer, policies
from jaxmeta.advantages import Advantage
from jaxmeta.algorithms import family
from jaxmeta.losses import Loss
from jaxmeta.types import (
    Dataset,
    Inner,
    Key,
    MetaLearner,
    Outer,
    Params,
    Policy,
    TaskDistribution,
)

Extend = Callable[[Outer, int], tuple[Inner, Outer, Callable[[Key], Params]]]
"""``(policy optimization, steps of a trial) -> (inner, outer, meta_init)``."""


def policy_optimization(
    tasks: TaskDistribution,
    policy: Policy,
    loss: Loss,
    *,
    outer_optimizer: optax.GradientTransformation,
    num_tasks: int,
    num_trials: int,
    episodes_per_trial: int | None,
    length: int | None,
    num_epochs: int,
    num_minibatches: int,
    extend: Extend | None = None,
) -> MetaLearner:
    """The meta-learner of a policy that nothing adapts, ``num_trials`` per task.

    Args:
        tasks: the distribution of tasks.
        policy: who acts.
        loss: of the policy, on a batch of trials.
        outer_optimizer: of its params.
        num_tasks: tasks per update.
        num_trials: trials of each.
        episodes_per_trial: episodes in a trial; None where the policy has no memory, so
            that each episode is on its own.
        length: steps in a trial.
        num_epochs: how often an update learns from its trials.
        num_minibatches: steps of the optimizer per epoch.
        extend: what else is meta-learned beside the policy.

    Raises:
        TypeError: if a number is no integer, or the optimizer none.
        ValueError: if a number is out of range, the tasks are those of a Dataset, the
            loss is not that of such trials or of the policy, or the trials cannot be
            split into minibatches.
    """
    family.check_optimizers(outer_optimizer=outer_optimizer)
    if isinstance(tasks.environment, Dataset):
        raise ValueError(
            "tasks: they are those of a Dataset, and this method needs an environment "
            "to act in"
        )
    policies.check_policy(policy, tasks.environment)
    steps = learner.checked_length(
        tasks.environment, policy, length, episodes_per_trial or 1
    )
    with_advantages = losses.advantage_loss_of(loss)
    losses.check_same_policy(policy, outer_loss=with_advantages)
    if with_advantages is not None:
        _check_advantage(with_advantages.advantage, episodes_per_trial)
    losses.check_length(with_advantages or loss, length, tasks.environment)
    horizon = tasks.environment.horizon
    if episodes_per_trial is not None and length is not None and length < horizon:
        raise ValueError(
            f"length must be at least the horizon of {tasks.environment.name}, "
            f"{horizon} steps, got {length}: a trial has an episode or more"
        )
    outer_learner = outer.on_trials(
        loss,
        outer_optimizer,
        num_epochs=num_epochs,
        num_minibatches=num_minibatches,
    )
    adapter, meta_init = inner.identity(), policy.init
    if extend is not None:
        adapter, outer_learner, meta_init = extend(outer_learner, steps)
    made = learner.meta_learner(
        tasks,
        policy,
        adapter,
        outer_learner,
        meta_init,
        num_tasks=num_tasks,
        num_updates=0,
        num_episodes=num_trials,
        episodes_per_trial=episodes_per_trial or 1,
        length=length,
    )
    minibatches.check(num_tasks * num_trials, num_minibatches)
    jax.eval_shape(
        made.update, jax.random.key(0), jax.eval_shape(made.init, jax.random.key(0))
    )
    return made


def choose_loss(
    policy: Policy,
    advantage: Advantage | None,
    outer_loss: Loss | None,
    entropy_coefficient: float | None,
) -> Loss:
    """PPO's loss, unless there is one.

    Raises:
        ValueError: if there is one, and arguments it has of its own are given too.
    """
    if outer_loss is None:
        assert advantage is not None
        coefficient = 0.01 if entropy_coefficient is None else entropy_coefficient
        return losses.clipped_surrogate(
            policy, advantage, entropy_coefficient=coefficient
        )
    given = {"advantage": advantage, "entropy_coefficient": entropy_coefficient}
    for name, value in given.items():
        if value is not None:
            raise ValueError(f"{name}: outer_loss is given, and has its own")
    return outer_loss


def _check_advantage(advantage: Advantage, episodes_per_trial: int | None) -> None:
    """Check that advantages go on over as many episodes as memory lasts."""
    found = advantage.episodes_per_trial
    if found == episodes_per_trial:
        return
    if episodes_per_trial is None:
        raise ValueError(
            f"advantage: it is that of trials of {found} episodes, and without memory "
            "each episode is on its own; leave episodes_per_trial out"
        )
    has = "are each on their own" if found is None else f"make trials of {found}"
    raise ValueError(
        f"advantage: its episodes {has}, and memory lasts over {episodes_per_trial}; "
        f"use episodes_per_trial={episodes_per_trial} in value_baseline or v_trace"
    )
