"""Model-agnostic meta-learning."""

from collections.abc import Sequence

import optax

from jaxmeta import inner, learner, objectives, outer
from jaxmeta.advantages import Advantage
from jaxmeta.algorithms import family
from jaxmeta.estimators import Estimator
from jaxmeta.losses import Loss
from jaxmeta.types import MetaLearner, Policy, TaskDistribution


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
    estimator: str | Estimator | None = None,
    advantage: Advantage | None = None,
    inner_advantage: Advantage | None = None,
    inner_loss: Loss | None = None,
    outer_loss: Loss | None = None,
    outer_loss_weights: Sequence[float] = (1.0,),
    num_epochs: int = 1,
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
        estimator: of the meta-gradient, by name or as one of ``jaxmeta.estimators``,
            where they are compared; ``"first_order"`` is FOMAML. By default ``"lvc"``,
            or ``"plain"`` for an inner loss of your own.
        advantage: of the default losses; ``linear_baseline()`` by default. It has no
            place beside two losses of your own.
        inner_advantage: of the default inner loss; ``advantage`` by default.
        inner_loss: the estimator's by default; on a Dataset ``losses.squared_error``,
            or ``negative_log_likelihood`` for classes.
        outer_loss: ``losses.policy_gradient`` by default; on a Dataset, as the inner
            one.
        outer_loss_weights: of the outer loss after each of the last inner updates; by
            default the very last alone. A weight for each of the ``K`` trains every
            step of adaptation (the multi-step loss of Antoniou, Edwards and Storkey,
            "How to Train Your MAML", 2019), at no further interaction.
        num_epochs: outer gradient steps on the same experience; with more than one
            ``outer_loss`` should be ``losses.clipped_surrogate``, as the experience is
            not that of the later meta-params.
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
    family.check_optimizers(
        inner_optimizer=inner_optimizer, outer_optimizer=outer_optimizer
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
        needs_updates=False,
        num_epochs=num_epochs,
    )
    family.check_weights(outer_loss_weights, num_updates)
    adapter = inner.gradient(
        chosen.inner_loss,
        inner_optimizer,
        first_order=chosen.first_order,
        rematerialize=rematerialize,
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
