"""A noisy bowl, and what is exactly so of an agent that descends it.

Steep one way and flat the other: soon the loss is least with a small rate of descent,
as noise is what is left in the steep direction; over a life it is least with a larger
one, as the flat direction takes long. (Wu, Ren, Liao and Grosse, "Understanding
Short-Horizon Bias in Stochastic Meta-Optimization", 2018.)
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
from gymnax.environments import environment, spaces
from scipy.optimize import minimize_scalar

import jaxmeta as jm
from jaxmeta import adaptation, hyperparameters, inner
from jaxmeta.distributions import DiagonalGaussian
from jaxmeta.types import Policy, PolicyOutput

STEEPNESS = np.array([1.0, 0.02])
START = np.array([1.0, 10.0])
NOISE, LIFETIME = 1.0, 100
FIRST_RATE = 0.3


class Bowl(environment.Environment):
    """One step; the reward is ``-sum(STEEPNESS action^2) / 2``."""

    def step_env(self, key, state, action, params):
        """The reward of the action."""
        reward = -0.5 * jnp.sum(STEEPNESS * action**2)
        state = environment.EnvState(time=state.time + 1)
        return jnp.zeros(1), state, reward, jnp.asarray(True), {}

    def reset_env(self, key, params):
        """Nothing to see."""
        return jnp.zeros(1), environment.EnvState(time=0)

    @property
    def name(self) -> str:
        """Environment name."""
        return "Bowl"

    @property
    def default_params(self) -> environment.EnvParams:
        """One step."""
        return environment.EnvParams(max_steps_in_episode=1)

    def action_space(self, params=None) -> spaces.Box:
        """Two numbers."""
        return spaces.Box(-100.0, 100.0, (2,), jnp.float32)

    def observation_space(self, params) -> spaces.Box:
        """A constant."""
        return spaces.Box(0.0, 0.0, (1,), jnp.float32)


TASKS = jm.tasks.from_gymnax(Bowl())
POLICY = Policy(
    init=lambda key: jnp.asarray(START, jnp.float32),
    initial_carry=lambda: (),
    apply=lambda params, carry, timestep: (
        PolicyOutput(DiagonalGaussian(params, jnp.zeros(2)), None),
        carry,
    ),
)
NUMBERS = {"rate": hyperparameters.positive(FIRST_RATE)}


def bowl_loss(params, batch):
    """Minus the reward, differentiated through the action taken."""
    noise = batch.action - batch.distribution.mean
    return 0.5 * jnp.mean(jnp.sum(STEEPNESS * (params + noise) ** 2, axis=-1)), {}


def agent(first_order: bool = False):
    """Stochastic gradient descent."""
    return inner.tuned(
        POLICY.init,
        NUMBERS,
        lambda values: bowl_loss,
        lambda values: optax.sgd(values["rate"]),
        first_order=first_order,
    )


def life_loss(alone, meta_params, experience):
    """The mean over a window of the expected loss after each update."""
    states, _ = adaptation.adaptation_states(meta_params, experience, inner=alone)
    after = states.params[1:]
    return 0.5 * jnp.mean(jnp.sum(STEEPNESS * after**2, axis=-1)), {}


def exact(rate: float, start: Any = None, steps: int = LIFETIME):
    """Mean expected loss of so many updates, its slope by log rate, and the moments.

    Args:
        rate: of descent.
        start: mean and variance to start from, which do not depend on the rate.
        steps: updates.
    """
    mean, variance = (START, np.zeros(2)) if start is None else start
    mean_slope, variance_slope = np.zeros(2), np.zeros(2)
    shrink = 1 - rate * STEEPNESS
    loss = slope = 0.0
    for _ in range(steps):
        variance_slope = (
            shrink**2 * variance_slope
            - 2 * shrink * STEEPNESS * variance
            + 2 * rate * (STEEPNESS * NOISE) ** 2
        )
        variance = shrink**2 * variance + (rate * STEEPNESS * NOISE) ** 2
        mean_slope = shrink * mean_slope - STEEPNESS * mean
        mean = shrink * mean
        loss += 0.5 * np.sum(STEEPNESS * (mean**2 + variance)) / steps
        slope += np.sum(STEEPNESS * (mean * mean_slope + 0.5 * variance_slope)) / steps
    return loss, slope * rate, (mean, variance)


def truncated(rate: float, length: int) -> float:
    """The slope that windows of a life show, each from where the last one ended."""
    moments, slopes = None, []
    for _ in range(LIFETIME // length):
        _, slope, moments = exact(rate, moments, length)
        slopes.append(slope)
    return float(np.mean(slopes))


def where_zero(slope: Callable[[float], float]) -> float:
    """The rate at which a rising slope is zero."""
    found = minimize_scalar(
        lambda r: slope(r) ** 2, bounds=(1e-3, 1.5), method="bounded"
    )
    return float(found.x)
