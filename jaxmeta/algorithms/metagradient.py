"""Meta-gradients: agents whose own numbers learn while they live."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import optax

from jaxmeta import (
    advantages,
    checks,
    inner,
    lifetimes,
    losses,
    objectives,
    outer,
    policies,
)
from jaxmeta import hyperparameters as numbers
from jaxmeta.algorithms import family
from jaxmeta.hyperparameters import Hyperparameters
from jaxmeta.lifetime_learner import lifetime_learner
from jaxmeta.self_tuning import MakeLoss, MakeOptimizer
from jaxmeta.types import Inner, MetaLearner, Policy, TaskDistribution


def metagradient(
    tasks: TaskDistribution,
    policy: Policy,
    *,
    hyperparameters: Hyperparameters,
    inner_loss: MakeLoss,
    inner_optimizer: optax.GradientTransformation | MakeOptimizer,
    outer_optimizer: optax.GradientTransformation,
    num_lifetimes: int,
    num_environments: int,
    length: int,
    num_updates: int = 1,
    lifetime: int | None = None,
    outer_loss: MakeLoss | None = None,
    outer_discount: float | None = None,
    outer_trace_decay: float | None = None,
    critic_optimizer: optax.GradientTransformation | None = None,
    critic_hidden: Sequence[int] = (64,),
    target_optimizer: optax.GradientTransformation | None = None,
    num_target_updates: int = 1,
    first_order: bool = False,
    lifetime_batch_size: int | None = None,
) -> MetaLearner:
    """Meta-gradients of the hyper-parameters of agents that live on.

    An agent descends ``inner_loss_eta`` for ``K`` updates, each on a batch it acted;
    then it acts once more, and ``eta`` descends the outer loss of the updated agent on
    that batch, differentiated through the updates: cross-validation in time. The
    agent's params stay where they are, and it goes on from there.

    The outer loss is a policy gradient with advantages of ``outer_discount``, which is
    what the agent is meant to maximise. With ``critic_optimizer`` its values are those
    of an outer critic that every agent trains at that discount; without, they are those
    of the agent's own critic, which knows the discount ``eta`` chose: then a discount
    that is too short looks right to itself.

    With ``target_optimizer`` meta-gradients are bootstrapped: ``eta`` makes the agent
    after ``K`` updates close to a target, itself ``L`` updates later, the last of them
    a step on the outer loss. The meta-objective is ``KL(pi_target || pi_K)``, so that
    it looks further ahead than it differentiates. The agent goes on from after all
    ``K + L - 1`` updates of its own.

    The info of an update has the value of every hyper-parameter too, by its name.

    Args:
        tasks: the distribution of tasks.
        policy: who acts, without memory.
        hyperparameters: what is meta-learned; see ``jaxmeta.hyperparameters``.
        inner_loss: ``values of the hyper-parameters by name -> loss``, one of
            ``losses`` (see ``inner.tuned`` for one of your own), such as
            ``lambda eta: losses.policy_gradient(policy, advantages.value_baseline(
            discount=eta["discount"]))``.
        inner_optimizer: of the agent, meta-differentiable; or ``values -> optimizer``,
            where its rate is meta-learned too.
        outer_optimizer: of the hyper-parameters, as real numbers.
        num_lifetimes: agents that live at a time; ``eta`` is one for all.
        num_environments: copies of its environment each acts in.
        length: steps in each copy per update.
        num_updates: ``K``, as far back as the meta-gradient reaches.
        lifetime: updates in an agent's life, a multiple of those of a window; None: it
            never ends.
        outer_loss: ``values -> loss`` in place of the policy gradient; it is not
            differentiated by these values.
        outer_discount: of the default outer loss; 0.99 by default. A critic completes
            episodes that a time limit cuts, so one without end needs it below one.
        outer_trace_decay: its lambda; 0.95 by default.
        critic_optimizer: of the outer critic; None: there is none.
        critic_hidden: sizes of its hidden layers.
        target_optimizer: of the last step towards the target; None: the meta-gradient
            is that of the outer loss.
        num_target_updates: ``L``.
        first_order: leave out that the gradient of an update depends on those before.
        lifetime_batch_size: as in ``lifetime_learner``.

    Source: Xu, van Hasselt and Silver, "Meta-Gradient Reinforcement Learning", 2018;
    the outer critic: Bonnet, Midgley and Laterre, "Debiasing Meta-Gradient
    Reinforcement Learning by Learning the Outer Value Function", 2022; bootstrapped
    ones: Flennerhag, Schroecker, Zahavy, van Hasselt, Silver and Singh, "Bootstrapped
    Meta-Learning", 2022.

    Raises:
        TypeError: if a number is no integer, or an optimizer none.
        ValueError: if a number is out of range, two arguments contradict each other, or
            the parts do not fit each other.
    """
    num_updates = checks.positive_int("num_updates", num_updates)
    num_target_updates = checks.positive_int("num_target_updates", num_target_updates)
    family.check_optimizers(outer_optimizer=outer_optimizer)
    if target_optimizer is not None:
        family.check_optimizers(target_optimizer=target_optimizer)
    elif num_target_updates > 1:
        raise ValueError(
            "num_target_updates: there is no target without target_optimizer"
        )
    window = num_updates + num_target_updates - 1
    if lifetime is not None and target_optimizer is not None:
        lifetime = checks.positive_int("lifetime", lifetime)
        if lifetime % window:
            raise ValueError(
                "lifetime must be a multiple of num_updates + num_target_updates - 1 = "
                f"{window}, got {lifetime}"
            )
    agent, judge, make_outer = _agent(
        tasks,
        policy,
        inner.tuned(
            policy.init,
            hyperparameters,
            inner_loss,
            inner_optimizer,
            first_order=first_order,
        ),
        _OuterLoss(outer_loss, outer_discount, outer_trace_decay),
        hyperparameters,
        critic_optimizer,
        critic_hidden,
    )

    def objective(meta_params, experience):
        values = numbers.values(hyperparameters, meta_params)
        loss = make_outer(jax.lax.stop_gradient(values))
        if target_optimizer is None:
            found = objectives.after_adaptation(agent, loss)
        else:
            found = objectives.bootstrapped(
                agent, judge, loss, target_optimizer, num_matched=num_updates
            )
        total, info = found(meta_params, experience)
        return total, {**info, **values}

    return lifetime_learner(
        tasks,
        judge,
        agent,
        outer.gradient(objective, outer_optimizer, task_batch_size=lifetime_batch_size),
        lambda key: numbers.init(hyperparameters),
        num_lifetimes=num_lifetimes,
        lifetime=lifetime,
        num_updates=window,
        num_environments=num_environments,
        length=length,
        lifetime_batch_size=lifetime_batch_size,
    )


class _OuterLoss(NamedTuple):
    """What is given of the outer loss."""

    given: MakeLoss | None
    discount: float | None
    trace_decay: float | None


def _agent(
    tasks: TaskDistribution,
    policy: Policy,
    alone: Inner,
    outer_loss: _OuterLoss,
    hyperparameters: Hyperparameters,
    critic_optimizer: optax.GradientTransformation | None,
    critic_hidden: Sequence[int],
) -> tuple[Inner, Policy, MakeLoss]:
    """An agent with its outer critic, if any; the policy of both; the outer loss."""
    values = numbers.values(hyperparameters, numbers.init(hyperparameters))
    if critic_optimizer is None:
        make = _outer_loss(policy, outer_loss, has_critic=False)
        lifetimes.check_loss("outer_loss", make(values))
        losses.check_same_policy(policy, outer_loss=make(values))
        _check_critic(tasks, policy, outer_loss)
        return alone, policy, make
    family.check_optimizers(critic_optimizer=critic_optimizer)
    judge = policies.with_critic(policy, tasks.environment, hidden=critic_hidden)
    make = _outer_loss(judge, outer_loss, has_critic=True)
    agent = inner.with_critic(
        alone, lambda key: judge.init(key).critic, make(values), critic_optimizer
    )
    return agent, judge, make


def _check_critic(
    tasks: TaskDistribution, policy: Policy, outer_loss: _OuterLoss
) -> None:
    """Check that someone knows values, if the default outer loss needs them.

    Raises:
        ValueError: if not.
    """
    if outer_loss.given is not None:
        return
    key = jax.random.key(0)
    timestep = policies.first_timestep(tasks.environment)
    output, _ = jax.eval_shape(
        lambda: policy.apply(policy.init(key), policy.initial_carry(), timestep)
    )
    if output.value is None:
        raise ValueError(
            "policy: it has no critic, and the outer loss needs values; give "
            "critic_optimizer=, which makes an outer critic, or outer_loss="
        )


def _outer_loss(judge: Policy, outer_loss: _OuterLoss, has_critic: bool) -> MakeLoss:
    """The outer loss, by default a policy gradient, with the critic's error if any.

    Raises:
        ValueError: if there is one, and arguments it has of its own are given too.
    """
    make, discount, trace_decay = outer_loss
    if make is not None:
        given = {
            "outer_discount": discount is not None,
            "outer_trace_decay": trace_decay is not None,
            "critic_optimizer": has_critic,
        }
        for name, is_given in given.items():
            if is_given:
                raise ValueError(f"{name}: outer_loss is given, and has its own")
        return make
    loss = losses.policy_gradient(
        judge,
        advantages.value_baseline(
            discount=0.99 if discount is None else discount,
            trace_decay=0.95 if trace_decay is None else trace_decay,
        ),
        value_coefficient=1.0 if has_critic else 0.0,
    )
    return lambda values: loss
