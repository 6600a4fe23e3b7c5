"""Policies as pure functions: built-in networks, and adapters for your own."""

from jaxmeta.policies.activity import dormancy, layer_proportions
from jaxmeta.policies.adapters import (
    check_policy,
    first_timestep,
    from_linen,
    from_nnx,
)
from jaxmeta.policies.attention import attention, snail
from jaxmeta.policies.belief import belief
from jaxmeta.policies.conditioning import ContextParams, with_context
from jaxmeta.policies.critics import (
    CriticParams,
    check_memoryless,
    scale_values,
    with_critic,
)
from jaxmeta.policies.linear_belief import linear_belief
from jaxmeta.policies.linear_recurrence import lru
from jaxmeta.policies.masks import MaskedDiscrete, masked
from jaxmeta.policies.memory import Core, gru, lstm, truncated
from jaxmeta.policies.networks import MLP, Perceptron, is_head, mlp
from jaxmeta.policies.predictive import Predictive, PredictiveParams, predictive
from jaxmeta.policies.recurrent import reading, recurrent
from jaxmeta.policies.squashed import squashed

__all__ = [
    "MLP",
    "ContextParams",
    "Core",
    "CriticParams",
    "MaskedDiscrete",
    "Perceptron",
    "Predictive",
    "PredictiveParams",
    "attention",
    "belief",
    "check_memoryless",
    "check_policy",
    "dormancy",
    "first_timestep",
    "from_linen",
    "from_nnx",
    "gru",
    "is_head",
    "layer_proportions",
    "linear_belief",
    "lru",
    "lstm",
    "masked",
    "mlp",
    "predictive",
    "reading",
    "recurrent",
    "scale_values",
    "snail",
    "squashed",
    "truncated",
    "with_context",
    "with_critic",
]
