"""OPEN: an optimizer, learned from how agents fare that learn by it."""

import optax

from jaxmeta import (
    advantages,
    checks,
    inner,
    learned_optimizers,
    lifetimes,
    losses,
    optimizers,
)
from jaxmeta.algorithms import evolved, family
from jaxmeta.learned_optimizers import LearnedOptimizer, Schedule
from jaxmeta.losses import Loss
from jaxmeta.outer.gradient import Objective
from jaxmeta.types import MetaLearner, Policy, TaskDistribution


def learned_optimizer(
    tasks: TaskDistribution,
    policy: Policy,
    *,
    outer_optimizer: optax.GradientTransformation,
    sigma: float,
    num_lifetimes: int,
    lifetime: int,
    num_environments: int = 64,
    length: int = 64,
    num_updates: int | None = None,
    optimizer: LearnedOptimizer | None = None,
    agent_loss: Loss | None = None,
    num_epochs: int = 4,
    num_minibatches: int = 4,
    max_gradient_norm: float | None = 0.5,
    objective: Objective | None = None,
    ranked: bool = False,
    persistent: bool = False,
    lifetime_batch_size: int | None = None,
) -> MetaLearner:
    """A learned optimizer: how far each weight of an agent moves, by what was found.

    Agents live in tasks of their own and descend a known loss, PPO's, in epochs and
    minibatches; a small network turns the gradient of each weight, and what else is
    known of it, into its step. Evolution strategies improve this network by how agents
    do: nothing is differentiated through their lives. The meta-params are the
    optimizer's: it fits agents of any network in any environment.

    Args:
        tasks: the distribution of tasks.
        policy: the agent, a perceptron with a critic.
        outer_optimizer: of the learned optimizer.
        sigma: the standard deviation of its perturbations.
        num_lifetimes: pairs of agents that live at a time, by opposite perturbations.
        lifetime: updates in an agent's life, a multiple of ``num_updates``.
        num_environments: copies of its environment each acts in.
        length: steps in each copy per update.
        num_updates: of agents per update of the optimizer; None: all of a life, which
            is then judged by its end.
        optimizer: ``learned_optimizers.recurrent()`` by default.
        agent_loss: that agents descend; PPO's with normalized advantages by default.
        num_epochs: how often an update of an agent learns from each trajectory.
        num_minibatches: steps per epoch, a divisor of ``num_environments``.
        max_gradient_norm: to which gradients are scaled down first; None: they are not.
        objective: what a window is judged by: by default ``objectives.lifetime_return``
            at the end of a whole life, ``lifetime_reward`` of a shorter window.
        ranked: as in ``outer.evolution``.
        persistent: as in ``lifetime_learner``, for windows shorter than a life.
        lifetime_batch_size: as in ``lifetime_learner``.

    Source: Goldie, Lu, Jackson, Whiteson and Foerster, "Can Learned Optimization Make
    Reinforcement Learning Less Difficult?", 2024.

    Raises:
        TypeError: if a number is no integer, or ``optimizer`` is no learned one.
        ValueError: if a number is out of range, or the parts do not fit each other.
    """
    family.check_optimizers(outer_optimizer=outer_optimizer)
    if optimizer is None:
        optimizer = learned_optimizers.recurrent()
    if not isinstance(optimizer, LearnedOptimizer):
        raise TypeError(
            "optimizer must be a LearnedOptimizer, such as "
            f"learned_optimizers.recurrent(), got {optimizer!r}"
        )
    evolved.check_minibatches(num_environments, num_minibatches)
    if agent_loss is None:
        evolved.check_critic(tasks, policy)
        agent_loss = losses.clipped_surrogate(
            policy, advantages.value_baseline(normalize=True), entropy_coefficient=0.01
        )
    lifetimes.check_loss("agent_loss", agent_loss)
    losses.check_same_policy(policy, agent_loss=agent_loss)
    if max_gradient_norm is not None:
        checks.positive("max_gradient_norm", max_gradient_norm)
    schedule = Schedule(lifetime, num_epochs, num_minibatches)

    def agent_optimizer(meta_params):
        learned = optimizer.transform(meta_params, schedule)
        if max_gradient_norm is None:
            return learned
        return optax.chain(optimizers.clip_by_global_norm(max_gradient_norm), learned)

    agent = inner.descent(
        policy.init,
        lambda meta_params: agent_loss,
        agent_optimizer,
        num_epochs=num_epochs,
        num_minibatches=num_minibatches,
        signals=learned_optimizers.signals(policy),
    )
    return evolved.evolved(
        tasks,
        policy,
        agent,
        optimizer.init,
        objective=objective,
        outer_optimizer=outer_optimizer,
        sigma=sigma,
        ranked=ranked,
        num_lifetimes=num_lifetimes,
        lifetime=lifetime,
        num_updates=num_updates,
        num_environments=num_environments,
        length=length,
        persistent=persistent,
        lifetime_batch_size=lifetime_batch_size,
    )
