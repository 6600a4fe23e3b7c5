"""Policies as pure functions: built-in networks, and adapters for your own."""

from jaxmeta.policies.adapters import (
    check_policy,
    first_timestep,
    from_linen,
    from_nnx,
)
from jaxmeta.policies.conditioning import ContextParams, with_context
from jaxmeta.policies.networks import MLP, is_head, mlp

__all__ = [
    "MLP",
    "ContextParams",
    "check_policy",
    "first_timestep",
    "from_linen",
    "from_nnx",
    "is_head",
    "mlp",
    "with_context",
]
