"""ANIL: adapt the last layer only."""

from collections.abc import Callable

import jax
import optax

from jaxmeta import inner, learner, objectives, optimizers, outer, policies, trees
from jaxmeta.advantages import Advantage
from jaxmeta.algorithms import family
from jaxmeta.estimators import Estimator
from jaxmeta.losses import Loss
from jaxmeta.types import MetaLearner, Policy, TaskDistribution


def anil(
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
    adapts: Callable[[str], bool] = policies.is_head,
    task_batch_size: int | None = None,
) -> MetaLearner:
    """ANIL: MAML whose inner updates change the head of the policy alone.

    The body is meta-learned, through the adaptation of the head, and the same for all
    tasks: almost no inner loop.

    Args:
        tasks: the distribution of tasks.
        policy: the policy; its params are meta-learned.
        inner_optimizer: of the head.
        outer_optimizer: of all params.
        num_tasks: as in ``maml``, like all that follow but ``adapts``.
        num_updates: at least one.
        num_episodes: per inner update, and in the query.
        length: steps per episode.
        estimator: of the meta-gradient.
        advantage: of the default losses.
        inner_advantage: of the default inner loss.
        inner_loss: the estimator's by default.
        outer_loss: ``losses.policy_gradient`` by default.
        adapts: whether the param of a path, such as ``params/policy_out/kernel``, is
            adapted; by default the last layers of ``policies.mlp``.
        task_batch_size: tasks that learn at a time.

    Source: Raghu, Raghu, Bengio and Vinyals, "Rapid Learning or Feature Reuse? Towards
    Understanding the Effectiveness of MAML", 2020.

    Raises:
        TypeError: as ``maml``.
        ValueError: as ``maml``, or if ``adapts`` selects no param.
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
    )
    params = jax.eval_shape(policy.init, jax.random.key(0))
    mask = trees.path_mask(params, adapts)
    if not any(jax.tree.leaves(mask)):
        raise ValueError(
            "adapts: it selects none of the policy's params, so nothing would adapt; "
            f"their paths are {', '.join(trees.paths(params))}"
        )
    adapter = inner.gradient(
        chosen.inner_loss,
        optimizers.masked(inner_optimizer, mask),
        first_order=chosen.first_order,
    )
    objective = objectives.after_adaptation(
        adapter, chosen.outer_loss, sampling_term=chosen.sampling_term
    )
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
