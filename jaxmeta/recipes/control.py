"""RL^2 over several environments of classic control at once."""

from collections.abc import Mapping
from types import MappingProxyType

import jax
import jax.numpy as jnp

from jaxmeta import checks, policies, tasks
from jaxmeta.recipes.trials import experiment
from jaxmeta.recipes.types import Experiment, Recipe
from jaxmeta.tasks import Sampler
from jaxmeta.types import TaskDistribution


def either_way(low: float, high: float) -> Sampler:
    """Uniform between two numbers, with either sign equally likely."""
    size = tasks.uniform(low, high)

    def sample(key):
        key_size, key_sign = jax.random.split(key)
        return size(key_size) * jax.random.rademacher(key_sign, (), jnp.float32)

    return sample


def _torques(key: jax.Array) -> jax.Array:
    """What the three actions of an acrobot do."""
    return either_way(1.0, 3.0)(key) * jnp.array([-1.0, 0.0, 1.0])


def domains() -> Mapping[str, TaskDistribution]:
    """The tasks of each domain: in all of them actions may do the reverse.

    * Cart-pole, 100 steps: gravity 5 to 15, a push of 5 to 10.
    * Acrobot, 200 steps: a torque of 1 to 3 (of 1 in the environment as it is).
    * Mountain car, 150 steps: a force of 0.001 to 0.003 (of 0.001); above 0.0025 the
      car climbs the hill from where it stands.
    """
    return {
        "cart-pole": tasks.from_gymnax(
            "CartPole-v1",
            horizon=100,
            params={
                "gravity": tasks.uniform(5, 15),
                "force_mag": either_way(5.0, 10.0),
            },
        ),
        "acrobot": tasks.from_gymnax(
            "Acrobot-v1", horizon=150, params={"available_torque": _torques}
        ),
        "mountain car": tasks.from_gymnax(
            "MountainCar-v0",
            horizon=100,
            params={"force": either_way(0.002, 0.006)},
        ),
    }
