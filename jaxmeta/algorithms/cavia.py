"""CAVIA: adapt a context, not the network."""

import jax
import optax

from jaxmeta import inner, learner, objectives, outer
from jaxmeta.advantages import Advantage
from jaxmeta.algorithms import family
from jaxmeta.estimators import Estimator
from jaxmeta.losses import Loss
from jaxmeta.policies.conditioning import ContextParams
from jaxmeta.types import MetaLearner, Policy, TaskDistribution


def cavia(
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
    task_batch_size: int | None = None,
) -> MetaLearner:
    """CAVIA: inner updates change a context input, which starts from zero.

    ``phi_0 = 0``; ``phi_{k+1} = phi_k - alpha grad_phi L(theta, phi_k, support_k)``;
    the outer step descends ``L(theta, phi_K, query)`` in the network's params
    ``theta``.

    Args:
        tasks: the distribution of tasks.
        policy: a policy made by ``policies.with_context``.
        inner_optimizer: of the context; its gradient is small, and rates are large.
        outer_optimizer: of the network.
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

    Source: Zintgraf, Shiarlis, Kurin, Hofmann and Whiteson, "Fast Context Adaptation
    via Meta-Learning", 2019.

    Raises:
        TypeError: as ``maml``.
        ValueError: as ``maml``, or if the policy has no context.
    """
    family.check_optimizers(
        inner_optimizer=inner_optimizer, outer_optimizer=outer_optimizer
    )
    params = jax.eval_shape(policy.init, jax.random.key(0))
    if not isinstance(params, ContextParams):
        raise ValueError(
            "policy: cavia adapts a context input, and this policy has none; make it "
            "with policies.with_context(make, tasks.environment, size=...)"
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
    adapter = inner.context(
        chosen.inner_loss, inner_optimizer, first_order=chosen.first_order
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
