"""Implicit MAML: differentiate what adaptation converges to, not its path."""

import optax

from jaxmeta import implicit, inner, learner, outer
from jaxmeta.advantages import Advantage
from jaxmeta.algorithms import family
from jaxmeta.losses import Loss
from jaxmeta.types import MetaLearner, Policy, TaskDistribution


def imaml(
    tasks: TaskDistribution,
    policy: Policy,
    *,
    inner_optimizer: optax.GradientTransformation,
    outer_optimizer: optax.GradientTransformation,
    strength: float,
    num_tasks: int,
    num_updates: int,
    num_episodes: int,
    length: int | None = None,
    advantage: Advantage | None = None,
    inner_advantage: Advantage | None = None,
    inner_loss: Loss | None = None,
    outer_loss: Loss | None = None,
    num_cg: int = 5,
    task_batch_size: int | None = None,
) -> MetaLearner:
    """Implicit MAML: inner updates pulled to the meta-params, implicit meta-gradient.

    ``phi = argmin L(phi, support) + strength / 2 |phi - theta|^2``; the meta-gradient
    is ``(I + Hessian of L(phi) / strength)^{-1} grad L(phi, query)``. It is as good as
    ``phi`` is close to the minimum, and needs memory for one update only, however many
    there are.

    Args:
        tasks: the distribution of tasks.
        policy: the policy; its params are meta-learned.
        inner_optimizer: descends the inner loss and the pull; any optax transform.
        outer_optimizer: descends the outer loss.
        strength: lambda, of the pull to the meta-params; positive.
        num_tasks: as in ``maml``, like all that follow but ``num_cg``.
        num_updates: at least one; enough to come close to the minimum.
        num_episodes: per inner update, and in the query.
        length: steps per episode.
        advantage: of the default losses.
        inner_advantage: of the default inner loss.
        inner_loss: ``losses.likelihood_ratio`` by default, whose curvature is used.
        outer_loss: ``losses.policy_gradient`` by default.
        num_cg: conjugate-gradient iterations.
        task_batch_size: tasks that learn at a time.

    Source: Rajeswaran, Finn, Kakade and Levine, "Meta-Learning with Implicit
    Gradients", 2019.

    Raises:
        TypeError: as ``maml``.
        ValueError: as ``maml``, or if ``strength`` is not positive, or ``num_cg`` below
            one.
    """
    family.check_optimizers(
        inner_optimizer=inner_optimizer, outer_optimizer=outer_optimizer
    )
    chosen = family.choose(
        tasks,
        policy,
        num_updates=num_updates,
        length=length,
        advantage=advantage,
        inner_advantage=inner_advantage,
        inner_loss=inner_loss,
        outer_loss=outer_loss,
    )
    adapter = inner.proximal(chosen.inner_loss, inner_optimizer, strength=strength)
    adapted = implicit.adapted_params(
        adapter, chosen.inner_loss, strength=strength, num_cg=num_cg
    )

    def objective(meta_params, experience):
        return chosen.outer_loss(adapted(meta_params, experience), experience.query)

    return learner.meta_learner(
        tasks,
        policy,
        adapter,
        outer.gradient(objective, outer_optimizer, task_batch_size=task_batch_size),
        policy.init,
        num_tasks=num_tasks,
        num_updates=num_updates,
        num_episodes=num_episodes,
        length=length,
        task_batch_size=task_batch_size,
    )
