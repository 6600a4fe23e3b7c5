"""The Runge-Kutta method of order 4, for bodies whose model asks for it.

MJX has it too, but as four copies of the equations of motion in one program, which
takes four times as long to compile; here one copy is in a loop over the four stages.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

# Of the classical tableau: how far along the step a stage looks, and its weight.
_FRACTIONS = (0.0, 0.5, 0.5, 1.0)
_WEIGHTS = (1 / 6, 1 / 3, 1 / 3, 1 / 6)

Acceleration = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


def step(
    acceleration: Acceleration,
    position: jax.Array,
    velocity: jax.Array,
    warm_start: jax.Array,
    *,
    seconds: float,
    floats: bool,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """One step: ``q' = q + h sum_i b_i v_i``, ``v' = v + h sum_i b_i a_i``.

    Args:
        acceleration: ``(position, velocity, warm_start) -> acceleration``.
        position: ``[nq]``.
        velocity: ``[nv]``.
        warm_start: ``[nv]`` a guess of the acceleration.
        seconds: ``h``.
        floats: whether the first joint is free: a place and a quaternion.

    Returns:
        The next position and velocity, and the acceleration of the last stage.
    """

    def stage(carry, coefficients):
        velocity_sum, acceleration_sum, last_velocity, last_acceleration, guess = carry
        fraction, weight = coefficients
        here = integrate(position, last_velocity, fraction * seconds, floats=floats)
        speed = velocity + fraction * seconds * last_acceleration
        pull = acceleration(here, speed, guess)
        carry = (
            velocity_sum + weight * speed,
            acceleration_sum + weight * pull,
            speed,
            pull,
            pull,
        )
        return carry, None

    zeros = jnp.zeros_like(velocity)
    coefficients = (jnp.asarray(_FRACTIONS), jnp.asarray(_WEIGHTS))
    start = (zeros, zeros, zeros, zeros, warm_start)
    (mean_velocity, mean_acceleration, *_, last), _ = jax.lax.scan(
        stage, start, coefficients
    )
    position = integrate(position, mean_velocity, seconds, floats=floats)
    return position, velocity + seconds * mean_acceleration, last


def integrate(
    position: jax.Array, velocity: jax.Array, seconds: jax.Array | float, *, floats
) -> jax.Array:
    """Positions after so long at a velocity ``[nv]``, in generalised coordinates.

    Of a free joint the rotation ``q' = q exp(h w / 2)`` is by the angular velocity
    ``w`` in the frame of the body.
    """
    if not floats:
        return position + seconds * velocity
    place = position[:3] + seconds * velocity[:3]
    joints = position[7:] + seconds * velocity[6:]
    half = 0.5 * seconds * velocity[3:6]
    angle = jnp.sqrt(jnp.sum(half**2))
    # sin(x) / x, which is finite at zero.
    axis = half * jnp.sinc(angle / jnp.pi)
    w, vector = position[3], position[4:7]
    turned = jnp.concatenate(
        [
            (w * jnp.cos(angle) - jnp.sum(vector * axis))[None],
            w * axis + jnp.cos(angle) * vector + jnp.cross(vector, axis),
        ]
    )
    turned = turned / jnp.sqrt(jnp.sum(turned**2))
    return jnp.concatenate([place, turned, joints])
