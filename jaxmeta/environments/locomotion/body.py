"""What the locomotion tasks share: a body, its motors, and the start of an episode."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments import environment, spaces

from jaxmeta.environments.locomotion.physics import Motion, Physics


@struct.dataclass
class BodyState(environment.EnvState):
    """The motion of the body, and the steps since the reset."""

    motion: Motion


class Body(environment.Environment):
    """A simulated body whose motors take actions in [-1, 1]; others are clipped.

    A subclass says what it observes, what it pays for, and how an episode starts.

    Attributes:
        physics: what simulates it.
    """

    physics: Physics

    def __init__(self, physics: Physics):
        super().__init__()
        self.physics = physics

    def judge(
        self, before: Motion, after: Motion, action: jax.Array, params: Any
    ) -> tuple[jax.Array, jax.Array]:
        """The reward ``[]`` of a step, and whether it ends the episode ``[]``."""
        raise NotImplementedError

    def start(self, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Offsets of position ``[nq]`` and velocity ``[nv]`` an episode starts with.

        Those of Gymnasium's half-cheetah and ant: uniform on [-0.1, 0.1], and normal of
        standard deviation 0.1.
        """
        key_position, key_velocity = jax.random.split(key)
        model = self.physics.reference
        return (
            jax.random.uniform(key_position, (model.nq,), minval=-0.1, maxval=0.1),
            0.1 * jax.random.normal(key_velocity, (model.nv,)),
        )

    def fields(self, params: Any) -> Mapping[str, jax.Array] | None:
        """Fields of the model that are the task's; none by default."""
        del params

    def step_env(self, key, state, action, params):
        """Move for one step, under constant torques of the motors."""
        del key
        action = jnp.clip(action, -1.0, 1.0)
        motion = self.physics.step(state.motion, action, self.fields(params))
        reward, terminated = self.judge(state.motion, motion, action, params)
        state = BodyState(motion=motion, time=state.time + 1)
        return self.get_obs(state), state, reward, terminated, {}

    def reset_env(self, key, params):
        """Start near the pose of the model's file."""
        del params
        offset, velocity = self.start(key)
        position = jnp.asarray(self.physics.field("qpos0")) + offset
        state = BodyState(motion=self.physics.start(position, velocity), time=0)
        return self.get_obs(state), state

    @property
    def num_actions(self) -> int:
        """The number of motors."""
        return self.physics.reference.nu

    def action_space(self, params: Any = None) -> spaces.Box:
        """The torques, in units of what the motors can do."""
        del params
        return spaces.Box(-1.0, 1.0, (self.num_actions,), jnp.float32)

    def observation_space(self, params: Any) -> spaces.Box:
        """Positions and velocities."""
        shape = jax.eval_shape(self.reset_env, jax.random.key(0), params)[0].shape
        return spaces.Box(-jnp.inf, jnp.inf, shape, jnp.float32)
