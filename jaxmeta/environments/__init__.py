"""Ordinary gymnax environments whose task lives in their EnvParams."""

from jaxmeta.environments.navigation import Navigation2D, plot_trajectories
from jaxmeta.environments.probes import DelayedProbe, MatchProbe, TargetProbe

__all__ = [
    "DelayedProbe",
    "MatchProbe",
    "Navigation2D",
    "TargetProbe",
    "plot_trajectories",
]
