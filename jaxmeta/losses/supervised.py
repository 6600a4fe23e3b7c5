"""Losses on examples ``[N]``: ``loss(params, batch) -> (scalar, info)``."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from gymnax.environments import spaces

from jaxmeta.advantages import Advantage
from jaxmeta.rollouts import predict
from jaxmeta.types import Dataset, Environment, Examples, Info, Params, Policy

ExamplesLoss = Callable[[Params, Examples], tuple[jax.Array, Info]]


def squared_error(policy: Policy) -> ExamplesLoss:
    """``mean (mode(x) - y)^2`` over the ``N`` examples and the ``D`` target dimensions.

    Args:
        policy: whose mode is the prediction; for a Gaussian it is the mean.

    Raises:
        TypeError: when called, if the batch is none of examples, or if the targets are
            classes (their mode has no gradient).
    """

    def loss(params: Params, batch: Examples) -> tuple[jax.Array, Info]:
        prediction = _predict("squared_error", policy, params, batch).mode()
        if not jnp.issubdtype(prediction.dtype, jnp.floating):
            raise TypeError(
                "squared_error: the policy predicts classes; use "
                "losses.negative_log_likelihood"
            )
        total = jnp.mean((prediction - batch.targets) ** 2)
        return total, {"loss": total}

    return loss


def negative_log_likelihood(policy: Policy) -> ExamplesLoss:
    """``-mean log p(y | x)`` over the ``N`` examples: cross-entropy, for classes.

    Args:
        policy: whose distribution is the prediction.

    Raises:
        TypeError: when called, if the batch is none of examples.
    """

    def loss(params: Params, batch: Examples) -> tuple[jax.Array, Info]:
        distribution = _predict("negative_log_likelihood", policy, params, batch)
        total = -jnp.mean(distribution.log_prob(batch.targets))
        return total, {"loss": total}

    return loss


def default_supervised(
    environment: Environment | Dataset, policy: Policy, advantage: Advantage | None
) -> ExamplesLoss | None:
    """The loss of a method whose user gave none, None if it is not to be supervised.

    Args:
        environment: that of the tasks.
        policy: the policy.
        advantage: what the user gave to weigh actions with.

    Returns:
        :func:`squared_error` for a Dataset of regression,
        :func:`negative_log_likelihood` for one of classification.

    Raises:
        ValueError: if there is an advantage for a Dataset.
    """
    if not isinstance(environment, Dataset):
        return None
    if advantage is not None:
        raise ValueError(
            f"advantage: it weighs actions, and the tasks are a Dataset, "
            f"{environment.name}, which has none; leave it out"
        )
    discrete = isinstance(environment.action, spaces.Discrete)
    return negative_log_likelihood(policy) if discrete else squared_error(policy)


def _predict(name: str, policy: Policy, params: Params, batch: Any) -> Any:
    if not isinstance(batch, Examples):
        raise TypeError(
            f"{name}: it is a loss on Examples of a Dataset, got a "
            f"{type(batch).__name__}; on an Environment use a loss of reinforcement "
            "learning, such as losses.policy_gradient"
        )
    return predict(policy, params, batch)
