"""The task distributions of the field's benchmarks, by name."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxmeta.environments import Navigation2D
from jaxmeta.tasks.adapter import from_gymnax
from jaxmeta.tasks.datasets import supervised
from jaxmeta.tasks.samplers import uniform
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


class Sinusoid(NamedTuple):
    """A task of :func:`sinusoids`, ``y = amplitude sin(x - phase)``; both ``[]``."""

    amplitude: jax.Array
    phase: jax.Array


def sinusoids() -> TaskDistribution:
    """Regression of ``y = A sin(x - phase)``, the field's first supervised benchmark.

    Amplitude ``A ~ U[0.1, 5]`` and phase ``~ U[0, pi]`` of a task, ``x ~ U[-5, 5]``;
    inputs and targets are ``[1]``.

    Source: Finn, Abbeel and Levine, "Model-Agnostic Meta-Learning for Fast Adaptation
    of Deep Networks", 2017, section 5.1.
    """
    amplitude, phase, x = uniform(0.1, 5.0), uniform(0.0, jnp.pi), uniform(-5, 5, (1,))

    def sample_task(key: Key) -> Sinusoid:
        key_amplitude, key_phase = jax.random.split(key)
        return Sinusoid(amplitude(key_amplitude), phase(key_phase))

    def sample_example(key: Key, task: Sinusoid) -> tuple[jax.Array, jax.Array]:
        inputs = x(key)
        return inputs, task.amplitude * jnp.sin(inputs - task.phase)

    return supervised(sample_task, sample_example, name="sinusoids")
