"""The built-in network: a perceptron, with a critic beside it if there is to be one."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen
from gymnax.environments import spaces

from jaxmeta import checks
from jaxmeta.distributions import Categorical, DiagonalGaussian
from jaxmeta.policies.adapters import check_environment, from_linen, unit_gaussian
from jaxmeta.types import Dataset, Environment, Policy, PolicyOutput

Activation = Callable[[jax.Array], jax.Array]


class Perceptron(linen.Module):
    """A perceptron and no more: features ``[D]`` to outputs ``[size]``.

    Attributes:
        size: of the output.
        hidden: sizes of the hidden layers.
        activation: between the layers.
        output_scale: of the initial weights of the last layer.
        bias: whether layers have one. Without it and without hidden layers, on one-hot
            features, it is a table.
    """

    size: int
    hidden: Sequence[int]
    activation: Activation = jax.nn.relu
    output_scale: float = 1.0
    bias: bool = True

    @linen.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        """Map features to outputs."""
        orthogonal = linen.initializers.orthogonal
        x = features
        for i, width in enumerate(self.hidden):
            layer = linen.Dense(
                width,
                use_bias=self.bias,
                kernel_init=orthogonal(2**0.5),
                name=f"hidden_{i}",
            )
            x = self.activation(layer(x))
        last = orthogonal(self.output_scale)
        return linen.Dense(self.size, use_bias=self.bias, kernel_init=last, name="out")(
            x
        )


class MLP(linen.Module):
    """A perceptron for the policy and, with ``critic``, a second one for the value.

    Attributes:
        action_space: a gymnax ``Discrete`` or ``Box`` of shape ``(D,)``.
        hidden: sizes of the hidden layers.
        activation: between the layers.
        critic: whether to estimate the value too.
        initial_std: standard deviation of continuous actions before learning; it is a
            learned parameter that does not depend on the observation. None: it is one,
            and no parameter.
        output_scale: of the initial weights of the last layer.
        bias: whether layers have one.
    """

    action_space: Any
    hidden: Sequence[int]
    activation: Activation
    critic: bool
    initial_std: float | None
    output_scale: float
    bias: bool = True

    @linen.compact
    def __call__(self, observation: jax.Array) -> PolicyOutput:
        """Map one observation (any shape, it is flattened) to a PolicyOutput."""
        features = observation.reshape(-1)
        value = self._stack(features, 1, 1.0, "critic")[0] if self.critic else None
        if isinstance(self.action_space, spaces.Discrete):
            size = self.action_space.n
            logits = self._stack(features, size, self.output_scale, "policy")
            return PolicyOutput(Categorical(logits), value)
        size = self.action_space.shape[0]
        mean = self._stack(features, size, self.output_scale, "policy")
        if self.initial_std is None:
            return PolicyOutput(unit_gaussian(mean), value)
        constant = linen.initializers.constant(jnp.log(self.initial_std))
        log_std = self.param("log_std", constant, (size,), jnp.float32)
        return PolicyOutput(DiagonalGaussian(mean, log_std.astype(mean.dtype)), value)

    def _stack(self, x: jax.Array, size: int, scale: float, name: str) -> jax.Array:
        orthogonal = linen.initializers.orthogonal
        for i, width in enumerate(self.hidden):
            layer = linen.Dense(
                width,
                use_bias=self.bias,
                kernel_init=orthogonal(2**0.5),
                name=f"{name}_{i}",
            )
            x = self.activation(layer(x))
        return linen.Dense(
            size,
            use_bias=self.bias,
            kernel_init=orthogonal(scale),
            name=f"{name}_out",
        )(x)


def mlp(
    environment: Environment | Dataset,
    *,
    hidden: Sequence[int] = (64, 64),
    activation: Activation = jnp.tanh,
    critic: bool = False,
    initial_std: float = 1.0,
    bias: bool = True,
) -> Policy:
    """A perceptron: softmax over discrete actions, Gaussian over continuous ones.

    The targets of a Dataset are its actions; there the Gaussian is of unit variance.

    Args:
        environment: what it acts in; sets the sizes of input and output.
        hidden: sizes of the hidden layers.
        activation: between the layers.
        critic: whether to estimate values too, with a network of its own.
        initial_std: initial standard deviation of continuous actions, a learned
            parameter.
        bias: whether layers have one. Without it and without hidden layers, on one-hot
            observations, the policy is a table.

    Raises:
        TypeError: if ``environment`` is none, or ``hidden`` no sequence of integers.
        ValueError: if a hidden size or ``initial_std`` is not positive, or if a Dataset
            would leave a critic or ``initial_std`` without use.
    """
    check_environment(environment)
    hidden = checks.positive_ints("hidden", hidden)
    if not initial_std > 0:
        raise ValueError(f"initial_std must be positive, got {initial_std}")
    space = environment.action
    if isinstance(environment, Dataset):
        if initial_std != 1.0:
            raise ValueError(
                "initial_std: the predictions of a Dataset's targets have unit "
                f"variance, got {initial_std}; leave it out"
            )
        module = MLP(space, hidden, activation, critic, None, 1.0, bias)
    else:
        # A small last layer starts the policy close to uniform over actions.
        module = MLP(space, hidden, activation, critic, initial_std, 0.01, bias)
    return from_linen(module, environment)


def between(x: jax.Array, low: float, high: float) -> jax.Array:
    """``x`` where it is well between the bounds, and never beyond them.

    It is smooth, so that what was pushed to a bound has a gradient to come back by.
    """
    x = high - jax.nn.softplus(high - x)
    return low + jax.nn.softplus(x - low)


def is_head(path: str) -> bool:
    """Whether a param of :func:`mlp` belongs to a last layer, of policy or critic."""
    return "_out/" in path
