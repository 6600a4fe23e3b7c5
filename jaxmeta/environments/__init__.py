"""Ordinary gymnax environments whose task lives in their EnvParams."""

from jaxmeta.environments.navigation import (
    Navigation2D,
    SparseNavigation2D,
    plot_trajectories,
)
from jaxmeta.environments.probes import DelayedProbe, MatchProbe, TargetProbe
from jaxmeta.environments.tabular import BernoulliBandit, TabularMDP

__all__ = [
    "BernoulliBandit",
    "DelayedProbe",
    "MatchProbe",
    "Navigation2D",
    "SparseNavigation2D",
    "TabularMDP",
    "TargetProbe",
    "plot_trajectories",
]
