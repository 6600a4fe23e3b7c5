"""ProMP: proximal meta-policy search."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxmeta import (
    adaptation,
    batching,
    checks,
    inner,
    learner,
    losses,
    objectives,
    outer,
)
from jaxmeta.advantages import Advantage, steps_that_count
from jaxmeta.algorithms import family
from jaxmeta.estimators import Estimator
from jaxmeta.losses import AdvantageLoss
from jaxmeta.types import (
    Experience,
    Inner,
    MetaLearner,
    Outer,
    Params,
    Policy,
    TaskDistribution,
)

_SMALLEST_COEFFICIENT = 1e-8


class ProMPState(NamedTuple):
    """The outer optimizer's state, and the KL coefficient ``[K]`` of each update."""

    optimizer_state: Any
    kl_coefficients: jax.Array


def promp(
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
    clip: float = 0.3,
    num_epochs: int = 5,
    target_kl: float = 0.01,
    kl_coefficient: float = 5e-4,
    task_batch_size: int | None = None,
) -> MetaLearner:
    """ProMP: several clipped outer steps on the same experience, kept close to it.

    ``J = J_clip(theta') - mean_k eta_k KL(pi_old || pi_{theta_k})``: the clipped
    surrogate holds the adapted policy near the one that acted after adaptation, the KL
    term the policies before each inner update near those that acted then. After the
    epochs ``eta_k`` doubles where that KL exceeds 1.5 times its target, and halves
    where it is below two thirds of it.

    Args:
        tasks: the distribution of tasks.
        policy: the policy; its params are meta-learned.
        inner_optimizer: as in ``maml``, like all that follow but what is said below.
        outer_optimizer: descends the outer loss.
        num_tasks: tasks per meta-update.
        num_updates: at least one.
        num_episodes: per inner update, and in the query.
        length: steps per episode.
        estimator: of the meta-gradient; ``"lvc"`` in the paper, and by default.
        advantage: of both losses.
        inner_advantage: of the inner loss; ``advantage`` by default.
        clip: how far the outer probability ratio may move.
        num_epochs: outer gradient steps on the same experience.
        target_kl: of the policies before each inner update, in nats; positive.
        kl_coefficient: the initial ``eta``; zero for no penalty at all.
        task_batch_size: tasks that learn at a time.

    Source: Rothfuss, Lee, Clavera, Asfour and Abbeel, "ProMP: Proximal Meta-Policy
    Search", 2019.

    Raises:
        TypeError: as ``maml``.
        ValueError: as ``maml``, or if ``target_kl`` or ``kl_coefficient`` is out of
            range.
    """
    family.check_optimizers(
        inner_optimizer=inner_optimizer, outer_optimizer=outer_optimizer
    )
    num_epochs = checks.positive_int("num_epochs", num_epochs)
    if not target_kl > 0:
        raise ValueError(f"target_kl must be positive, got {target_kl}")
    if not kl_coefficient >= 0:
        raise ValueError(f"kl_coefficient must not be negative, got {kl_coefficient}")

    def clipped(policy, advantage, *, average):
        return losses.clipped_surrogate(policy, advantage, clip=clip, average=average)

    chosen = family.choose(
        tasks,
        policy,
        estimator=estimator,
        num_updates=num_updates,
        length=length,
        advantage=advantage,
        inner_advantage=inner_advantage,
        default_outer_loss=clipped,
        num_epochs=num_epochs,
    )
    if not isinstance(chosen.inner_loss, AdvantageLoss):
        raise ValueError(
            "tasks: promp bounds how far the distribution of actions moves; on a "
            "Dataset use maml"
        )
    adapter = inner.gradient(
        chosen.inner_loss, inner_optimizer, first_order=chosen.first_order
    )
    objective = objectives.after_adaptation(
        adapter, chosen.outer_loss, sampling_term=chosen.sampling_term
    )
    return learner.meta_learner(
        tasks,
        policy,
        adapter,
        _penalized(
            objective,
            _inner_kls(adapter, chosen.inner_loss),
            outer_optimizer,
            target_kl=target_kl,
            initial=jnp.full(num_updates, kl_coefficient, jnp.float32),
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


def _inner_kls(adapter: Inner, loss: AdvantageLoss):
    """``(meta_params, experience) -> [K]``, how far each acting policy has moved."""

    def inner_kls(meta_params: Params, experience: Experience) -> jax.Array:
        path, _ = adaptation.adaptation_path(meta_params, experience, inner=adapter)
        acting = jax.tree.map(lambda leaf: leaf[:-1], path)

        def mean_kl(params, batch):
            output, _ = losses.evaluate(loss.policy, loss.advantage, params, batch)
            weights = steps_that_count(loss.advantage, batch)
            kl = batch.distribution.kl(output.distribution)
            return jnp.sum(kl * weights) / jnp.sum(weights)

        return jax.vmap(mean_kl)(acting, experience.support)

    return inner_kls


def _penalized(
    objective: outer.Objective,
    inner_kls: Any,
    optimizer: optax.GradientTransformation,
    *,
    target_kl: float,
    initial: jax.Array,
    num_epochs: int,
    task_batch_size: int | None,
) -> Outer:
    """``outer.gradient`` with the KL penalty, whose coefficients are in its state."""

    def descend(coefficients: jax.Array) -> Outer:
        def penalized(meta_params, experience):
            loss, info = objective(meta_params, experience)
            kls = inner_kls(meta_params, experience)
            return loss + jnp.mean(coefficients * kls), info

        return outer.gradient(
            penalized, optimizer, num_epochs=num_epochs, task_batch_size=task_batch_size
        )

    def init(meta_params):
        return ProMPState(descend(initial).init(meta_params), initial)

    def update(key, meta_params, state, experience):
        meta_params, optimizer_state, info = descend(state.kl_coefficients).update(
            key, meta_params, state.optimizer_state, experience
        )
        kls = batching.map_tasks(
            lambda one: inner_kls(meta_params, one),
            experience,
            batch_size=task_batch_size,
        )
        kl = jnp.mean(kls, axis=0)
        factor = jnp.where(kl > 1.5 * target_kl, 2.0, 1.0)
        factor = jnp.where(kl < target_kl / 1.5, 0.5, factor)
        # From zero no doubling would lead back.
        smallest = jnp.minimum(initial, _SMALLEST_COEFFICIENT)
        coefficients = jnp.maximum(state.kl_coefficients * factor, smallest)
        info = {**info, "inner_kl": kl, "kl_coefficients": coefficients}
        return meta_params, ProMPState(optimizer_state, coefficients), info

    # Where the experience was collected, the gradient of the penalty is zero.
    return Outer(init, update, objective=objective)
