"""Ordinary gymnax environments whose task lives in their EnvParams."""

from jaxmeta.environments.bandits import BernoulliBandit, GaussianBandit
from jaxmeta.environments.corners import Corners
from jaxmeta.environments.dark_key_to_door import DarkKeyToDoor
from jaxmeta.environments.dark_room import DarkRoom
from jaxmeta.environments.gridnavi import GridNavi
from jaxmeta.environments.navigation import Navigation2D, plot_trajectories
from jaxmeta.environments.object_grid import ObjectGrid
from jaxmeta.environments.occasions import Occasions
from jaxmeta.environments.probes import DelayedProbe, MatchProbe, TargetProbe
from jaxmeta.environments.semicircle import Semicircle
from jaxmeta.environments.slates import Slates, SlateState
from jaxmeta.environments.tabular import TabularMDP

__all__ = [
    "BernoulliBandit",
    "Corners",
    "DarkKeyToDoor",
    "DarkRoom",
    "DelayedProbe",
    "GaussianBandit",
    "GridNavi",
    "MatchProbe",
    "Navigation2D",
    "ObjectGrid",
    "Occasions",
    "Semicircle",
    "SlateState",
    "Slates",
    "TabularMDP",
    "TargetProbe",
    "plot_trajectories",
]
