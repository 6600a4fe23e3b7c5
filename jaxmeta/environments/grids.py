"""What environments on a square grid share: cells, moves and what is observed."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment, spaces

from jaxmeta import checks

# Stay, up, right, down, left: GridNavi's order, as changes of (x, y).
_MOVES = np.array([[0, 0], [0, 1], [1, 0], [0, -1], [-1, 0]], np.int32)


@struct.dataclass
class GridState(environment.EnvState):
    """The cell ``[2]`` int32 (x and y), and the steps since the reset."""

    cell: jax.Array


@struct.dataclass
class GoalParams(environment.EnvParams):
    """The task ``goal``, a cell ``[2]`` int32 (x and y), and the time limit."""

    goal: jax.Array = struct.field(default_factory=lambda: np.zeros(2, np.int32))
    max_steps_in_episode: int = 100


class Grid(environment.Environment):
    """A walk on a square grid of which the agent sees its own position only.

    Five actions: stay, up (y grows), right (x grows), down, left; walls hold. The
    observation is the cell, scaled so that the first row and column are at -1 and the
    last at 1.

    Args:
        size: cells per side.
        minimum: the smallest size allowed.
    """

    def __init__(self, size: int, *, minimum: int = 2):
        super().__init__()
        self._size = checks.positive_int("size", size, minimum=minimum)

    def move(self, cell: jax.Array, action: Any) -> jax.Array:
        """The cell ``[2]`` int32 after an action."""
        return jnp.clip(cell + jnp.asarray(_MOVES)[action], 0, self._size - 1)

    def reset_env(self, key, params):
        """Start in the corner (0, 0)."""
        del key, params
        state = GridState(cell=jnp.zeros(2, jnp.int32), time=0)
        return self.get_obs(state), state

    def get_obs(self, state: GridState, params=None, key=None) -> jax.Array:
        """The position ``[2]``, in [-1, 1]."""
        del params, key
        return (2.0 * state.cell / (self._size - 1) - 1.0).astype(jnp.float32)

    @property
    def num_actions(self) -> int:
        """The number of moves, staying included."""
        return len(_MOVES)

    def action_space(self, params: Any = None) -> spaces.Discrete:
        """A move."""
        del params
        return spaces.Discrete(len(_MOVES))

    def observation_space(self, params: Any) -> spaces.Box:
        """A position."""
        del params
        return spaces.Box(-1.0, 1.0, (2,), jnp.float32)
