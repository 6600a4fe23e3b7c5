"""The continuous-control benchmarks of the field, by name: ``jaxmeta[locomotion]``."""

from jaxmeta import checks
from jaxmeta.environments.locomotion import HalfCheetahDirection, HalfCheetahVelocity
from jaxmeta.tasks.adapter import from_gymnax
from jaxmeta.tasks.samplers import choice, uniform
from jaxmeta.types import TaskDistribution


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
