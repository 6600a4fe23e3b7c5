"""Learning rules that are networks: what an agent should do and predict next time."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen

from jaxmeta import checks, optimizers, trees
from jaxmeta.policies import Predictive, lstm
from jaxmeta.self_tuning import TunedState
from jaxmeta.types import Inner, Key, Params, Transition


class Seen(NamedTuple):
    """What a rule is told of each step of a trajectory ``[T]``.

    No observation and no action is among it, so that a rule fits any environment.

    Attributes:
        reward: ``[T]``.
        discount: ``[T]``, zero where the episode terminates. Where a time limit cuts
            it, the state reached counts on.
        is_last: ``[T]`` bool, whether the episode ends here, in one way or the other.
        probability: ``[T]`` of the action taken.
        prediction: ``[T, P]`` probabilities, in the state acted in.
        next_prediction: ``[T, P]``, in the state reached.
        lifetime: ``[T]``, the part of the agent's life that is over, in [0, 1].
    """

    reward: jax.Array
    discount: jax.Array
    is_last: jax.Array
    probability: jax.Array
    prediction: jax.Array
    next_prediction: jax.Array
    lifetime: jax.Array


class Advice(NamedTuple):
    """What a rule says of each step.

    Attributes:
        gain: ``[T]``, how much more likely the action should become.
        prediction: ``[T, P]`` logits of what should have been predicted.
    """

    gain: jax.Array
    prediction: jax.Array


class Rule(NamedTuple):
    """A learning rule.

    Attributes:
        init: ``key -> params``.
        advise: ``(params, Seen [T]) -> Advice [T]`` for one trajectory.
        num_predictions: ``P``.
    """

    init: Callable[[Key], Params]
    advise: Callable[[Params, Seen], Advice]
    num_predictions: int


def backward_lstm(
    *,
    size: int = 256,
    embedding: int = 16,
    num_predictions: int = 30,
    sees_lifetime: bool = False,
) -> Rule:
    """LPG's rule: an LSTM that reads a trajectory from its end to its start.

    ``(gain_t, target_t) = heads(LSTM(r_t, d_t, pi(a_t | s_t), e(y_t), e(y_{t+1})))``
    with an embedding ``e`` of predictions that is shared, so that a rule may bootstrap.
    Its memory is emptied where an episode ends, as what comes after was no consequence.
    At first its gains are close to zero.

    Args:
        size: of the LSTM.
        embedding: size of the hidden layer of ``e``.
        num_predictions: ``P``.
        sees_lifetime: whether it reads how much of the agent's life is over, which
            makes it temporally aware.

    Source: Oh, Hessel, Czarnecki, Xu, van Hasselt, Singh and Silver, "Discovering
    Reinforcement Learning Algorithms", 2020; with the lifetime, Jackson, Lu, Kirsch,
    Lange, Whiteson and Foerster, "Discovering Temporally-Aware Reinforcement Learning
    Algorithms", 2024.

    Raises:
        TypeError: if a number is no integer.
        ValueError: if a number is below one.
    """
    size = checks.positive_int("size", size)
    embedding = checks.positive_int("embedding", embedding)
    num_predictions = checks.positive_int("num_predictions", num_predictions)
    core = lstm(size)
    wide, narrow = linen.Dense(embedding), linen.Dense(1)
    # A new rule hardly moves an agent. One that from the start makes likelier whatever
    # was done leaves agents without choices, and itself without a gradient.
    head = linen.Dense(
        1 + num_predictions, kernel_init=linen.initializers.orthogonal(0.01)
    )
    num_inputs = 5 + sees_lifetime

    def init(key):
        keys = jax.random.split(key, 4)
        return {
            "core": core.init(keys[0], num_inputs),
            "wide": wide.init(keys[1], jnp.zeros(num_predictions)),
            "narrow": narrow.init(keys[2], jnp.zeros(embedding)),
            "head": head.init(keys[3], jnp.zeros(size)),
        }

    def embed(params, predictions):
        hidden: Any = wide.apply(params["wide"], predictions)
        output: Any = narrow.apply(params["narrow"], jax.nn.relu(hidden))
        return output[:, 0]

    def advise(params, seen):
        columns = [
            seen.reward,
            seen.discount,
            seen.probability,
            embed(params, seen.prediction),
            embed(params, seen.next_prediction),
        ]
        if sees_lifetime:
            columns.append(seen.lifetime)
        inputs = jnp.stack(columns, axis=1)

        def step(carry, at):
            x, ends = at
            carry = trees.where(ends, core.initial_carry(), carry)
            return core.step(params["core"], carry, x)

        _, features = jax.lax.scan(
            step, core.initial_carry(), (inputs, seen.is_last), reverse=True
        )
        output: Any = head.apply(params["head"], features)
        return Advice(output[:, 0], output[:, 1:])

    return Rule(init, advise, num_predictions)


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

    Source: as :func:`backward_lstm`.

    Raises:
        ValueError: if agent and rule predict different things, ``discount`` lies
            outside [0, 1], or the optimizer has NaN meta-gradients.
    """
    checks.unit_interval("discount", discount)
    weights = Weights() if weights is None else weights
    if agent.num_predictions != rule.num_predictions:
        raise ValueError(
            f"rule: it teaches {rule.num_predictions} predictions, and the agent makes "
            f"{agent.num_predictions}; num_predictions must be the same"
        )

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
