"""Meta-SGD: learn the rate of every weight beside the initial params."""

import jax
import jax.numpy as jnp
import optax

from jaxmeta import inner, learner, objectives, outer
from jaxmeta.advantages import Advantage
from jaxmeta.algorithms import family
from jaxmeta.estimators import Estimator
from jaxmeta.losses import Loss
from jaxmeta.types import MetaLearner, Policy, TaskDistribution


def meta_sgd(
    tasks: TaskDistribution,
    policy: Policy,
    *,
    inner_rate: float,
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
    task_batch_size: int | None = None,
) -> MetaLearner:
    """Meta-SGD: meta-learn initial policy params and a learning rate for each of them.

    ``theta' = theta - alpha * grad L(theta, support)``, elementwise; the outer step
    descends ``L(theta', query)`` in ``theta`` and ``alpha``, which are the meta-params
    (``inner.MetaSGDParams``).

    Args:
        tasks: the distribution of tasks.
        policy: the policy.
        inner_rate: what all rates are at first.
        outer_optimizer: of the initial params and of the rates.
        num_tasks: as in ``maml``, like all that follow.
        num_updates: at least one.
        num_episodes: per inner update, and in the query.
        length: steps per episode.
        estimator: of the meta-gradient.
        advantage: of the default losses.
        inner_advantage: of the default inner loss.
        inner_loss: the estimator's by default.
        outer_loss: ``losses.policy_gradient`` by default.
        task_batch_size: tasks that learn at a time.

    Source: Li, Zhou, Chen and Li, "Meta-SGD: Learning to Learn Quickly for Few-Shot
    Learning", 2017.

    Raises:
        TypeError: as ``maml``, or if ``inner_rate`` is an optimizer.
        ValueError: as ``maml``.
    """
    family.check_optimizers(outer_optimizer=outer_optimizer)
    if isinstance(inner_rate, optax.GradientTransformation):
        raise TypeError(
            "inner_rate must be a number, got an optax transform: Meta-SGD learns the "
            "rates of its own inner update"
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
    )
    adapter = inner.meta_sgd(chosen.inner_loss, first_order=chosen.first_order)
    objective = objectives.after_adaptation(
        adapter, chosen.outer_loss, sampling_term=chosen.sampling_term
    )

    def meta_init(key):
        initial = policy.init(key)
        rates = jax.tree.map(lambda leaf: jnp.full_like(leaf, inner_rate), initial)
        return inner.MetaSGDParams(initial, rates)

    return learner.meta_learner(
        tasks,
        policy,
        adapter,
        outer.gradient(objective, outer_optimizer, task_batch_size=task_batch_size),
        meta_init,
        num_tasks=num_tasks,
        num_updates=num_updates,
        num_episodes=num_episodes,
        length=length,
        task_batch_size=task_batch_size,
    )
