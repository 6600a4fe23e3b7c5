"""Dark Key-to-Door: find a key, then the door it opens, and see neither."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment

from jaxmeta.environments.grids import Grid, GridState


@struct.dataclass
class KeyToDoorState(GridState):
    """A cell, whether the key ``[]`` bool was found, and the steps since the reset."""

    has_key: jax.Array


@struct.dataclass
class KeyToDoorParams(environment.EnvParams):
    """The task and the time limit.

    Attributes:
        key_cell: ``[2]`` int32 (x and y), where the key lies.
        door_cell: ``[2]`` int32; it may be the key's cell, then entered twice.
        max_steps_in_episode: time limit.
    """

    key_cell: jax.Array = struct.field(default_factory=lambda: np.zeros(2, np.int32))
    door_cell: jax.Array = struct.field(default_factory=lambda: np.zeros(2, np.int32))
    max_steps_in_episode: int = 50


class DarkKeyToDoor(Grid):
    """A walk that pays 1 for the hidden key, and 1 at the hidden door after that.

    The first step that ends on the key pays 1; the first step after it that ends on
    the door pays 1 and ends the episode; all others pay nothing. Actions are stay, up,
    right, down and left; the observation is the position alone, scaled to [-1, 1]:
    whether the key was found shows in the rewards only, so an agent has to remember.

    Args:
        size: cells per side.
        random_start: every episode starts in a cell drawn anew, uniformly; or else in
            the middle, ``(size // 2, size // 2)``.

    Source: Laskin et al., "In-context Reinforcement Learning with Algorithm
    Distillation", 2022. Public implementations differ in whether the door ends an
    episode, and in the start.
    """

    def __init__(self, size: int = 9, *, random_start: bool = True):
        super().__init__(size)
        self._random_start = bool(random_start)

    @property
    def default_params(self) -> KeyToDoorParams:
        """The key in one corner, the door in the opposite one; tasks replace both."""
        return KeyToDoorParams(
            door_cell=np.full(2, self._size - 1, np.int32)  # type: ignore
        )

    def step_env(self, key, state, action, params):
        """Move; take the key, or open the door with it."""
        del key
        cell = self.move(state.cell, action)
        takes = ~state.has_key & jnp.all(cell == params.key_cell)
        opens = state.has_key & jnp.all(cell == params.door_cell)
        reward = (takes | opens).astype(jnp.float32)
        has_key = state.has_key | takes
        state = KeyToDoorState(cell=cell, has_key=has_key, time=state.time + 1)
        return self.get_obs(state), state, reward, opens, {}

    def reset_env(self, key, params):
        """Start without the key."""
        del params
        cell = jnp.full(2, self._size // 2, jnp.int32)
        if self._random_start:
            cell = jax.random.randint(key, (2,), 0, self._size, jnp.int32)
        state = KeyToDoorState(cell=cell, has_key=jnp.zeros((), bool), time=0)
        return self.get_obs(state), state
