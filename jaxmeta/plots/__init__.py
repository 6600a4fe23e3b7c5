"""Pictures of meta-reinforcement learning, each with the numbers that it shows.

A function here takes arrays and returns a :class:`Picture`: a matplotlib figure, and
``data``, all that is drawn, as plain lists for JSON. Nothing is shown or written until
you ask: a notebook shows the last value of a cell, :func:`save` writes files. Colours
are those of Okabe and Ito, which colour-blind readers can tell apart; styles of lines
and markers say the same in grey.
"""

from jaxmeta.plots.curves import (
    adaptation_curves,
    learning_curves,
    regret,
    traces,
)
from jaxmeta.plots.parts import Picture, save
from jaxmeta.plots.paths import grid_trajectories, trajectories
from jaxmeta.plots.runs import Run, picture

__all__ = [
    "Picture",
    "Run",
    "adaptation_curves",
    "grid_trajectories",
    "learning_curves",
    "picture",
    "regret",
    "save",
    "traces",
    "trajectories",
]
