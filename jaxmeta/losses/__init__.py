"""Losses on a batch: ``loss(params, batch) -> (scalar to minimise, info)``."""

from jaxmeta.losses.dice import dice, loaded_dice
from jaxmeta.losses.surrogates import (
    AdvantageLoss,
    Loss,
    check_length,
    clipped_surrogate,
    likelihood_ratio,
    policy_gradient,
)

__all__ = [
    "AdvantageLoss",
    "Loss",
    "check_length",
    "clipped_surrogate",
    "dice",
    "likelihood_ratio",
    "loaded_dice",
    "policy_gradient",
]
