"""Reptile: move the initial params towards the adapted ones."""

import optax

from jaxmeta import inner, learner, outer
from jaxmeta.advantages import Advantage
from jaxmeta.algorithms import family
from jaxmeta.losses import Loss
from jaxmeta.types import MetaLearner, Policy, TaskDistribution


def reptile(
    tasks: TaskDistribution,
    policy: Policy,
    *,
    inner_optimizer: optax.GradientTransformation,
    outer_optimizer: optax.GradientTransformation,
    num_tasks: int,
    num_updates: int,
    num_episodes: int,
    length: int | None = None,
    advantage: Advantage | None = None,
    inner_loss: Loss | None = None,
    task_batch_size: int | None = None,
) -> MetaLearner:
    """Reptile: ``theta <- theta + epsilon mean_m (theta'_m - theta)``.

    ``theta'_m`` is reached by ``num_updates`` inner updates on task ``m``; nothing is
    differentiated through them. With one inner update it is joint training on all
    tasks, so it takes several.

    Args:
        tasks: the distribution of tasks.
        policy: the policy; its params are meta-learned.
        inner_optimizer: descends the inner loss; any optax transform.
        outer_optimizer: ``optax.sgd(epsilon)`` moves a fraction epsilon of the way.
        num_tasks: as in ``maml``, like all that follow.
        num_updates: at least one.
        num_episodes: per inner update; the query serves to measure returns.
        length: steps per episode.
        advantage: of the default inner loss.
        inner_loss: ``losses.policy_gradient`` by default.
        task_batch_size: tasks that learn at a time.

    Source: Nichol, Achiam and Schulman, "On First-Order Meta-Learning Algorithms",
    2018.

    Raises:
        TypeError: as ``maml``.
        ValueError: as ``maml``.
    """
    family.check_optimizers(
        inner_optimizer=inner_optimizer, outer_optimizer=outer_optimizer
    )
    chosen = family.choose(
        tasks,
        policy,
        estimator="first_order",
        num_updates=num_updates,
        length=length,
        advantage=advantage,
        inner_loss=inner_loss,
        uses_outer_loss=False,
    )
    adapter = inner.gradient(chosen.inner_loss, inner_optimizer, first_order=True)
    return learner.meta_learner(
        tasks,
        policy,
        adapter,
        outer.reptile(adapter, outer_optimizer, task_batch_size=task_batch_size),
        policy.init,
        num_tasks=num_tasks,
        num_updates=num_updates,
        num_episodes=num_episodes,
        length=length,
        task_batch_size=task_batch_size,
    )
