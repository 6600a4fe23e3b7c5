"""MAML with a trust region as the outer step."""

from collections.abc import Sequence

import optax

from jaxmeta import (
    estimators,
    inner,
    learner,
    losses,
    objectives,
    outer,
    policies,
)
from jaxmeta.advantages import Advantage
from jaxmeta.algorithms import family
from jaxmeta.estimators import Estimator
from jaxmeta.losses import AdvantageLoss, Loss
from jaxmeta.types import Dataset, MetaLearner, Policy, TaskDistribution


def maml_trpo(
    tasks: TaskDistribution,
    policy: Policy,
    *,
    inner_optimizer: optax.GradientTransformation,
    radius: float | optax.Schedule = 0.01,
    num_tasks: int,
    num_updates: int,
    num_episodes: int,
    length: int | None = None,
    estimator: str | Estimator | None = None,
    advantage: Advantage | None = None,
    inner_advantage: Advantage | None = None,
    inner_loss: Loss | None = None,
    outer_loss: Loss | None = None,
    outer_loss_weights: Sequence[float] = (1.0,),
    num_cg: int = 10,
    damping: float = 1e-5,
    num_backtracks: int = 15,
    num_curvature_episodes: int | None = None,
    task_batch_size: int | None = None,
) -> MetaLearner:
    """MAML-TRPO: meta-learn initial policy params, by natural-gradient outer steps.

    The outer step minimises the outer loss of the adapted policies where their mean KL
    divergence from those that acted, weighted as their losses are, is at most
    ``radius``: see ``outer.trust_region``.

    Args:
        tasks: the distribution of tasks.
        policy: the policy, without a critic: a trust region of the policy's
            distribution does not train one.
        inner_optimizer: as in ``maml``.
        radius: of the trust region, in nats; a number, or a schedule.
        num_tasks: as in ``maml``, like all that follow but those of the trust region.
        num_updates: inner updates.
        num_episodes: per inner update, and in the query.
        length: steps per episode.
        estimator: of the meta-gradient.
        advantage: of the default losses.
        inner_advantage: of the default inner loss.
        inner_loss: the estimator's by default.
        outer_loss: ``losses.likelihood_ratio`` by default, which is what the line
            search compares.
        outer_loss_weights: of the outer loss after each of the last inner updates, and
            of the divergence of the policies it is a loss of.
        num_cg: conjugate-gradient iterations.
        damping: added to the curvature.
        num_backtracks: how often the line search may shorten the step.
        num_curvature_episodes: of each task, that the curvature is estimated on; all by
            default.
        task_batch_size: tasks that learn at a time.

    Source: Finn, Abbeel and Levine, "Model-Agnostic Meta-Learning for Fast Adaptation
    of Deep Networks", 2017; Schulman, Levine, Moritz, Jordan and Abbeel, "Trust Region
    Policy Optimization", 2015.

    Raises:
        TypeError: as ``maml``.
        ValueError: as ``maml``, if the policy has a critic, or if a number of the trust
            region is out of range.
    """
    family.check_optimizers(inner_optimizer=inner_optimizer)
    if isinstance(tasks.environment, Dataset):
        raise ValueError(
            "tasks: maml_trpo bounds how far the distribution of actions moves; on a "
            "Dataset use maml"
        )
    if policies.check_policy(policy, tasks.environment).value is not None:
        raise ValueError(
            "policy: maml_trpo trains no critic; use a policy without one, and "
            "advantages.linear_baseline"
        )
    if estimator is not None and estimators.get(estimator).name == "leave_one_out":
        raise ValueError(
            "estimator: the line search of maml_trpo compares values of the objective "
            "between params, and what 'leave_one_out' credits episodes with is known "
            "at those that acted alone; use maml, or 'emaml'"
        )
    chosen = family.choose(
        tasks,
        policy,
        estimator=estimator,
        num_updates=num_updates,
        length=length,
        advantage=advantage,
        inner_advantage=inner_advantage,
        inner_loss=inner_loss,
        outer_loss=outer_loss,
        default_outer_loss=losses.likelihood_ratio,
        needs_updates=False,
    )
    family.check_weights(outer_loss_weights, num_updates)
    if not isinstance(chosen.outer_loss, AdvantageLoss):
        raise ValueError("outer_loss: maml_trpo needs one of jaxmeta.losses, or none")
    if not chosen.outer_loss.has_value:
        raise ValueError(
            "outer_loss: the line search of maml_trpo compares its values, which for "
            "DiCE are always zero; use losses.likelihood_ratio"
        )
    adapter = inner.gradient(
        chosen.inner_loss,
        inner_optimizer,
        first_order=chosen.first_order,
        rematerialize=False,  # every product would do it again
    )
    objective = objectives.after_adaptation(
        adapter,
        chosen.outer_loss,
        weights=outer_loss_weights,
        sampling_term=chosen.sampling_term,
    )
    return learner.meta_learner(
        tasks,
        policy,
        adapter,
        outer.trust_region(
            objective,
            objectives.adapted_distributions(
                adapter, chosen.outer_loss, weights=outer_loss_weights
            ),
            radius=radius,
            num_cg=num_cg,
            damping=damping,
            num_backtracks=num_backtracks,
            num_curvature_episodes=num_curvature_episodes,
            task_batch_size=task_batch_size,
        ),
        policy.init,
        num_tasks=num_tasks,
        num_updates=num_updates,
        num_episodes=num_episodes,
        length=length,
        task_batch_size=task_batch_size,
    )
