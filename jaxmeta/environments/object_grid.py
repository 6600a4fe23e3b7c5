"""Grids with objects to collect, on which learned RL algorithms are meta-trained."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment, spaces

from jaxmeta import checks

# Stay, up, right, down, left, then the diagonals, as changes of (row, column).
_MOVES = np.array(
    [[0, 0], [-1, 0], [0, 1], [1, 0], [0, -1], [-1, 1], [1, 1], [1, -1], [-1, -1]],
    np.int32,
)
_NUMBERS_OF_ACTIONS = (5, 9, 18)


@struct.dataclass
class ObjectGridState(environment.EnvState):
    """Where the agent and the objects are.

    Attributes:
        cell: ``[]`` int32, the agent's cell, numbered row by row.
        present: ``[N]`` bool, which objects can be collected.
    """

    cell: jax.Array
    present: jax.Array


@struct.dataclass
class ObjectGridParams(environment.EnvParams):
    """The task, and the time limit.

    Attributes:
        walls: ``[height, width]`` bool, the cells that cannot be entered. A smaller
            level has walls where a larger one goes on.
        starts: ``[height, width]`` bool, the cells one of which an episode starts in,
            all with equal probability. One at least, and none a wall.
        object_cells: ``[N]`` int32, the cell of each object, numbered row by row; -1
            for an object that the level does not have.
        rewards: ``[N]`` for collecting an object.
        termination: ``[N]`` probability that collecting it ends the episode.
        respawn: ``[N]`` probability per step that it is back after it was collected.
        max_steps_in_episode: steps in an episode.
    """

    walls: jax.Array = struct.field(default_factory=lambda: np.zeros((0, 0), bool))
    starts: jax.Array = struct.field(default_factory=lambda: np.zeros((0, 0), bool))
    object_cells: jax.Array = struct.field(default_factory=lambda: np.zeros(0, int))
    rewards: jax.Array = struct.field(default_factory=lambda: np.zeros(0))
    termination: jax.Array = struct.field(default_factory=lambda: np.zeros(0))
    respawn: jax.Array = struct.field(default_factory=lambda: np.zeros(0))
    max_steps_in_episode: int = 50


def reach(
    walls: jax.Array, cell: jax.Array, action: Any, num_actions: int
) -> tuple[jax.Array, jax.Array]:
    """Where an action leads, and what it reaches for.

    Args:
        walls: ``[height, width]`` bool.
        cell: ``[]`` int32.
        action: ``[]`` int32.
        num_actions: 5, 9 or 18, see :class:`ObjectGrid`.

    Returns:
        The next cell ``[]`` int32, and the cell ``[]`` int32 whose objects are
        collected; that is ``height * width``, where no object is, if there is none.
    """
    height, width = walls.shape
    target = jnp.stack(jnp.divmod(cell, width)) + jnp.asarray(_MOVES)[action % 9]
    row, column = jnp.clip(target, 0, jnp.array([height - 1, width - 1]))
    inside = (row == target[0]) & (column == target[1])
    is_free = inside & ~jnp.asarray(walls)[row, column]
    reached = jnp.where(is_free, row * width + column, cell)
    if num_actions < 18:
        return reached, reached
    collects = jnp.asarray(action) >= 9
    collected = jnp.where(collects & is_free, reached, height * width)
    return jnp.where(collects, cell, reached), collected


class ObjectGrid(environment.Environment[ObjectGridState, ObjectGridParams]):
    """A walk among objects that pay, end the episode, vanish and come back.

    A step moves the agent, unless a wall or the edge is in the way; a diagonal move
    asks for its last cell alone to be free. An object that is present in the cell
    reached is collected: its reward is paid, the episode ends with its probability of
    termination, and it is gone. In every later step it comes back to its cell with its
    probability of respawn, the soonest in the step after the one it was collected in;
    one that comes back where the agent is can be collected from the next step on. All
    objects are present when an episode starts.

    The observation is the state as a one-hot vector of ``height * width * 2^N``, at
    ``cell + height * width * sum_n 2^n present_n``, so that what is linear in it is a
    table. It does not show the time.

    Args:
        height: rows.
        width: columns.
        num_objects: ``N``, of the level that has the most.
        num_actions: 9 to stay or move to one of the 8 cells around (in the order stay,
            up, right, down, left, up right, down right, down left, up left); 5 for the
            first 5 of those; 18 for 9 moves that collect nothing, and 9 actions that
            collect from the same cells without a move.

    Source: Oh, Hessel, Czarnecki, Xu, van Hasselt, Singh and Silver, "Discovering
    Reinforcement Learning Algorithms", 2020, appendix A.1 (9 or 18 actions); Jackson,
    Jiang, Parker-Holder, Vuorio, Lu, Farquhar, Whiteson and Foerster, "Discovering
    General Reinforcement Learning Algorithms with Adversarial Environment Design",
    2023 (5 actions; their code also shows the time).

    Raises:
        TypeError: if a number is not an integer.
        ValueError: if a number is below one, or ``num_actions`` none of 5, 9 and 18.
    """

    def __init__(
        self,
        height: int = 5,
        width: int = 5,
        num_objects: int = 2,
        *,
        num_actions: int = 9,
    ):
        super().__init__()
        self._height = checks.positive_int("height", height)
        self._width = checks.positive_int("width", width)
        self._num_objects = checks.positive_int("num_objects", num_objects)
        self._num_actions = checks.positive_int("num_actions", num_actions)
        if self._num_actions not in _NUMBERS_OF_ACTIONS:
            raise ValueError(
                f"num_actions must be one of {_NUMBERS_OF_ACTIONS}, got {num_actions}"
            )
        if self._num_objects >= height * width:
            raise ValueError(
                f"num_objects must be below height * width = {height * width}, so that "
                f"an episode can start in a cell without one, got {num_objects}"
            )

    @property
    def default_params(self) -> ObjectGridParams:
        """No walls, and objects in the last cells: the first pays 1, the others -1.

        They neither end the episode nor come back; tasks replace all of this.
        """
        count, shape = self._num_objects, (self._height, self._width)
        cells = self._height * self._width - 1 - np.arange(count, dtype=np.int32)
        starts = np.ones(shape, bool)
        starts.flat[cells] = False
        rewards = np.full(count, -1.0, np.float32)
        rewards[0] = 1.0
        fields: dict[str, Any] = {
            "walls": np.zeros(shape, bool),
            "starts": starts,
            "object_cells": cells,
            "rewards": rewards,
            "termination": np.zeros(count, np.float32),
            "respawn": np.zeros(count, np.float32),
        }
        return ObjectGridParams(**fields)

    def step_env(self, key, state, action, params):
        """Move, collect, and bring back what was gone."""
        key_end, key_back = jax.random.split(key)
        cell, touched = reach(params.walls, state.cell, action, self._num_actions)
        collected = state.present & (params.object_cells == touched)
        reward = jnp.sum(jnp.where(collected, params.rewards, 0.0))
        ends = jnp.any(collected & jax.random.bernoulli(key_end, params.termination))
        is_back = (params.object_cells >= 0) & jax.random.bernoulli(
            key_back, params.respawn
        )
        present = jnp.where(state.present, ~collected, is_back)
        state = ObjectGridState(cell=cell, present=present, time=state.time + 1)
        return self.get_obs(state), state, reward, ends, {}

    def reset_env(self, key, params):
        """Start in one of the starts, with all objects of the level."""
        logits = jnp.where(params.starts.reshape(-1), 0.0, -jnp.inf)
        state = ObjectGridState(
            cell=jax.random.categorical(key, logits).astype(jnp.int32),
            present=jnp.asarray(params.object_cells) >= 0,
            time=0,
        )
        return self.get_obs(state), state

    def get_obs(self, state: ObjectGridState, params=None, key=None) -> jax.Array:
        """The state, one-hot ``[height * width * 2^N]``."""
        del params, key
        bits = jnp.asarray(2 ** np.arange(self._num_objects), jnp.int32)
        objects = jnp.sum(jnp.where(state.present, bits, 0))
        index = state.cell + self._height * self._width * objects
        return jax.nn.one_hot(index, self._num_states)

    @property
    def _num_states(self) -> int:
        return self._height * self._width * 2**self._num_objects

    @property
    def name(self) -> str:
        """Environment name."""
        return "ObjectGrid"

    @property
    def num_actions(self) -> int:
        """The number of actions."""
        return self._num_actions

    def action_space(self, params: ObjectGridParams | None = None) -> spaces.Discrete:
        """A move, or what to collect."""
        del params
        return spaces.Discrete(self._num_actions)

    def observation_space(self, params: ObjectGridParams) -> spaces.Box:
        """A one-hot vector."""
        del params
        return spaces.Box(0.0, 1.0, (self._num_states,), jnp.float32)
