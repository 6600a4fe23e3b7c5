"""Methods: each a short composition of the layers below."""

from jaxmeta.algorithms.maml import maml

__all__ = ["maml"]
