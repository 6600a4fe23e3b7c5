"""Outer learners: how the experience of a batch of tasks changes the meta-params."""

from jaxmeta.outer.gradient import Objective, gradient

__all__ = ["Objective", "gradient"]
