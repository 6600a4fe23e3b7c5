"""The half-cheetah: run forwards or backwards, or at a velocity."""

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments import environment

from jaxmeta.environments.locomotion.body import Body, BodyState
from jaxmeta.environments.locomotion.physics import Motion, Physics


@struct.dataclass
class DirectionParams(environment.EnvParams):
    """The task and the rules.

    Attributes:
        direction: 1 to run forwards, -1 backwards.
        control_cost: per squared action, summed over the motors.
        max_steps_in_episode: time limit.
    """

    direction: float = 1.0
    control_cost: float = 0.05
    max_steps_in_episode: int = 200


@struct.dataclass
class VelocityParams(environment.EnvParams):
    """The task and the rules.

    Attributes:
        velocity: to run at, in metres per second.
        control_cost: per squared action, summed over the motors.
        max_steps_in_episode: time limit.
    """

    velocity: float = 1.0
    control_cost: float = 0.05
    max_steps_in_episode: int = 200


class _HalfCheetah(Body):
    """A planar runner of two legs, 9 degrees of freedom and 6 motors."""

    def __init__(
        self, *, frame_skip: int = 5, iterations: int = 4, line_searches: int = 4
    ):
        super().__init__(
            Physics(
                "half_cheetah",
                frame_skip=frame_skip,
                iterations=iterations,
                line_searches=line_searches,
            )
        )

    def speed(self, before: Motion, after: Motion) -> jax.Array:
        """Of the torso, forwards, over the step, in metres per second."""
        moved = after.position[0] - before.position[0]
        return moved / self.physics.seconds_per_step

    def get_obs(self, state: BodyState, params=None, key=None) -> jax.Array:
        """Positions but for how far it has run, and velocities, ``[17]``."""
        del params, key
        motion = state.motion
        return jnp.concatenate([motion.position[1:], motion.velocity])


class HalfCheetahDirection(_HalfCheetah):
    """A half-cheetah that is paid for running in a direction it does not observe.

    With ``v`` the speed of the torso over the step and ``a`` the action, clipped to
    [-1, 1], the reward is ``direction * v - 0.05 |a|^2``; nothing ends an episode but
    its time limit. The observation is Gymnasium's.

    The model, the reward and the horizon are those of Finn, Abbeel and Levine (2017)
    and of all who followed. Implementations differ in the time between two actions:
    theirs acts in every physics step of 0.01 s (``frame_skip=1``), and so do their
    published numbers; ProMP's and Gymnasium's in every fifth (``frame_skip=5``), so an
    episode of theirs lasts 10 s and not 2. Finn et al. measure ``v`` at the centre of
    mass at the end of a step, add its position to the observation, and start with less
    noise; here these are as in ProMP.

    Args:
        frame_skip: physics steps of 0.01 s per action.
        iterations: of the contact solver.
        line_searches: of the contact solver.

    Source: Finn, Abbeel and Levine, "Model-Agnostic Meta-Learning for Fast Adaptation
    of Deep Networks", 2017; Rothfuss, Lee, Clavera, Asfour and Abbeel, "ProMP: Proximal
    Meta-Policy Search", 2019.

    Raises:
        MissingExtraError: if MuJoCo is not installed.
        ValueError: if a number is below one.
    """

    @property
    def default_params(self) -> DirectionParams:
        """Forwards; tasks replace it."""
        return DirectionParams()

    def judge(self, before, after, action, params):
        """Speed in the direction, less the control cost; it never ends."""
        forward = params.direction * self.speed(before, after)
        reward = forward - params.control_cost * jnp.sum(action**2)
        return reward, jnp.zeros((), bool)


class HalfCheetahVelocity(_HalfCheetah):
    """A half-cheetah that is paid for running at a velocity it does not observe.

    The reward is ``-|v - velocity| - 0.05 |a|^2``, all else as in
    :class:`HalfCheetahDirection`.

    Args:
        frame_skip: physics steps of 0.01 s per action.
        iterations: of the contact solver.
        line_searches: of the contact solver.

    Source: Finn, Abbeel and Levine, "Model-Agnostic Meta-Learning for Fast Adaptation
    of Deep Networks", 2017.

    Raises:
        MissingExtraError: if MuJoCo is not installed.
        ValueError: if a number is below one.
    """

    @property
    def default_params(self) -> VelocityParams:
        """One metre per second; tasks replace it."""
        return VelocityParams()

    def judge(self, before, after, action, params):
        """Minus the distance to the velocity and the control cost; it never ends."""
        distance = jnp.abs(self.speed(before, after) - params.velocity)
        reward = -distance - params.control_cost * jnp.sum(action**2)
        return reward, jnp.zeros((), bool)
