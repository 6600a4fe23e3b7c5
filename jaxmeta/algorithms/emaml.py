"""E-MAML: credit exploration for the adaptation it allows."""

from collections.abc import Sequence

import optax

from jaxmeta import estimators
from jaxmeta.advantages import Advantage
from jaxmeta.algorithms.maml import maml
from jaxmeta.losses import Loss
from jaxmeta.types import MetaLearner, Policy, TaskDistribution


def emaml(
    tasks: TaskDistribution,
    policy: Policy,
    *,
    inner_optimizer: optax.GradientTransformation,
    outer_optimizer: optax.GradientTransformation,
    num_tasks: int,
    num_updates: int,
    num_episodes: int,
    length: int | None = None,
    baseline: bool = True,
    advantage: Advantage | None = None,
    inner_advantage: Advantage | None = None,
    outer_loss: Loss | None = None,
    outer_loss_weights: Sequence[float] = (1.0,),
    rematerialize: bool = True,
    task_batch_size: int | None = None,
) -> MetaLearner:
    """E-MAML: ``maml`` on the finite-sample objective ``E_D[J(U(theta, D))]``.

    Its gradient rewards what the policy does before it adapts for the return after:
    ``E[(dU/dtheta)^T grad J(U)] + E[J(U) sum_n grad log p(tau_n)]``. The same objective
    with less variance is ``maml(estimator="leave_one_out")``.

    Args:
        tasks: the distribution of tasks.
        policy: the policy; its params are meta-learned.
        inner_optimizer: as in ``maml``, like all that follow but ``baseline``.
        outer_optimizer: descends the outer loss.
        num_tasks: tasks per meta-update.
        num_updates: at least one.
        num_episodes: per inner update, and in the query.
        length: steps per episode.
        baseline: as in ``sampling.score_term``.
        advantage: of the default losses.
        inner_advantage: of the default inner loss.
        outer_loss: ``losses.policy_gradient`` with ``average="episode"`` by default.
        outer_loss_weights: of the outer loss after each of the last inner updates.
        rematerialize: recompute inner updates in the backward pass.
        task_batch_size: tasks that learn at a time.

    Source: Stadie, Yang, Houthooft, Chen, Duan, Wu, Abbeel and Sutskever, "Some
    Considerations on Learning to Explore via Meta-Reinforcement Learning", 2018.

    Raises:
        TypeError: as ``maml``.
        ValueError: as ``maml``, or if ``num_updates`` is zero.
    """
    return maml(
        tasks,
        policy,
        inner_optimizer=inner_optimizer,
        outer_optimizer=outer_optimizer,
        num_tasks=num_tasks,
        num_updates=num_updates,
        num_episodes=num_episodes,
        length=length,
        estimator=estimators.emaml(baseline=baseline),
        advantage=advantage,
        inner_advantage=inner_advantage,
        outer_loss=outer_loss,
        outer_loss_weights=outer_loss_weights,
        rematerialize=rematerialize,
        task_batch_size=task_batch_size,
    )
