"""Distributions over tasks.

:func:`from_gymnax` makes one of any gymnax environment, its parameters drawn by
samplers (a plain value is the same for all tasks); :func:`from_xland` makes one of the
rulesets of XLand-MiniGrid; :func:`supervised` and :func:`from_arrays` make tasks of
labelled examples; :func:`from_ratings` makes one of each user of logged ratings,
:func:`from_choices` of logged occasions to choose; :func:`finite` splits a finite set
of tasks into training and test tasks; :func:`mixture` puts tasks of several
environments behind one interface; the others are the field's benchmarks by name.
"""

from jaxmeta.tasks.adapter import Task, from_gymnax
from jaxmeta.tasks.choices import from_choices
from jaxmeta.tasks.datasets import Score, from_arrays, supervised
from jaxmeta.tasks.exploration import (
    dark_key_to_door,
    dark_room,
    gridnavi,
    semicircle,
)
from jaxmeta.tasks.grid_worlds import grid_world, random_grids
from jaxmeta.tasks.locomotion import (
    ant_direction,
    ant_goal,
    half_cheetah_direction,
    half_cheetah_velocity,
    walker_params,
)
from jaxmeta.tasks.mixtures import MixtureTask, mixture
from jaxmeta.tasks.named import (
    Sinusoid,
    bernoulli_bandit,
    corners,
    gaussian_bandit,
    navigation2d,
    sinusoids,
    tabular_mdp,
)
from jaxmeta.tasks.ratings import enough_ratings, from_ratings
from jaxmeta.tasks.samplers import Sampler, choice, log_uniform, normal, uniform
from jaxmeta.tasks.splits import finite
from jaxmeta.tasks.told import told
from jaxmeta.tasks.xland import XLandTask, from_xland

__all__ = [
    "MixtureTask",
    "Sampler",
    "Score",
    "Sinusoid",
    "Task",
    "XLandTask",
    "ant_direction",
    "ant_goal",
    "bernoulli_bandit",
    "choice",
    "corners",
    "dark_key_to_door",
    "dark_room",
    "enough_ratings",
    "finite",
    "from_arrays",
    "from_choices",
    "from_gymnax",
    "from_ratings",
    "from_xland",
    "gaussian_bandit",
    "grid_world",
    "gridnavi",
    "half_cheetah_direction",
    "half_cheetah_velocity",
    "log_uniform",
    "mixture",
    "navigation2d",
    "normal",
    "random_grids",
    "semicircle",
    "sinusoids",
    "supervised",
    "tabular_mdp",
    "told",
    "uniform",
    "walker_params",
]
