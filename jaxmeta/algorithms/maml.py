"""Model-agnostic meta-learning."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxmeta import adaptation, advantages, inner, learner, losses, outer
from jaxmeta.advantages import Advantage
from jaxmeta.losses import Loss
from jaxmeta.types import Dataset, Experience, MetaLearner, Policy, TaskDistribution


def maml(
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
    outer_loss: Loss | None = None,
    outer_loss_weights: Sequence[float] = (1.0,),
    num_epochs: int = 1,
    first_order: bool = False,
    rematerialize: bool = True,
    task_batch_size: int | None = None,
) -> MetaLearner:
    """MAML: meta-learn initial policy params from which gradient steps adapt well.

    ``theta'_m = theta - alpha grad L(theta, support_m)`` for each task ``m``, K times
    with fresh data; ``theta <- theta - beta grad_theta mean_m L(theta'_m, query_m)``.

    Args:
        tasks: the distribution of tasks.
        policy: the policy; its params are meta-learned.
        inner_optimizer: descends the inner loss (``optax.sgd(alpha)``); any optax
            transform whose derivative is finite at a zero gradient.
        outer_optimizer: descends the outer loss.
        num_tasks: ``M`` tasks per meta-update.
        num_updates: ``K`` inner updates.
        num_episodes: ``N`` episodes per inner update, and in the query; examples, for a
            Dataset.
        length: ``T`` steps per episode; by default the environment's horizon.
        advantage: of the default losses; ``linear_baseline()`` by default. It has no
            place beside two losses of your own.
        inner_loss: ``losses.policy_gradient`` by default; on a Dataset
            ``losses.squared_error``, or ``negative_log_likelihood`` for classes.
        outer_loss: by default the same.
        outer_loss_weights: of the outer loss after each of the last inner updates; by
            default the very last alone. A weight for each of the ``K`` trains every
            step of adaptation (the multi-step loss of Antoniou, Edwards and Storkey,
            "How to Train Your MAML", 2019), at no further interaction.
        num_epochs: outer gradient steps on the same experience; with more than one
            ``outer_loss`` should be ``losses.clipped_surrogate``, as the experience is
            not that of the later meta-params.
        first_order: drop the second derivatives (FOMAML).
        rematerialize: recompute inner updates in the backward pass instead of keeping
            their activations; turned off it is faster, and needs memory for ``K``.
        task_batch_size: tasks that learn at a time; see ``batching.map_tasks``.

    Source: Finn, Abbeel and Levine, "Model-Agnostic Meta-Learning for Fast Adaptation
    of Deep Networks", 2017.

    Raises:
        TypeError: if a number is not an integer, or an optimizer is none.
        ValueError: if an argument is out of range, if rollouts are shorter than an
            episode where a loss needs complete ones, or if the inner optimizer
            has NaN meta-gradients.
    """
    for name, optimizer in (("inner", inner_optimizer), ("outer", outer_optimizer)):
        if not isinstance(optimizer, optax.GradientTransformation):
            raise TypeError(
                f"{name}_optimizer must be an optax transform, such as optax.sgd(0.1), "
                f"got {optimizer!r}"
            )
    if advantage is not None and inner_loss is not None and outer_loss is not None:
        raise ValueError("advantage: both losses are given, and have their own")
    default = losses.default_supervised(tasks.environment, policy, advantage)
    if default is None:
        advantage = advantages.linear_baseline() if advantage is None else advantage
        default = losses.policy_gradient(policy, advantage)
    inner_loss, outer_loss = inner_loss or default, outer_loss or default
    for loss in (inner_loss, outer_loss):
        losses.check_length(loss, length, tasks.environment)
    if not 1 <= len(outer_loss_weights) <= max(num_updates, 1):
        raise ValueError(
            f"outer_loss_weights must be one to num_updates={num_updates} weights, got "
            f"{outer_loss_weights}"
        )
    first_loss = num_updates + 1 - len(outer_loss_weights)
    adapter = inner.gradient(
        inner_loss,
        inner_optimizer,
        first_order=first_order,
        rematerialize=rematerialize,
    )

    def objective(meta_params, experience: Experience):
        path, _ = adaptation.adaptation_path(meta_params, experience, inner=adapter)
        total, info = jnp.zeros(()), {}
        for update, weight in enumerate(outer_loss_weights, start=first_loss):
            # What the params after an update acted is the support of the next one;
            # examples are the same for all of them.
            is_query = update == num_updates or isinstance(tasks.environment, Dataset)
            batch = experience.query if is_query else _at(experience.support, update)
            loss, info = outer_loss(_at(path, update), batch)
            total = total + weight * loss
        return total, info

    return learner.meta_learner(
        tasks,
        policy,
        adapter,
        outer.gradient(
            objective,
            outer_optimizer,
            num_epochs=num_epochs,
            task_batch_size=task_batch_size,
        ),
        policy.init,
        num_tasks=num_tasks,
        num_updates=num_updates,
        num_episodes=num_episodes,
        length=length,
        task_batch_size=task_batch_size,
    )


def _at(tree: Any, index: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[index], tree)
