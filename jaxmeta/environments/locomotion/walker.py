"""The walker: the same body in worlds of other masses, dampings and frictions."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment

from jaxmeta.environments.locomotion.body import Body, BodyState
from jaxmeta.environments.locomotion.physics import Physics


def _ones() -> Any:
    return struct.field(default_factory=lambda: np.ones(0, np.float32))


@struct.dataclass
class WalkerParams(environment.EnvParams):
    """The task: factors of the model's own numbers; and the rules.

    Attributes:
        mass: ``[bodies]``.
        inertia: ``[bodies, 3]``.
        damping: ``[nv]`` of the joints.
        friction: ``[geoms, 3]`` of the contacts; of two shapes the larger one counts.
        control_cost: per squared action, summed over the motors.
        survival: paid per step.
        max_steps_in_episode: time limit.
    """

    mass: jax.Array = _ones()
    inertia: jax.Array = _ones()
    damping: jax.Array = _ones()
    friction: jax.Array = _ones()
    control_cost: float = 0.001
    survival: float = 1.0
    max_steps_in_episode: int = 200


_FIELDS = {
    "mass": "body_mass",
    "inertia": "body_inertia",
    "damping": "dof_damping",
    "friction": "geom_friction",
}


class Walker(Body):
    """A planar walker that has to find out how its body and its floor behave.

    With ``v`` the speed of the torso and ``a`` the action, clipped to [-1, 1], the
    reward is ``v - 0.001 |a|^2 + 1``; an episode ends where the torso is not between
    0.8 and 2 m high or leans by more than 1 rad. The observation is Gymnasium's:
    positions but for how far it has walked, and velocities clipped to [-10, 10],
    ``[17]``. As in the code that made these tasks, the solver's own estimates of the
    masses it holds (MuJoCo's ``invweight0``) stay those of the model's file.

    Args:
        frame_skip: physics steps of 0.002 s per action.
        iterations: of the contact solver.
        line_searches: of the contact solver.

    Source: Rothfuss, Lee, Clavera, Asfour and Abbeel, "ProMP: Proximal Meta-Policy
    Search", 2019, and their ``rand_param_envs``.

    Raises:
        MissingExtraError: if MuJoCo is not installed.
        ValueError: if a number is below one.
    """

    def __init__(
        self, *, frame_skip: int = 4, iterations: int = 4, line_searches: int = 8
    ):
        super().__init__(
            Physics(
                "walker2d",
                frame_skip=frame_skip,
                iterations=iterations,
                line_searches=line_searches,
            )
        )
        model = self.physics.reference
        parents = model.body_parentid
        below = np.eye(model.nbody, dtype=np.float32)  # [i, j]: j hangs on i
        for child in range(model.nbody - 1, 0, -1):
            below[parents[child]] += below[child]
        self._below = below

    @property
    def default_params(self) -> WalkerParams:
        """The model of the file; tasks replace its numbers."""
        ones = {
            name: np.ones(self.physics.field(field).shape, np.float32)
            for name, field in _FIELDS.items()
        }
        return WalkerParams(**ones)  # type: ignore

    def fields(self, params: WalkerParams) -> dict[str, jax.Array]:
        """The model's numbers times the task's factors."""
        fields = {
            field: self.physics.field(field) * getattr(params, name)
            for name, field in _FIELDS.items()
        }
        fields["body_subtreemass"] = jnp.asarray(self._below) @ fields["body_mass"]
        return fields

    def judge(self, before, after, action, params):
        """Speed and survival, less the control cost."""
        moved = after.position[0] - before.position[0]
        speed = moved / self.physics.seconds_per_step
        cost = params.control_cost * jnp.sum(action**2)
        height, angle = after.position[1], after.position[2]
        upright = (height > 0.8) & (height < 2.0) & (jnp.abs(angle) < 1.0)
        return speed - cost + params.survival, ~upright

    def start(self, key):
        """Offsets uniform on [-0.005, 0.005], of positions and velocities."""
        model = self.physics.reference
        shape = (model.nq + model.nv,)
        drawn = jax.random.uniform(key, shape, minval=-0.005, maxval=0.005)
        return drawn[: model.nq], drawn[model.nq :]

    def get_obs(self, state: BodyState, params=None, key=None) -> jax.Array:
        """Positions but the first, and clipped velocities, ``[17]``."""
        del params, key
        motion = state.motion
        velocity = jnp.clip(motion.velocity, -10.0, 10.0)
        return jnp.concatenate([motion.position[1:], velocity])
