"""Outer learners: how the experience of a batch of tasks changes the meta-params."""

from jaxmeta.outer.gradient import Objective, gradient
from jaxmeta.outer.trust_region import AdaptedDistribution, trust_region

__all__ = ["AdaptedDistribution", "Objective", "gradient", "trust_region"]
