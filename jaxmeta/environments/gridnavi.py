"""GridNavi: a grid with a hidden goal, and a cost for every step beside it."""

import itertools

import jax.numpy as jnp
import numpy as np

from jaxmeta.environments.grids import GoalParams, Grid, GridState


class GridNavi(Grid):
    """A walk from the corner (0, 0) that pays 1 on the goal and -0.1 elsewhere.

    The reward is that of the cell after the move. Nothing ends an episode but its time
    limit, so an agent that knows the goal walks there and stays. Actions are stay, up,
    right, down and left; the observation is the position, scaled to [-1, 1] (the
    original shows the cell's indices).

    Args:
        size: cells per side; three at least, or there is no goal outside the 2 x 2
            cells of the start.

    Source: Zintgraf, Shiarlis, Igl, Schulze, Gal, Hofmann and Whiteson, "VariBAD: A
    Very Good Method for Bayes-Adaptive Deep RL via Meta-Learning", 2020.
    """

    def __init__(self, size: int = 5):
        super().__init__(size, minimum=3)

    @property
    def goals(self) -> np.ndarray:
        """The cells ``[N, 2]`` int32 that can be goals: outside the start's 2 x 2."""
        cells = itertools.product(range(self._size), repeat=2)
        return np.array([c for c in cells if max(c) >= 2], np.int32)

    @property
    def default_params(self) -> GoalParams:
        """The goal in the far corner, and 15 steps; tasks replace the goal."""
        goal = np.full(2, self._size - 1, np.int32)
        return GoalParams(goal=goal, max_steps_in_episode=15)  # type: ignore

    def step_env(self, key, state, action, params):
        """Move, and pay for the cell reached."""
        del key
        cell = self.move(state.cell, action)
        is_goal = jnp.all(cell == params.goal)
        reward = jnp.where(is_goal, 1.0, -0.1).astype(jnp.float32)
        state = GridState(cell=cell, time=state.time + 1)
        return self.get_obs(state), state, reward, jnp.zeros((), bool), {}
