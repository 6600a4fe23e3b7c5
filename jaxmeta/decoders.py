"""Decoders: what a latent of the task says about rewards and observations."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen
from gymnax.environments import spaces

from jaxmeta import checks
from jaxmeta.types import (
    Dataset,
    Environment,
    Key,
    Params,
    TaskDistribution,
    Transition,
)

_INPUTS = ("observation", "action", "next_observation")


class Decoder(NamedTuple):
    """A model of trajectories given a latent, as pure functions.

    Attributes:
        init: ``(key, num_latents) -> params``.
        log_prob: ``(params, latent [L], transitions [T]) -> [T]``, the log-likelihood
            of each step, in nats; a constant may be left out.
        rewards: the only rewards there may be; None: any number.
    """

    init: Callable[[Key, int], Params]
    log_prob: Callable[[Params, jax.Array, Transition], jax.Array]
    rewards: tuple[float, float] | None = None


class _Perceptron(linen.Module):
    hidden: Sequence[int]
    num_outputs: int

    @linen.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for width in self.hidden:
            x = linen.relu(linen.Dense(width)(x))
        return linen.Dense(self.num_outputs)(x)


def reward(
    environment: Environment | Dataset,
    *,
    values: tuple[float, float] | None = None,
    inputs: Sequence[str] = ("next_observation",),
    heads: tuple[int, Callable[[Transition], jax.Array]] | None = None,
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
        TypeError: if ``environment`` is none, or a size no integer.
        ValueError: if ``inputs`` are empty or unknown, ``values`` are not two different
            numbers, or a size is below one.
    """
    environment = _checked(environment, inputs, hidden)
    if values is not None:
        low, high = (float(value) for value in values)
        if low == high:
            raise ValueError(f"values must be two different rewards, got {values}")
        values = (low, high)
    num_heads = 1 if heads is None else checks.positive_int("heads", heads[0])
    module = _Perceptron(tuple(hidden), num_heads)

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

    return Decoder(init, log_prob, values)


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
    environment = _checked(environment, inputs, hidden)
    if "next_observation" in inputs:
        raise ValueError("inputs: next_observation is what is predicted")
    module = _Perceptron(tuple(hidden), _width(environment, ("observation",)))

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
    """Two decoders of one latent, independent given it: log-likelihoods add up."""
    decoders = (first, second)

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

    return Decoder(init, log_prob, first.rewards or second.rewards)


def check_rewards(
    decoder: Decoder, tasks: TaskDistribution, *, num_tasks: int = 32
) -> None:
    """Check that a decoder explains the rewards that random actions get in some tasks.

    Args:
        decoder: what explains them.
        tasks: where the actions are taken, in an episode of each.
        num_tasks: how many are tried.

    Raises:
        ValueError: if a reward is none of those the decoder allows for.
    """
    environment = tasks.environment
    if decoder.rewards is None or not isinstance(environment, Environment):
        return

    def act(key):
        key_task, key_reset, key_steps = jax.random.split(key, 3)
        task = tasks.sample(key_task)

        def step(state, key):
            key_action, key_step = jax.random.split(key)
            action = environment.action.sample(key_action)
            result = environment.step(key_step, state, action, task)
            return result.state, result.reward

        state, _ = environment.reset(key_reset, task)
        length = min(environment.horizon, 100)
        return jax.lax.scan(step, state, jax.random.split(key_steps, length))[1]

    def rewards():
        return jax.vmap(act)(jax.random.split(jax.random.key(0), num_tasks))

    compiled = jax.jit(rewards).lower().compile()
    with jax.ensure_compile_time_eval():  # a learner may be made inside of jit
        found = np.unique(compiled())
    wrong = found[~np.isclose(found[:, None], decoder.rewards).any(axis=1)]
    if wrong.size:
        raise ValueError(
            f"decoder: it explains rewards of {decoder.rewards} alone, and those of "
            f"{environment.name} are others too, such as {wrong[0]:g}; leave values out"
        )


def _output(module: linen.Module, params: Params, x: jax.Array) -> Any:
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


def _checked(
    environment: Environment | Dataset, inputs: Sequence[str], hidden: Sequence[int]
) -> Environment:
    if not isinstance(environment, Environment):
        raise TypeError(
            "environment must be an Environment, such as tasks.environment, got "
            f"{type(environment).__name__}"
        )
    if isinstance(inputs, str) or not inputs or set(inputs) - set(_INPUTS):
        raise ValueError(f"inputs must be some of {_INPUTS}, got {inputs!r}")
    for width in hidden:
        checks.positive_int("hidden", width)
    return environment
