"""Outer learners: how the experience of a batch of tasks changes the meta-params."""

from jaxmeta.outer.evolution import evolution
from jaxmeta.outer.gradient import Objective, gradient
from jaxmeta.outer.reptile import reptile

__all__ = ["Objective", "evolution", "gradient", "reptile"]
