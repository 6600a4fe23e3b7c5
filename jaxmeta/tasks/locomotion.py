"""The continuous-control benchmarks of the field, by name: ``jaxmeta[locomotion]``."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxmeta import checks
from jaxmeta.environments.locomotion import (
    AntDirection,
    AntGoal,
    HalfCheetahDirection,
    HalfCheetahVelocity,
    Walker,
)
from jaxmeta.tasks.adapter import from_gymnax
from jaxmeta.tasks.samplers import choice, uniform
from jaxmeta.types import Key, TaskDistribution


def half_cheetah_direction(
    *, frame_skip: int = 5, horizon: int = 200
) -> TaskDistribution:
    """A half-cheetah that has to run forwards or backwards, each equally likely.

    Args:
        frame_skip: physics steps of 0.01 s per action: 5 in Gymnasium, ProMP and most
            that followed; 1 in Finn et al. (2017), to whose published numbers it
            belongs.
        horizon: steps in an episode.

    Source: Finn, Abbeel and Levine, "Model-Agnostic Meta-Learning for Fast Adaptation
    of Deep Networks", 2017.

    Raises:
        ImportError: if MuJoCo is not installed, with the command that installs it.
        ValueError: if a number is below one.
    """
    environment = HalfCheetahDirection(frame_skip=frame_skip)
    params = {"direction": choice([-1.0, 1.0])}
    return from_gymnax(environment, params=params, horizon=horizon)


def half_cheetah_velocity(
    *,
    velocities: tuple[float, float] = (0.0, 2.0),
    frame_skip: int = 5,
    horizon: int = 200,
) -> TaskDistribution:
    """A half-cheetah that has to run at a velocity, uniform on an interval.

    Args:
        velocities: the ends of the interval, in metres per second: (0, 2) in Finn et
            al. (2017), (0, 3) in ProMP and PEARL.
        frame_skip: as for :func:`half_cheetah_direction`.
        horizon: steps in an episode.

    Source: Finn, Abbeel and Levine, "Model-Agnostic Meta-Learning for Fast Adaptation
    of Deep Networks", 2017.

    Raises:
        ImportError: if MuJoCo is not installed, with the command that installs it.
        ValueError: if a number is below one, or the velocities are not in order.
    """
    low, high = velocities
    for velocity in velocities:
        checks.finite("velocities", velocity)
    if not low < high:
        raise ValueError(f"velocities must be in order, got {velocities}")
    environment = HalfCheetahVelocity(frame_skip=frame_skip)
    params = {"velocity": uniform(low, high)}
    return from_gymnax(environment, params=params, horizon=horizon)


def ant_direction(
    *, planar: bool = False, frame_skip: int = 5, horizon: int = 200
) -> TaskDistribution:
    """An ant that has to walk forwards or backwards, each equally likely.

    Args:
        planar: any direction in the plane instead, uniformly.
        frame_skip: physics steps of 0.01 s per action.
        horizon: steps in an episode.

    Source: Finn, Abbeel and Levine, "Model-Agnostic Meta-Learning for Fast Adaptation
    of Deep Networks", 2017; any direction in Rothfuss et al., "ProMP: Proximal
    Meta-Policy Search", 2019.

    Raises:
        ImportError: if MuJoCo is not installed, with the command that installs it.
        ValueError: if a number is below one.
    """

    def any_direction(key: Key) -> jax.Array:
        angle = jax.random.uniform(key, (), maxval=2.0 * jnp.pi)
        return jnp.stack([jnp.cos(angle), jnp.sin(angle)])

    two = choice([[1.0, 0.0], [-1.0, 0.0]])
    params = {"direction": any_direction if planar else two}
    environment = AntDirection(frame_skip=frame_skip)
    return from_gymnax(environment, params=params, horizon=horizon)


def ant_goal(
    *, size: float = 3.0, frame_skip: int = 5, horizon: int = 200
) -> TaskDistribution:
    """An ant that has to go to a point, uniform on ``[-size, size]^2``.

    Args:
        size: half the side of the square, in metres.
        frame_skip: physics steps of 0.01 s per action.
        horizon: steps in an episode.

    Source: the code of Finn, Abbeel and Levine, "Model-Agnostic Meta-Learning for Fast
    Adaptation of Deep Networks", 2017.

    Raises:
        ImportError: if MuJoCo is not installed, with the command that installs it.
        ValueError: if a number is below one, or ``size`` not positive.
    """
    size = checks.positive("size", size)
    environment = AntGoal(frame_skip=frame_skip)
    params = {"goal": uniform(-size, size, (2,))}
    return from_gymnax(environment, params=params, horizon=horizon)


def walker_params(
    *, spread: float = 3.0, frame_skip: int = 4, horizon: int = 200
) -> TaskDistribution:
    """A walker whose body and floor differ from task to task.

    Every mass, moment of inertia and coefficient of friction is multiplied by ``1.5^u``
    and every damping by ``1.3^u``, each with its own ``u`` uniform on
    ``[-spread, spread]``.

    Args:
        spread: of the exponents.
        frame_skip: physics steps of 0.002 s per action.
        horizon: steps in an episode.

    Source: Rothfuss, Lee, Clavera, Asfour and Abbeel, "ProMP: Proximal Meta-Policy
    Search", 2019, and their ``rand_param_envs``.

    Raises:
        ImportError: if MuJoCo is not installed, with the command that installs it.
        ValueError: if a number is below one, or ``spread`` not positive.
    """
    spread = checks.positive("spread", spread)
    environment = Walker(frame_skip=frame_skip)
    base = environment.default_params

    def factors(name: str, power: float):
        shape, limit = np.shape(getattr(base, name)), spread * np.log(power)
        exponents = uniform(-limit, limit, shape)
        return lambda key: jnp.exp(exponents(key))

    powers = {"mass": 1.5, "inertia": 1.5, "friction": 1.5, "damping": 1.3}
    params = {name: factors(name, power) for name, power in powers.items()}
    return from_gymnax(environment, params=params, horizon=horizon)
