"""Policies that predict beside acting; what they predict is not given, but learned."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmeta import checks
from jaxmeta.policies.adapters import first_timestep, to_act_in
from jaxmeta.policies.networks import Activation, Perceptron, mlp
from jaxmeta.types import Dataset, Environment, Key, Params, Policy, Timestep


class PredictiveParams(NamedTuple):
    """Params of who acts, and of what predicts."""

    policy: Params
    prediction: Params


class Predictive(NamedTuple):
    """A policy, and a prediction for every state.

    Attributes:
        policy: who acts; its params are ``PredictiveParams``.
        predict: ``(params, timestep) -> logits [P]`` of a categorical prediction.
        num_predictions: ``P``.
    """

    policy: Policy
    predict: Callable[[PredictiveParams, Timestep], jax.Array]
    num_predictions: int


def predictive(
    environment: Environment | Dataset,
    *,
    hidden: Sequence[int] = (),
    activation: Activation = jax.nn.relu,
    num_predictions: int = 30,
) -> Predictive:
    """An agent whose learning rule says what to predict: two perceptrons.

    It has no critic. Where one would say a value it predicts a categorical
    distribution, whose meaning is up to the rule that learned to teach it. Without
    hidden layers it has no biases either: on one-hot observations it is a table.

    Args:
        environment: what it acts in.
        hidden: sizes of the hidden layers of both.
        activation: between the layers.
        num_predictions: ``P``, of the distribution.

    Source: Oh, Hessel, Czarnecki, Xu, van Hasselt, Singh and Silver, "Discovering
    Reinforcement Learning Algorithms", 2020.

    Raises:
        TypeError: if ``environment`` is none, or a number no integer.
        ValueError: if a number is below one.
    """
    environment = to_act_in(environment)
    hidden = checks.positive_ints("hidden", hidden)
    num_predictions = checks.positive_int("num_predictions", num_predictions)
    acts = mlp(environment, hidden=hidden, activation=activation, bias=bool(hidden))
    network = Perceptron(num_predictions, hidden, activation, 0.01, bool(hidden))

    def init(key: Key) -> PredictiveParams:
        key_policy, key_prediction = jax.random.split(key)
        observation = first_timestep(environment).observation.reshape(-1)
        return PredictiveParams(
            acts.init(key_policy), network.init(key_prediction, observation)
        )

    def apply(params, carry, timestep):
        return acts.apply(params.policy, carry, timestep)

    def predict(params: PredictiveParams, timestep: Timestep) -> jax.Array:
        observation = timestep.observation.reshape(-1).astype(jnp.float32)
        logits: Any = network.apply(params.prediction, observation)
        return logits

    return Predictive(Policy(init, acts.initial_carry, apply), predict, num_predictions)
