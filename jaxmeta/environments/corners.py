"""A grid whose reward is in one of its corners: look before you know."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments import environment, spaces

from jaxmeta import checks


@struct.dataclass
class CornersState(environment.EnvState):
    """The cell ``[2]`` int32 (row and column), and the steps since the reset."""

    cell: jax.Array


@struct.dataclass
class CornersParams(environment.EnvParams):
    """The task ``corner`` (0 to 3, in reading order), and the time limit."""

    corner: int = 0
    max_steps_in_episode: int = 8


class Corners(environment.Environment[CornersState, CornersParams]):
    """A walk on a square grid from its centre; only one corner pays, one per step.

    Actions move right, down, left and up; walls hold. The observation is the cell as a
    one-hot vector, so an agent knows the corner only if an episode has been there:
    which return adaptation reaches depends on how many corners were looked into.

    Args:
        size: cells per side, an odd number; a corner is ``size - 1`` steps away.
    """

    def __init__(self, size: int = 5):
        super().__init__()
        self._size = checks.positive_int("size", size, minimum=3)
        if size % 2 == 0:
            raise ValueError(f"size must be odd, so that there is a centre, got {size}")

    @property
    def default_params(self) -> CornersParams:
        """The first corner."""
        return CornersParams()

    def step_env(self, key, state, action, params):
        """Move, and pay if this is the corner."""
        del key
        last = self._size - 1
        moves = jnp.array([[0, 1], [1, 0], [0, -1], [-1, 0]], jnp.int32)
        cell = jnp.clip(state.cell + moves[action], 0, last)
        corner = jnp.stack([params.corner // 2, params.corner % 2]) * last
        reward = jnp.all(cell == corner).astype(jnp.float32)
        state = CornersState(cell=cell, time=state.time + 1)
        return self.get_obs(state), state, reward, jnp.zeros((), bool), {}

    def reset_env(self, key, params):
        """Start in the centre."""
        del key, params
        cell = jnp.full(2, self._size // 2, jnp.int32)
        state = CornersState(cell=cell, time=0)
        return self.get_obs(state), state

    def get_obs(self, state: CornersState, params=None, key=None) -> jax.Array:
        """The cell, one-hot ``[size^2]``."""
        del params, key
        index = state.cell[0] * self._size + state.cell[1]
        return jax.nn.one_hot(index, self._size**2)

    @property
    def name(self) -> str:
        """Environment name."""
        return "Corners"

    @property
    def num_actions(self) -> int:
        """The number of moves."""
        return 4

    def action_space(self, params: CornersParams | None = None) -> spaces.Discrete:
        """A move."""
        del params
        return spaces.Discrete(4)

    def observation_space(self, params: Any) -> spaces.Box:
        """A one-hot vector."""
        del params
        return spaces.Box(0.0, 1.0, (self._size**2,), jnp.float32)
