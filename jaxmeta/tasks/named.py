"""The task distributions of the field's benchmarks, by name."""

from jaxmeta.environments import Navigation2D
from jaxmeta.tasks.adapter import from_gymnax
from jaxmeta.tasks.samplers import uniform
from jaxmeta.types import TaskDistribution


def navigation2d(*, action_scale: float = 0.1, horizon: int = 100) -> TaskDistribution:
    """2D navigation with goals uniform on ``[-0.5, 0.5]^2`` (Finn et al., 2017).

    Args:
        action_scale: the action is multiplied by this, then clipped to 0.1 per
            coordinate; 0.1 is the scaling the published numbers were made with.
        horizon: steps in an episode.

    Raises:
        ValueError: if ``action_scale`` is not positive.
    """
    if not action_scale > 0:
        raise ValueError(f"action_scale must be positive, got {action_scale}")
    params = {"goal": uniform(-0.5, 0.5, (2,)), "action_scale": action_scale}
    return from_gymnax(Navigation2D(), params=params, horizon=horizon)
