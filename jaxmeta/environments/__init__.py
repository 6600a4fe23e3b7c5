"""Ordinary gymnax environments whose task lives in their EnvParams."""

from jaxmeta.environments.corners import Corners
from jaxmeta.environments.navigation import Navigation2D, plot_trajectories
from jaxmeta.environments.probes import DelayedProbe, MatchProbe, TargetProbe
from jaxmeta.environments.tabular import BernoulliBandit, TabularMDP

__all__ = [
    "BernoulliBandit",
    "Corners",
    "DelayedProbe",
    "MatchProbe",
    "Navigation2D",
    "TabularMDP",
    "TargetProbe",
    "plot_trajectories",
]
