"""Policies with a context input, which adaptation can change without the network."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmeta import checks
from jaxmeta.types import Dataset, Environment, Params, Policy


class ContextParams(NamedTuple):
    """Params of a policy with a context: its network's, and the context ``[C]``."""

    network: Params
    context: jax.Array


def with_context(
    make: Callable[[Any], Policy], environment: Environment | Dataset, *, size: int
) -> Policy:
    """A policy that reads its observation, flattened, and a context vector after it.

    Args:
        make: makes a policy for an environment of wider observations, such as
            ``lambda environment: policies.mlp(environment, hidden=(64, 64))``.
        environment: what the policy acts in.
        size: ``C``, of the context.

    Raises:
        TypeError: if ``make`` is no function, or ``size`` no integer.
        ValueError: if ``size`` is below one.

    Returns:
        A policy whose params are ``ContextParams``; the context is zero at first.

    Source: Zintgraf, Shiarlis, Kurin, Hofmann and Whiteson, "Fast Context Adaptation
    via Meta-Learning", 2019.
    """
    if not callable(make):
        raise TypeError(
            f"make must be a function of an environment, such as policies.mlp, got "
            f"{type(make).__name__}"
        )
    size = checks.positive_int("size", size)
    width = math.prod(environment.observation.shape) + size
    observation = jax.ShapeDtypeStruct((width,), environment.observation.dtype)
    network = make(environment._replace(observation=observation))

    def init(key):
        return ContextParams(network.init(key), jnp.zeros(size, observation.dtype))

    def apply(params, carry, timestep):
        widened = jnp.concatenate([timestep.observation.reshape(-1), params.context])
        return network.apply(
            params.network, carry, timestep._replace(observation=widened)
        )

    return Policy(init, network.initial_carry, apply, max_length=network.max_length)
