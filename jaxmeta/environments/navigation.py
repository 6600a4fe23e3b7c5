"""2D navigation: reach a goal that is not observed (Finn et al. 2017, section 5.3)."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment, spaces


@struct.dataclass
class EnvState(environment.EnvState):
    """Position ``[..., 2]`` of the agent, and the steps since the reset."""

    position: jax.Array


@struct.dataclass
class EnvParams(environment.EnvParams):
    """The task and the rules.

    Attributes:
        goal: ``[2]`` the point to reach.
        action_scale: the action is multiplied by this before it is clipped.
        max_move: the largest move per step and coordinate.
        tolerance: the episode ends when both coordinates are this close to the goal.
        max_steps_in_episode: time limit.
    """

    goal: jax.Array = struct.field(default_factory=lambda: np.zeros(2, np.float32))
    action_scale: float = 1.0
    max_move: float = 0.1
    tolerance: float = 0.01
    max_steps_in_episode: int = 100


class Navigation2D(environment.Environment[EnvState, EnvParams]):
    """A point in the plane starts at (0, 0) and must find a goal it does not observe.

    ``position += clip(action_scale * action, -max_move, max_move)``; the reward is
    minus the distance to the goal after the move, not squared; the observation is the
    position alone, so only rewards tell one task from another.

    Source: Finn, Abbeel and Levine, "Model-Agnostic Meta-Learning for Fast Adaptation
    of Deep Networks", 2017. Their published numbers belong to ``action_scale=0.1``.
    """

    @property
    def default_params(self) -> EnvParams:
        """A goal at the origin; tasks replace it."""
        return EnvParams()

    def step_env(
        self, key: jax.Array, state: EnvState, action: Any, params: EnvParams
    ) -> tuple[jax.Array, EnvState, jax.Array, jax.Array, dict[Any, Any]]:
        """Move, and pay the distance to the goal."""
        del key
        limit = params.max_move
        move = jnp.clip(params.action_scale * action, -limit, limit)
        position = state.position + move
        offset = position - params.goal
        reward = -jnp.sqrt(jnp.sum(offset**2))
        terminated = jnp.all(jnp.abs(offset) < params.tolerance)
        state = EnvState(position=position, time=state.time + 1)
        return position, state, reward, terminated, {}

    def reset_env(
        self, key: jax.Array, params: EnvParams
    ) -> tuple[jax.Array, EnvState]:
        """Start at the origin."""
        del key, params
        position = jnp.zeros(2)
        return position, EnvState(position=position, time=0)

    def get_obs(self, state: EnvState, params=None, key=None) -> jax.Array:
        """The position ``[2]``."""
        del params, key
        return state.position

    @property
    def name(self) -> str:
        """Environment name."""
        return "Navigation2D"

    @property
    def num_actions(self) -> int:
        """Dimensions of the action."""
        return 2

    def action_space(self, params: EnvParams | None = None) -> spaces.Box:
        """The actions that are not clipped, ``[2]``; any others are, per coordinate."""
        params = self.default_params if params is None else params
        limit = params.max_move / params.action_scale
        return spaces.Box(-limit, limit, (2,), jnp.float32)

    def observation_space(self, params: EnvParams) -> spaces.Box:
        """The plane."""
        del params
        return spaces.Box(-jnp.inf, jnp.inf, (2,), jnp.float32)

    def render(self, state: EnvState, params: EnvParams):
        """Draw one state, or the path of states stacked along a leading time axis.

        Returns:
            ``(figure, axes)`` of matplotlib.
        """
        positions = np.asarray(state.position).reshape(1, -1, 2)
        return plot_trajectories({"path": positions}, np.asarray(params.goal))


def plot_trajectories(trajectories: dict[str, Any], goal: Any):
    """Draw paths in the plane towards a goal.

    Args:
        trajectories: label -> positions ``[N, T, 2]``; labels are drawn in the order
            given, light to dark, as in "before", "after one step", ...
        goal: ``[2]``.

    Returns:
        ``(figure, axes)`` of matplotlib.
    """
    from matplotlib import colormaps  # slow to import, and only pictures need it
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    colors = colormaps["viridis_r"](np.linspace(0.15, 0.9, len(trajectories)))
    for (label, paths), color in zip(trajectories.items(), colors, strict=True):
        for i, path in enumerate(np.asarray(paths)):
            named = label if i == 0 else None
            style = {"color": color, "linewidth": 1, "alpha": 0.7}
            axes.plot(path[:, 0], path[:, 1], label=named, **style)
    axes.plot(0.0, 0.0, "o", color="black", label="start")
    axes.plot(*np.asarray(goal), "*", color="tab:red", markersize=14, label="goal")
    axes.set(xlabel="x", ylabel="y", aspect="equal")
    axes.legend(loc="best", fontsize="small")
    return figure, axes
