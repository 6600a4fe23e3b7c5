"""DarkRoom: a grid whose one paying cell has to be found."""

import jax.numpy as jnp
import numpy as np

from jaxmeta.environments.grids import GoalParams, Grid, GridState


class DarkRoom(Grid):
    """A walk from the corner (0, 0) that pays 1 for every step that ends on the goal.

    Other steps pay nothing. Any cell can be the goal, the start too: staying there
    pays. Nothing ends an episode but its time limit. Actions are stay, up, right, down
    and left; the observation is the position, scaled to [-1, 1].

    Args:
        size: cells per side.

    Source: Laskin et al., "In-context Reinforcement Learning with Algorithm
    Distillation", 2022, in a room of 9 x 9 from its centre for 20 steps; with the size,
    start and horizon here: Lee et al., "Supervised Pretraining Can Learn In-Context
    Reinforcement Learning", 2023.
    """

    def __init__(self, size: int = 10):
        super().__init__(size)

    @property
    def default_params(self) -> GoalParams:
        """The goal in the far corner, and 100 steps; tasks replace the goal."""
        goal = np.full(2, self._size - 1, np.int32)
        return GoalParams(goal=goal, max_steps_in_episode=100)  # type: ignore

    def step_env(self, key, state, action, params):
        """Move, and pay if this is the goal."""
        del key
        cell = self.move(state.cell, action)
        reward = jnp.all(cell == params.goal).astype(jnp.float32)
        state = GridState(cell=cell, time=state.time + 1)
        return self.get_obs(state), state, reward, jnp.zeros((), bool), {}
