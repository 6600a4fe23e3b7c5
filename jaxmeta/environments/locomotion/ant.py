"""The ant: walk in a direction, or to a goal."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment

from jaxmeta.environments.locomotion.body import Body, BodyState
from jaxmeta.environments.locomotion.physics import Motion, Physics


@struct.dataclass
class AntDirectionParams(environment.EnvParams):
    """The task and the rules.

    Attributes:
        direction: ``[2]`` a vector of length one in the plane.
        control_cost: per squared action, summed over the motors.
        survival: paid per step.
        heights: ``[2]`` of the torso in metres, between which an episode goes on.
        max_steps_in_episode: time limit.
    """

    direction: jax.Array = struct.field(
        default_factory=lambda: np.array([1.0, 0.0], np.float32)
    )
    control_cost: float = 0.005
    survival: float = 0.05
    heights: jax.Array = struct.field(
        default_factory=lambda: np.array([0.2, 1.0], np.float32)
    )
    max_steps_in_episode: int = 200


@struct.dataclass
class AntGoalParams(environment.EnvParams):
    """The task and the rules.

    Attributes:
        goal: ``[2]`` where to be, in metres.
        control_cost: per squared action, summed over the motors.
        survival: paid per step.
        heights: ``[2]`` of the torso in metres, between which an episode goes on.
        max_steps_in_episode: time limit.
    """

    goal: jax.Array = struct.field(default_factory=lambda: np.zeros(2, np.float32))
    control_cost: float = 0.005
    survival: float = 4.05
    heights: jax.Array = struct.field(
        default_factory=lambda: np.array([0.2, 1.0], np.float32)
    )
    max_steps_in_episode: int = 200


class _Ant(Body):
    """A torso on four legs, 14 degrees of freedom and 8 motors."""

    def __init__(
        self, *, frame_skip: int = 5, iterations: int = 4, line_searches: int = 8
    ):
        super().__init__(
            Physics(
                "ant",
                frame_skip=frame_skip,
                iterations=iterations,
                line_searches=line_searches,
            )
        )

    def ends(self, after: Motion, params) -> jax.Array:
        """Whether the torso is too low or too high, or nowhere any more."""
        height, (low, high) = after.position[2], params.heights
        inside = (height >= low) & (height <= high)
        known = jnp.all(jnp.isfinite(after.position)) & jnp.all(
            jnp.isfinite(after.velocity)
        )
        return ~(inside & known)


class AntDirection(_Ant):
    """An ant that is paid for walking in a direction it does not observe.

    With ``v`` the velocity of the torso in the plane over the step and ``a`` the
    action, clipped to [-1, 1], the reward is ``direction . v - 0.005 |a|^2 + 0.05``;
    an episode ends where the torso is lower than 0.2 m or higher than 1 m. The
    observation is Gymnasium's without contact forces: positions but those in the
    plane, and velocities, ``[27]``.

    The rules are those of Finn et al.'s code but for its cost of contacts, of which
    current MuJoCo has another scale. ProMP pays 1 per step to survive and charges
    ``0.5 |a|^2``: ``params={"survival": 1.0, "control_cost": 0.5}``. Where it touches
    the floor it does not move quite as in C: MuJoCo's pyramids of friction have their
    edges along the limbs there, and along the axes of the world in MJX.

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
    def default_params(self) -> AntDirectionParams:
        """Along the first axis; tasks replace it."""
        return AntDirectionParams()

    def judge(self, before, after, action, params):
        """Velocity along the direction, less the control cost, and survival."""
        moved = after.position[:2] - before.position[:2]
        along = jnp.sum(moved * params.direction) / self.physics.seconds_per_step
        cost = params.control_cost * jnp.sum(action**2)
        return along - cost + params.survival, self.ends(after, params)

    def get_obs(self, state: BodyState, params=None, key=None) -> jax.Array:
        """Positions but those in the plane, and velocities, ``[27]``."""
        del params, key
        motion = state.motion
        return jnp.concatenate([motion.position[2:], motion.velocity])


class AntGoal(_Ant):
    """An ant that is paid for being near a goal it does not observe.

    With ``d`` the sum of the two coordinates' distances to the goal (not Euclid's) and
    ``a`` the action, the reward is ``-d - 0.005 |a|^2 + 4.05``; all else is as in
    :class:`AntDirection`, but the place in the plane is observed too, ``[29]``.

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
    def default_params(self) -> AntGoalParams:
        """Where it starts; tasks replace it."""
        return AntGoalParams()

    def judge(self, before, after, action, params):
        """Minus the distance to the goal and the control cost, and survival."""
        del before
        distance = jnp.sum(jnp.abs(after.position[:2] - params.goal))
        cost = params.control_cost * jnp.sum(action**2)
        return params.survival - distance - cost, self.ends(after, params)

    def get_obs(self, state: BodyState, params=None, key=None) -> jax.Array:
        """All positions and velocities, ``[29]``."""
        del params, key
        motion = state.motion
        return jnp.concatenate([motion.position, motion.velocity])
