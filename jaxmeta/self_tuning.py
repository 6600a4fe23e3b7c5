"""Inner learners that live on, whose own numbers are what is meta-learned."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import optax

from jaxmeta import checks, lifetimes, minibatches, optimizers, trees
from jaxmeta import hyperparameters as numbers
from jaxmeta.hyperparameters import Hyperparameters
from jaxmeta.losses import AdvantageLoss, Loss
from jaxmeta.policies.critics import CriticParams
from jaxmeta.types import Inner, Key, Params

Values = dict[str, Any]
MakeLoss = Callable[[Values], Loss]
"""``(values of the hyper-parameters, by name) -> loss``."""

MakeOptimizer = Callable[[Values], optax.GradientTransformation]

Signals = Callable[[Key, Params, Any], dict[str, Any]]
"""``(key, params, batch) -> extra arguments`` of the update of an optimizer."""


class TunedState(NamedTuple):
    """An agent's params, and the state of its optimizer."""

    params: Params
    optimizer: Any


def tuned(
    init: Callable[[Key], Params],
    hyperparameters: Hyperparameters,
    loss: MakeLoss,
    optimizer: optax.GradientTransformation | MakeOptimizer,
    *,
    first_order: bool = False,
) -> Inner:
    """Gradient steps of an agent of its own, with numbers that are meta-learned.

    ``theta_{k+1} = theta_k + optimizer_eta(grad loss_eta(theta_k, batch_k))`` from
    ``theta_0 = init(key)``: the meta-params are ``eta``, the hyper-parameters as real
    numbers (``hyperparameters.init``), and not where the agent starts.

    Args:
        init: ``key -> params`` of a new agent.
        hyperparameters: their names and ranges.
        loss: ``values -> loss`` that an update descends; see :func:`descent`.
        optimizer: any optax transform, or ``values -> transform``.
        first_order: as in :func:`descent`.

    Source: Xu, van Hasselt and Silver, "Meta-Gradient Reinforcement Learning", 2018.

    Raises:
        TypeError: if ``hyperparameters`` are none, or loss or optimizer is not what
            it has to be.
        ValueError: if there is none, or the optimizer has NaN meta-gradients.
    """
    numbers.check(hyperparameters)
    values = partial(numbers.values, hyperparameters)
    with jax.ensure_compile_time_eval():
        at_first = values(numbers.init(hyperparameters))
        first_loss = _checked(loss, at_first)
        first = _checked_optimizer(optimizer, at_first)
    if isinstance(first_loss, AdvantageLoss) and first_loss.judged_by is None:
        raise ValueError(
            "inner_loss: it hides from the meta-gradient how its targets depend on the "
            "discount and on the critic; use losses.policy_gradient, likelihood_ratio "
            "or clipped_surrogate"
        )
    shapes = jax.eval_shape(init, jax.random.key(0))
    optimizers.check_meta_differentiable(
        first, shapes, argument="inner_optimizer", first_order_helps=False
    )

    def optimizer_of(eta: Params) -> optax.GradientTransformation:
        if isinstance(optimizer, optax.GradientTransformation):
            return optimizer
        return optimizer(values(eta))

    return descent(
        init, lambda eta: loss(values(eta)), optimizer_of, first_order=first_order
    )


def descent(
    init: Callable[[Key], Params],
    loss: Callable[[Params], Loss],
    optimizer: optax.GradientTransformation | MakeOptimizer,
    *,
    num_epochs: int = 1,
    num_minibatches: int = 1,
    first_order: bool = False,
    signals: Signals | None = None,
) -> Inner:
    """Gradient steps of an agent of its own, by a loss or an optimizer to be learned.

    ``theta <- theta + optimizer_eta(grad loss_eta(theta, batch))`` from ``theta_0 =
    init(key)``, with the meta-params ``eta``. Where neither depends on them, this is an
    agent that learns by a known rule: A2C with ``losses.policy_gradient``, PPO with
    ``losses.clipped_surrogate`` and epochs.

    Args:
        init: ``key -> params`` of a new agent.
        loss: ``meta_params -> loss`` that an update descends. One of ``losses`` says
            how its advantages depend on the params before; a function of your own that
            stops that gradient hides it from all updates but the first.
        optimizer: any optax transform, or ``meta_params -> transform``.
        num_epochs: how often an update learns from each trajectory of its batch.
        num_minibatches: steps per epoch, each on other trajectories, whole ones; a
            divisor of their number. The advantages are those of the params now.
        first_order: leave out that an update depends on those before it, by the params
            and by what the optimizer remembers: the meta-gradient is the sum of how
            ``eta`` acts in each.
        signals: ``(key, params, batch) -> extra arguments`` of the optimizer's update,
            by name: what it is to know besides gradients and params. They are those of
            the minibatch, and each step has a key of its own.

    Raises:
        TypeError: if a number is no integer, or ``signals`` no function.
        ValueError: if a number is below one; from ``update``, if the trajectories
            cannot be split so.
    """
    num_epochs = checks.positive_int("num_epochs", num_epochs)
    num_minibatches = checks.positive_int("num_minibatches", num_minibatches)
    if signals is not None and not callable(signals):
        raise TypeError(
            "signals must be a function (key, params, batch) -> dict of arguments, got "
            f"{signals!r}"
        )

    def optimizer_of(meta_params: Params) -> optax.GradientTransformation:
        if isinstance(optimizer, optax.GradientTransformation):
            return optimizer
        return optimizer(meta_params)

    def born(key, meta_params):
        params = trees.strong_types(init(key))
        state = optimizer_of(meta_params).init(params)
        return TunedState(params, trees.strong_types(state))

    def step(loss_now, now, carry, batch):
        state, key = carry
        key, key_signals = jax.random.split(key)
        params = state.params
        if first_order:
            state = jax.lax.stop_gradient(state)

        # Advantages hold still while an update descends, but they depend on what the
        # updates before it made of the critic.
        def descended(params):
            if isinstance(loss_now, AdvantageLoss) and loss_now.judged_by is not None:
                return loss_now.judged_by(params, batch, state.params)
            return loss_now(params, batch)

        gradients, info = jax.grad(descended, has_aux=True)(state.params)
        told = {} if signals is None else signals(key_signals, state.params, batch)
        updates, optimizer_state = optax.with_extra_args_support(now).update(
            gradients, state.optimizer, state.params, **told
        )
        info = {**info, "gradient_norm": trees.safe_norm(gradients)}
        learned = TunedState(optax.apply_updates(params, updates), optimizer_state)
        return (learned, key), info

    @jax.checkpoint
    def update(key, meta_params, state, batch):
        key_order, key_steps = jax.random.split(key)
        learn = partial(step, loss(meta_params), optimizer_of(meta_params))
        start = (state, key_steps)
        if num_epochs == num_minibatches == 1:
            (state, _), info = learn(start, batch)
            return state, info
        (state, _), info = minibatches.scan(
            key_order,
            learn,
            start,
            batch,
            num_epochs=num_epochs,
            num_minibatches=num_minibatches,
        )
        return state, info

    return Inner(born, update, lambda meta_params, state: state.params)


def _checked(loss: MakeLoss, values: Values) -> Loss:
    """The loss at first.

    Raises:
        TypeError: if there is no such function, or it gives no loss.
    """
    if isinstance(loss, AdvantageLoss) or not callable(loss):
        raise TypeError(
            "inner_loss must be a function of the values of the hyper-parameters that "
            f"gives a loss, such as lambda values: losses.policy_gradient(...), got "
            f"{loss!r}"
        )
    found = loss(values)
    lifetimes.check_loss("inner_loss", found)
    return found


def _checked_optimizer(optimizer: Any, values: Values) -> optax.GradientTransformation:
    """The optimizer at first.

    Raises:
        TypeError: if there is none, and nothing that makes one.
    """
    found: Any = optimizer
    if callable(optimizer) and not isinstance(optimizer, optax.GradientTransformation):
        found = optimizer(values)
    if not isinstance(found, optax.GradientTransformation):
        raise TypeError(
            "inner_optimizer must be an optax transform, or a function of the values "
            f"of the hyper-parameters that gives one, got {found!r}"
        )
    return found


class JudgedState(NamedTuple):
    """An agent's state, and its critic's."""

    agent: Any
    critic: TunedState


def with_critic(
    agent: Inner,
    critic_init: Callable[[Key], Params],
    loss: Loss,
    optimizer: optax.GradientTransformation,
) -> Inner:
    """An agent, and a critic that learns beside it what the agent never sees.

    Every update of the agent is one of the critic too, on the same batch. The params
    are ``CriticParams``, those of a policy made by ``policies.with_critic``. Nothing of
    the critic depends on the meta-params.

    Args:
        agent: the agent alone.
        critic_init: ``key -> params`` of the critic.
        loss: ``(CriticParams, batch) -> (scalar, info)``, which the critic descends.
        optimizer: of the critic.

    Source: Bonnet, Midgley and Laterre, "Debiasing Meta-Gradient Reinforcement Learning
    by Learning the Outer Value Function", 2022.
    """

    def init(key, meta_params):
        key_agent, key_critic = jax.random.split(key)
        critic = trees.strong_types(critic_init(key_critic))
        state = TunedState(critic, trees.strong_types(optimizer.init(critic)))
        return JudgedState(agent.init(key_agent, meta_params), state)

    def update(key, meta_params, state, batch):
        params = agent.params(meta_params, state.agent)
        acted, critic = jax.lax.stop_gradient((params, state.critic))
        gradients = jax.grad(
            lambda critic: loss(CriticParams(acted, critic), batch)[0]
        )(critic.params)
        gradients = jax.lax.stop_gradient(gradients)
        updates, critic_state = optimizer.update(
            gradients, critic.optimizer, critic.params
        )
        critic = TunedState(optax.apply_updates(critic.params, updates), critic_state)
        learned, info = agent.update(key, meta_params, state.agent, batch)
        info = {**info, "critic_gradient_norm": trees.safe_norm(gradients)}
        return JudgedState(learned, jax.lax.stop_gradient(critic)), info

    def params(meta_params, state):
        return CriticParams(agent.params(meta_params, state.agent), state.critic.params)

    return Inner(init, update, params)
