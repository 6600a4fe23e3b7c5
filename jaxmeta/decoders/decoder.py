"""Models of what a latent of the task says about rewards and observations."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from gymnax.environments import spaces

from jaxmeta import checks
from jaxmeta.policies.adapters import to_act_in
from jaxmeta.policies.networks import Perceptron
from jaxmeta.types import (
    Dataset,
    Environment,
    Key,
    Params,
    Transition,
)

Index = Callable[[Transition], jax.Array]
"""``transition -> [] int``, the number of the state it is about."""

_INPUTS = ("observation", "action", "next_observation")


class Decoder(NamedTuple):
    """A model of trajectories given a latent, as pure functions.

    Attributes:
        init: ``(key, num_latents) -> params``.
        log_prob: ``(params, latent [L], transitions [T]) -> [T]``, the log-likelihood
            of each step, in nats; a constant may be left out.
        rewards: pairs of values; there may be no reward that is not in each of them.
        heads: ``(S, transition -> index [])`` of each part of ``log_prob`` that looks
            one of ``S`` heads up by an index.
    """

    init: Callable[[Key, int], Params]
    log_prob: Callable[[Params, jax.Array, Transition], jax.Array]
    rewards: tuple[tuple[float, float], ...] = ()
    heads: tuple[tuple[int, Index], ...] = ()


def reward(
    environment: Environment | Dataset,
    *,
    values: tuple[float, float] | None = None,
    inputs: Sequence[str] = ("next_observation",),
    heads: tuple[int, Index] | None = None,
    hidden: Sequence[int] = (32, 32),
) -> Decoder:
    """A perceptron that predicts the reward of every step.

    Any reward is Gaussian, ``log p = -(r - f(m, x))^2 / 2``; one of two values is
    Bernoulli, with ``f`` the logit of the second.

    Args:
        environment: whose rewards they are.
        values: the two values ``(low, high)`` that rewards may have; None for any.
        inputs: what it reads besides the latent, of ``"observation"``, ``"action"`` and
            ``"next_observation"`` (before any reset).
        heads: ``(S, transition -> index [] int32)``, for worlds of ``S`` states: the
            latent alone is decoded to ``S`` predictions, of which the step's own is
            taken. ``inputs`` then count for nothing. It costs one evaluation per
            latent, not one per latent and step.
        hidden: sizes of the hidden layers.

    Raises:
        TypeError: if ``environment`` is none, a size no integer, or ``heads`` no such
            pair.
        ValueError: if ``inputs`` are empty or unknown, ``values`` are not two different
            numbers, or a size is below one.
    """
    environment = to_act_in(environment)
    _check_inputs(inputs)
    if values is not None:
        values = _two_rewards(values)
    num_heads = 1
    if heads is not None:
        if not isinstance(heads, tuple) or len(heads) != 2 or not callable(heads[1]):
            raise TypeError(
                "heads must be a pair (number of states, function of a transition), "
                f"got {heads!r}"
            )
        num_heads = checks.positive_int("heads", heads[0])
    module = Perceptron(num_heads, checks.positive_ints("hidden", hidden))

    def init(key, num_latents):
        width = num_latents
        if heads is None:
            width += _width(environment, inputs)
        return module.init(key, jnp.zeros(width))

    def predict(params, latent, transitions):
        if heads is not None:
            index = jax.vmap(heads[1])(transitions)
            return _output(module, params, latent)[index]

        def one(transition):
            x = _read(environment, inputs, transition)
            return _output(module, params, jnp.concatenate([latent, x]))[0]

        return jax.vmap(one)(transitions)

    def log_prob(params, latent, transitions):
        found = predict(params, latent, transitions)
        if values is None:
            return -0.5 * (transitions.reward - found) ** 2
        middle = (values[0] + values[1]) / 2
        is_second = (transitions.reward > middle) == (values[1] > middle)
        return -jax.nn.softplus(jnp.where(is_second, -found, found))

    return Decoder(
        init,
        log_prob,
        () if values is None else (values,),
        () if heads is None else (heads,),
    )


def observation(
    environment: Environment | Dataset,
    *,
    inputs: Sequence[str] = ("observation", "action"),
    hidden: Sequence[int] = (32, 32),
) -> Decoder:
    """A perceptron that predicts the observation every step leads to, Gaussian.

    ``log p = -|o' - f(m, x)|^2 / 2``.

    Args:
        environment: whose observations they are.
        inputs: what it reads besides the latent, as in :func:`reward`.
        hidden: sizes of the hidden layers.

    Raises:
        TypeError: if ``environment`` is none, or a size no integer.
        ValueError: if ``inputs`` are empty or unknown, or hold what is predicted.
    """
    environment = to_act_in(environment)
    _check_inputs(inputs)
    if "next_observation" in inputs:
        raise ValueError("inputs: next_observation is what is predicted")
    module = Perceptron(
        _width(environment, ("observation",)), checks.positive_ints("hidden", hidden)
    )

    def init(key, num_latents):
        return module.init(key, jnp.zeros(num_latents + _width(environment, inputs)))

    def log_prob(params, latent, transitions):
        def one(transition):
            x = _read(environment, inputs, transition)
            found = _output(module, params, jnp.concatenate([latent, x]))
            target = transition.next_observation.reshape(-1)
            return -0.5 * jnp.sum((target - found) ** 2)

        return jax.vmap(one)(transitions)

    return Decoder(init, log_prob)


def both(first: Decoder, second: Decoder) -> Decoder:
    """Two decoders of one latent, independent given it: log-likelihoods add up.

    What either does not allow for is not allowed.

    Raises:
        TypeError: if one is no Decoder.
    """
    decoders = (first, second)
    for name, one in zip(("first", "second"), decoders, strict=True):
        if not isinstance(one, Decoder):
            raise TypeError(f"{name} must be a Decoder, got {one!r}")

    def init(key, num_latents):
        keys = jax.random.split(key)
        return tuple(
            one.init(k, num_latents) for one, k in zip(decoders, keys, strict=True)
        )

    def log_prob(params, latent, transitions):
        found = [
            one.log_prob(p, latent, transitions)
            for one, p in zip(decoders, params, strict=True)
        ]
        return found[0] + found[1]

    return Decoder(
        init, log_prob, first.rewards + second.rewards, first.heads + second.heads
    )


def _output(module: Perceptron, params: Params, x: jax.Array) -> Any:
    return module.apply(params, x)


def _read(
    environment: Environment, inputs: Sequence[str], transition: Transition
) -> jax.Array:
    """What a decoder reads of one step, ``[D]``."""
    action = transition.action
    if isinstance(environment.action, spaces.Discrete):
        action = jax.nn.one_hot(action, environment.action.n)
    parts = {
        "observation": transition.timestep.observation,
        "action": action,
        "next_observation": transition.next_observation,
    }
    return jnp.concatenate([parts[name].reshape(-1) for name in inputs])


def _width(environment: Environment, inputs: Sequence[str]) -> int:
    space = environment.action
    discrete = isinstance(space, spaces.Discrete)
    action = space.n if discrete else math.prod(space.shape)
    size = environment.observation.size
    sizes = {"observation": size, "action": action, "next_observation": size}
    return sum(sizes[name] for name in inputs)


def _check_inputs(inputs: Any) -> None:
    known = isinstance(inputs, Sequence) and not set(inputs) - set(_INPUTS)
    if isinstance(inputs, str) or not known or not inputs:
        raise ValueError(f"inputs must be some of {_INPUTS}, got {inputs!r}")


def _two_rewards(values: Any) -> tuple[float, float]:
    try:
        low, high = map(float, values)
    except (TypeError, ValueError):
        low = high = 0.0
    if low == high or not np.isfinite([low, high]).all():
        raise ValueError(f"values must be two different rewards, got {values!r}")
    return low, high
