"""Decoders: what a latent of the task says about rewards and observations."""

from jaxmeta.decoders.decoder import Decoder, Index, both, observation, reward
from jaxmeta.decoders.fit import check_fit, is_allowed

__all__ = [
    "Decoder",
    "Index",
    "both",
    "check_fit",
    "is_allowed",
    "observation",
    "reward",
]
