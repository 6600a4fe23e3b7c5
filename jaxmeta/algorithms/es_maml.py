"""ES-MAML: evolution strategies in place of the meta-gradient."""

import optax

from jaxmeta import inner, learner, outer
from jaxmeta.advantages import Advantage
from jaxmeta.algorithms import family
from jaxmeta.losses import Loss
from jaxmeta.types import Experience, MetaLearner, Params, Policy, TaskDistribution


def es_maml(
    tasks: TaskDistribution,
    policy: Policy,
    *,
    inner_optimizer: optax.GradientTransformation,
    outer_optimizer: optax.GradientTransformation,
    sigma: float,
    num_tasks: int,
    num_updates: int,
    num_episodes: int,
    length: int | None = None,
    advantage: Advantage | None = None,
    inner_loss: Loss | None = None,
    task_batch_size: int | None = None,
) -> MetaLearner:
    """ES-MAML: estimate the meta-gradient from returns after adaptation alone.

    ``grad_theta E[F(theta + sigma e)] = E[(F(theta + sigma e) - F(theta - sigma e)) e]
    / (2 sigma)`` with ``e ~ N(0, I)`` and ``F(theta)`` the return of the adapted
    policy, in a new task for every pair; both of a pair see the same random numbers.
    Nothing is differentiated but the inner loss.

    Args:
        tasks: the distribution of tasks.
        policy: the policy; its params are meta-learned.
        inner_optimizer: descends the inner loss; any optax transform.
        outer_optimizer: of the meta-params.
        sigma: the standard deviation of the perturbations; positive.
        num_tasks: ``M`` pairs of perturbations, each with a task of its own: ``2 M``
            agents act.
        num_updates: as in ``maml``, like all that follow.
        num_episodes: per inner update, and in the query.
        length: steps per episode.
        advantage: of the default inner loss.
        inner_loss: ``losses.policy_gradient`` by default.
        task_batch_size: tasks that learn at a time.

    Source: Song, Gao, Yang, Choromanski, Pacchiano and Tang, "ES-MAML: Simple
    Hessian-Free Meta Learning", 2020.

    Raises:
        TypeError: as ``maml``.
        ValueError: as ``maml``, or if ``sigma`` is not positive.
    """
    family.check_optimizers(
        inner_optimizer=inner_optimizer, outer_optimizer=outer_optimizer
    )
    if not sigma > 0:
        raise ValueError(f"sigma must be positive, got {sigma}")
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

    def objective(meta_params: Params, experience: Experience):
        returns = learner.performance(
            meta_params,
            experience,
            environment=tasks.environment,
            policy=policy,
            inner=adapter,
        )
        return -returns[-1], {}

    return learner.meta_learner(
        tasks,
        policy,
        adapter,
        outer.evolution(objective, outer_optimizer, sigma=sigma),
        policy.init,
        num_tasks=num_tasks,
        num_updates=num_updates,
        num_episodes=num_episodes,
        length=length,
        task_batch_size=task_batch_size,
    )
