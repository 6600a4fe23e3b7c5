"""Agents that learn by a learned rule."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxmeta import checks, optimizers, trees
from jaxmeta.learned_rules import Advice, Rule, Seen
from jaxmeta.policies import Predictive
from jaxmeta.self_tuning import TunedState
from jaxmeta.types import Inner, Params, Transition


class Weights(NamedTuple):
    """How much what a rule does is held back.

    Attributes:
        prediction_entropy: bonus for the entropy of the agent's predictions after
            the update.
        gain: of the mean square of the gains.
        target: of the mean square of the logits of the predictions to make.
    """

    prediction_entropy: float = 0.001
    gain: float = 0.005
    target: float = 0.001


def learned_rule(
    agent: Predictive,
    rule: Rule,
    optimizer: optax.GradientTransformation,
    *,
    discount: float = 0.995,
    prediction_weight: float = 0.5,
    weights: Weights | None = None,
    lifetime: int | None = None,
) -> Inner:
    """Adapt an agent of its own by a rule; the meta-params are the rule's.

    ::

        theta <- theta + optimizer(grad mean(log pi(a | s) gain)
                                   - prediction_weight grad mean KL(y(s) || target))

    with gain and target from the rule, which hold still in that step but not in the
    meta-gradient.

    Args:
        agent: ``policies.predictive``.
        rule: such as ``backward_lstm``.
        optimizer: of the agent, meta-differentiable.
        discount: that the rule is told.
        prediction_weight: of the divergence of predictions.
        weights: of the terms that regularise the rule; their sum is ``regularizer`` of
            the info of an update.
        lifetime: updates in an agent's life, for a rule that sees it.

    Source: as ``learned_rules.backward_lstm``.

    Raises:
        TypeError: if ``lifetime`` is no integer.
        ValueError: if agent and rule predict different things, the rule sees a lifetime
            and is told none, a number is out of range, or the optimizer has NaN
            meta-gradients.
    """
    weights = Weights() if weights is None else weights
    _check(agent, rule, discount, prediction_weight, weights, lifetime)
    optimizers.check_meta_differentiable(
        optimizer,
        jax.eval_shape(agent.policy.init, jax.random.key(0)),
        argument="agent_optimizer",
        first_order_helps=False,
    )
    views = partial(_views, agent)

    def advice(meta_params, params, batch, age):
        log_probs, now, after = views(params, batch)
        over = jnp.zeros(()) if lifetime is None else age / lifetime
        seen = Seen(
            batch.reward,
            jnp.where(batch.terminated, 0.0, discount),
            batch.terminated | batch.truncated,
            jnp.exp(log_probs),
            jnp.exp(now),
            jnp.exp(after),
            jnp.broadcast_to(over, batch.reward.shape),
        )
        return jax.vmap(lambda one: rule.advise(meta_params, one))(seen)

    def loss(params, batch, given: Advice):
        log_probs, now, _ = views(params, batch)
        targets = jax.nn.log_softmax(given.prediction)
        divergence = jnp.sum(jnp.exp(now) * (now - targets), axis=-1)
        gains = log_probs * given.gain
        return -jnp.mean(gains) + prediction_weight * jnp.mean(divergence)

    def prediction_entropy(params, batch):
        _, now, _ = views(params, batch)
        return -jnp.mean(jnp.sum(jnp.exp(now) * now, axis=-1))

    def init(key, meta_params):
        del meta_params
        params = trees.strong_types(agent.policy.init(key))
        state = trees.strong_types(optimizer.init(params))
        return RuledState(TunedState(params, state), jnp.int32(0))

    @jax.checkpoint
    def update(key, meta_params, state, batch):
        del key
        params, optimizer_state = state.agent
        given = advice(meta_params, params, batch, state.age)
        gradients = jax.grad(loss)(params, batch, given)
        updates, optimizer_state = optimizer.update(gradients, optimizer_state, params)
        learned = TunedState(optax.apply_updates(params, updates), optimizer_state)
        # Of the agent that the update made: what it predicted before is no merit of
        # the rule, so without this the last update would not count.
        entropy = prediction_entropy(learned.params, batch)
        regularizer = (
            weights.gain * jnp.mean(given.gain**2)
            + weights.target * jnp.mean(given.prediction**2)
            - weights.prediction_entropy * entropy
        )
        info = {
            "regularizer": regularizer,
            "prediction_entropy": entropy,
            "gradient_norm": trees.safe_norm(gradients),
        }
        return RuledState(learned, state.age + 1), info

    return Inner(init, update, lambda meta_params, state: state.agent.params)


def _check(agent, rule, discount, prediction_weight, weights, lifetime) -> None:
    checks.unit_interval("discount", discount)
    checks.positive("prediction_weight", prediction_weight, or_zero=True)
    for name, weight in weights._asdict().items():
        checks.positive(f"weights.{name}", weight, or_zero=True)
    if agent.num_predictions != rule.num_predictions:
        raise ValueError(
            f"rule: it teaches {rule.num_predictions} predictions, and the agent makes "
            f"{agent.num_predictions}; num_predictions must be the same"
        )
    if lifetime is not None:
        checks.positive_int("lifetime", lifetime)
    elif rule.sees_lifetime:
        raise ValueError(
            "lifetime: the rule reads how much of an agent's life is over, so it must "
            "be told how many updates there are in one"
        )


class RuledState(NamedTuple):
    """An agent, and how many updates it has made."""

    agent: TunedState
    age: jax.Array


def _views(agent: Predictive, params: Params, batch: Transition):
    """Log-probabilities of the actions ``[N, T]``, and log-predictions now and next."""

    def of_step(transition):
        output, _ = agent.policy.apply(params, (), transition.timestep)
        now = agent.predict(params, transition.timestep)
        reached = transition.timestep._replace(observation=transition.next_observation)
        after = agent.predict(params, reached)
        log_prob = output.distribution.log_prob(transition.action)
        return log_prob, jax.nn.log_softmax(now), jax.nn.log_softmax(after)

    return jax.vmap(jax.vmap(of_step))(batch)
