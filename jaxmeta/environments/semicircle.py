"""A point robot and a goal on a half circle (PEARL's sparse-reward task)."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment, spaces


@struct.dataclass
class SemicircleState(environment.EnvState):
    """Position ``[2]`` of the agent, and the steps since the reset."""

    position: jax.Array


@struct.dataclass
class SemicircleParams(environment.EnvParams):
    """The task and the rules.

    Attributes:
        goal: ``[2]`` the point to reach.
        radius: the sparse reward is paid up to this distance from the goal.
        max_move: the move per step and coordinate of an action of one.
        max_steps_in_episode: time limit.
    """

    goal: jax.Array = struct.field(
        default_factory=lambda: np.array([0.0, 1.0], np.float32)
    )
    radius: float = 0.2
    max_move: float = 0.1
    max_steps_in_episode: int = 20


class Semicircle(environment.Environment[SemicircleState, SemicircleParams]):
    """A point in the plane starts at (0, 0); its goal is on the half circle.

    ``position += max_move * clip(action, -1, 1)``. With ``d`` the distance to the goal
    after the move, the dense reward is ``-d``; the sparse one is ``1 - d`` where ``d <=
    radius``, else 0. Nothing ends an episode but its time limit. The observation is
    the position alone.

    Args:
        sparse: pay near the goal only.

    Source: Rakelly, Zhou, Quillen, Finn and Levine, "Efficient Off-Policy Meta-
    Reinforcement Learning via Probabilistic Context Variables", 2019. Dorfman, Shenfeld
    and Tamar, "Offline Meta Learning of Exploration", 2021, use the same goals, but
    pay a constant 1 within the radius.
    """

    def __init__(self, *, sparse: bool = False):
        super().__init__()
        self._sparse = bool(sparse)

    @property
    def default_params(self) -> SemicircleParams:
        """The goal straight up; tasks replace it."""
        return SemicircleParams()

    def step_env(self, key, state, action, params):
        """Move, and pay for the distance to the goal."""
        del key
        move = params.max_move * jnp.clip(action, -1.0, 1.0)
        position = state.position + move
        distance = jnp.sqrt(jnp.sum((position - params.goal) ** 2))
        reward = -distance
        if self._sparse:
            reward = jnp.where(distance <= params.radius, 1.0 - distance, 0.0)
        state = SemicircleState(position=position, time=state.time + 1)
        return position, state, reward, jnp.zeros((), bool), {}

    def reset_env(self, key, params):
        """Start at the origin."""
        del key, params
        position = jnp.zeros(2)
        return position, SemicircleState(position=position, time=0)

    def get_obs(self, state: SemicircleState, params=None, key=None) -> jax.Array:
        """The position ``[2]``."""
        del params, key
        return state.position

    @property
    def num_actions(self) -> int:
        """Dimensions of the action."""
        return 2

    def action_space(self, params: SemicircleParams | None = None) -> spaces.Box:
        """Moves in units of ``max_move``, ``[2]``; what is beyond is clipped."""
        del params
        return spaces.Box(-1.0, 1.0, (2,), jnp.float32)

    def observation_space(self, params: Any) -> spaces.Box:
        """The plane."""
        del params
        return spaces.Box(-jnp.inf, jnp.inf, (2,), jnp.float32)
