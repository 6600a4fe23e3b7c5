"""Learning rules that are networks: what an agent should do and predict next time."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen

from jaxmeta import checks, trees
from jaxmeta.policies import lstm
from jaxmeta.types import Key, Params


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
        sees_lifetime: whether it reads how much of an agent's life is over.
    """

    init: Callable[[Key], Params]
    advise: Callable[[Params, Seen], Advice]
    num_predictions: int
    sees_lifetime: bool = False


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

    return Rule(init, advise, num_predictions, sees_lifetime)


def with_scaled_rewards(rule: Rule, scale: float) -> Rule:
    """The same rule, told rewards times ``scale``.

    A rule knows rewards of the size it was learned with; where others are larger, it
    has not learned what to do.

    Raises:
        ValueError: if ``scale`` is not positive.
    """
    scale = checks.positive("scale", scale)

    def advise(params, seen):
        return rule.advise(params, seen._replace(reward=scale * seen.reward))

    return rule._replace(advise=advise)
