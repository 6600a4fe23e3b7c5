"""Outer learners: how the experience of a batch of tasks changes the meta-params."""

from jaxmeta.outer.batch import on_trials
from jaxmeta.outer.evolution import evolution
from jaxmeta.outer.gradient import Objective, gradient
from jaxmeta.outer.reptile import reptile
from jaxmeta.outer.trust_region import AdaptedDistributions, trust_region

__all__ = [
    "AdaptedDistributions",
    "Objective",
    "evolution",
    "gradient",
    "on_trials",
    "reptile",
    "trust_region",
]
