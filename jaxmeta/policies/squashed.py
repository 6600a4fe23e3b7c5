"""A policy for bounded actions: a Gaussian squashed into the bounds."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen
from gymnax.environments import spaces

from jaxmeta import checks
from jaxmeta.distributions import TanhGaussian
from jaxmeta.policies.adapters import check_environment, from_linen
from jaxmeta.policies.networks import Activation, Perceptron, between
from jaxmeta.types import Dataset, Environment, Policy

# Beyond these the squashed Gaussian is a point, or two heaps at the bounds.
_LOG_STD_LOW, _LOG_STD_HIGH = -20.0, 2.0


class SquashedMLP(linen.Module):
    """A perceptron for the mean and the standard deviation before the squashing.

    Attributes:
        low: ``D`` lower bounds of the action.
        high: ``D`` upper bounds.
        hidden: sizes of the hidden layers.
        activation: between the layers.
    """

    low: Sequence[float]
    high: Sequence[float]
    hidden: Sequence[int]
    activation: Activation

    @linen.compact
    def __call__(self, observation: jax.Array) -> TanhGaussian:
        """Map one observation (any shape, it is flattened) to a distribution."""
        network = Perceptron(2 * len(self.low), self.hidden, self.activation, 0.01)
        mean, log_std = jnp.split(network(observation.reshape(-1)), 2)
        low = jnp.asarray(self.low, mean.dtype)
        high = jnp.asarray(self.high, mean.dtype)
        log_std = between(log_std, _LOG_STD_LOW, _LOG_STD_HIGH)
        return TanhGaussian(mean, log_std, low, high)


def squashed(
    environment: Environment | Dataset,
    *,
    hidden: Sequence[int] = (128, 128),
    activation: Activation = jax.nn.relu,
) -> Policy:
    """A perceptron whose actions are a Gaussian squashed into the action space.

    Mean and standard deviation both depend on the observation; the distribution is a
    ``distributions.TanhGaussian``, what soft actor-critic methods need.

    Args:
        environment: what it acts in; its action space is a ``Box`` with finite bounds.
        hidden: sizes of the hidden layers.
        activation: between the layers.

    Source: Haarnoja, Zhou, Abbeel and Levine, "Soft Actor-Critic: Off-Policy Maximum
    Entropy Deep Reinforcement Learning with a Stochastic Actor", 2018.

    Raises:
        TypeError: if ``environment`` is none, or ``hidden`` no sequence of integers.
        ValueError: if a hidden size is not positive, or if the actions are not bounded.
    """
    check_environment(environment)
    hidden = checks.positive_ints("hidden", hidden)
    if isinstance(environment, Dataset):
        raise ValueError("environment: it is a Dataset, whose targets have no bounds")
    low, high = _bounds(environment)
    return from_linen(SquashedMLP(low, high, hidden, activation), environment)


def _bounds(environment: Environment) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The bounds of each dimension of an action."""
    space = environment.action
    if not isinstance(space, spaces.Box):
        raise ValueError(
            f"environment: the actions of {environment.name} are {space}; "
            "policies.squashed needs a Box, policies.mlp takes both"
        )
    low = np.broadcast_to(np.asarray(space.low, np.float32), space.shape)
    high = np.broadcast_to(np.asarray(space.high, np.float32), space.shape)
    if not (np.all(np.isfinite(low)) and np.all(np.isfinite(high))):
        raise ValueError(
            f"environment: the actions of {environment.name} lie between {low} and "
            f"{high}; policies.squashed needs finite bounds"
        )
    if not np.all(low < high):
        raise ValueError(
            f"environment: the lower bounds {low} of the actions of "
            f"{environment.name} must be below the upper ones, {high}"
        )
    return tuple(map(float, low)), tuple(map(float, high))
