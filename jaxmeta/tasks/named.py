"""The task distributions of the field's benchmarks, by name."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxmeta import checks
from jaxmeta.environments import (
    BernoulliBandit,
    Corners,
    GaussianBandit,
    Navigation2D,
    TabularMDP,
)
from jaxmeta.tasks.adapter import from_gymnax
from jaxmeta.tasks.datasets import supervised
from jaxmeta.tasks.samplers import choice, normal, uniform
from jaxmeta.types import Key, TaskDistribution


def navigation2d(*, action_scale: float = 0.1, horizon: int = 100) -> TaskDistribution:
    """2D navigation with goals uniform on ``[-0.5, 0.5]^2`` (Finn et al., 2017).

    Args:
        action_scale: the action is multiplied by this, then clipped to 0.1 per
            coordinate; 0.1 is the scaling the published numbers were made with.
        horizon: steps in an episode.

    Raises:
        ValueError: if ``action_scale`` is not positive.
    """
    if not action_scale > 0:
        raise ValueError(f"action_scale must be positive, got {action_scale}")
    params = {"goal": uniform(-0.5, 0.5, (2,)), "action_scale": action_scale}
    return from_gymnax(Navigation2D(), params=params, horizon=horizon)


def corners(*, size: int = 5, horizon: int | None = None) -> TaskDistribution:
    """A grid of which one corner pays, each with equal probability.

    Args:
        size: cells per side, an odd number.
        horizon: steps in an episode; by default ``2 (size - 1)``, twice what a corner
            is away.

    Raises:
        ValueError: if ``size`` is even or below three, or if no corner is within
            ``horizon`` steps.
    """
    environment = Corners(size)
    horizon = 2 * (size - 1) if horizon is None else horizon
    if horizon < size - 1:
        raise ValueError(
            f"horizon must be at least size - 1 = {size - 1}, or no corner can be "
            f"reached, got {horizon}"
        )
    params = {"corner": choice([0, 1, 2, 3])}
    return from_gymnax(environment, params=params, horizon=horizon)


def bernoulli_bandit(num_arms: int, *, horizon: int = 10) -> TaskDistribution:
    """Bandits whose arms pay one with a probability uniform on [0, 1].

    Args:
        num_arms: arms.
        horizon: pulls in an episode.

    Source: Duan, Schulman, Chen, Bartlett, Sutskever and Abbeel, "RL^2: Fast
    Reinforcement Learning via Slow Reinforcement Learning", 2016.
    """
    params = {"probabilities": uniform(0.0, 1.0, (num_arms,))}
    return from_gymnax(BernoulliBandit(num_arms), params=params, horizon=horizon)


def gaussian_bandit(
    num_arms: int,
    *,
    mean_std: float = 1.0,
    reward_std: float = 1.0,
    horizon: int = 10,
) -> TaskDistribution:
    """Bandits whose arms pay ``N(mean, reward_std^2)``, means ``N(0, mean_std^2)``.

    Args:
        num_arms: arms.
        mean_std: of the arms' means, over arms and tasks.
        reward_std: of the noise of a reward; with zero, one pull tells all.
        horizon: pulls in an episode.

    Raises:
        TypeError: if a number is none.
        ValueError: if ``mean_std`` is not positive, ``reward_std`` negative, or the
            arms or the horizon are below one.
    """
    environment = GaussianBandit(num_arms)
    mean_std = checks.positive("mean_std", mean_std)
    params = {
        "means": normal(0.0, mean_std, (num_arms,)),
        "reward_std": checks.positive("reward_std", reward_std, or_zero=True),
    }
    return from_gymnax(environment, params=params, horizon=horizon)


def tabular_mdp(
    *, num_states: int = 10, num_actions: int = 5, horizon: int = 10
) -> TaskDistribution:
    """Random finite MDPs: ``P ~ Dirichlet(1)``, rewards ``N(N(1, 1), 1)``.

    Args:
        num_states: states; an episode starts in the first.
        num_actions: actions.
        horizon: steps in an episode.

    Source: Duan et al., "RL^2: Fast Reinforcement Learning via Slow Reinforcement
    Learning", 2016.
    """

    def transitions(key):
        ones = jnp.ones(num_states)
        return jax.random.dirichlet(key, ones, (num_states, num_actions))

    def rewards(key):
        return 1.0 + jax.random.normal(key, (num_states, num_actions))

    return from_gymnax(
        TabularMDP(num_states, num_actions),
        params={"transitions": transitions, "rewards": rewards},
        horizon=horizon,
    )


class Sinusoid(NamedTuple):
    """A task of :func:`sinusoids`, ``y = amplitude sin(frequency x - phase)``."""

    amplitude: jax.Array
    frequency: jax.Array
    phase: jax.Array


def sinusoids(*, frequencies: tuple[float, float] = (1.0, 1.0)) -> TaskDistribution:
    """Regression of ``y = A sin(w x - phase)``, the first supervised benchmark.

    Amplitude ``A ~ U[0.1, 5]`` and phase ``~ U[0, pi]`` of a task, ``x ~ U[-5, 5]``;
    inputs and targets are ``[1]``.

    Args:
        frequencies: the ends of the interval ``w`` is uniform on. It is one for all
            tasks in Finn et al.; (0.8, 1.2) makes a harder variant.

    Source: Finn, Abbeel and Levine, "Model-Agnostic Meta-Learning for Fast Adaptation
    of Deep Networks", 2017, section 5.1.

    Raises:
        ValueError: if the frequencies are not positive and in order.
    """
    low, high = frequencies
    if not 0 < low <= high:
        raise ValueError(
            f"frequencies must be positive and in order, got {frequencies}"
        )
    amplitude, phase, x = uniform(0.1, 5.0), uniform(0.0, jnp.pi), uniform(-5, 5, (1,))

    def sample_task(key: Key) -> Sinusoid:
        key_amplitude, key_frequency, key_phase = jax.random.split(key, 3)
        frequency = low + (high - low) * jax.random.uniform(key_frequency)
        return Sinusoid(amplitude(key_amplitude), frequency, phase(key_phase))

    def sample_example(key: Key, task: Sinusoid) -> tuple[jax.Array, jax.Array]:
        inputs = x(key)
        angle = task.frequency * inputs - task.phase
        return inputs, task.amplitude * jnp.sin(angle)

    return supervised(sample_task, sample_example, name="sinusoids")
