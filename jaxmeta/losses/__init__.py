"""Losses on a batch: ``loss(params, batch) -> (scalar to minimise, info)``."""

from jaxmeta.losses.advantage_loss import (
    AdvantageLoss,
    Loss,
    check_length,
    check_same_policy,
    evaluate,
)
from jaxmeta.losses.dice import dice, loaded_dice
from jaxmeta.losses.drifts import (
    Drift,
    LearnedDrift,
    clipping_drift,
    discovered_drift,
    learned_drift,
    mirror_learning,
)
from jaxmeta.losses.elbo import elbo
from jaxmeta.losses.schedules import (
    ScheduledLoss,
    advantage_loss_of,
    at_update,
    check_not_scheduled,
    scheduled,
)
from jaxmeta.losses.supervised import (
    default_supervised,
    negative_log_likelihood,
    squared_error,
)
from jaxmeta.losses.surrogates import (
    clipped_surrogate,
    likelihood_ratio,
    policy_gradient,
)
from jaxmeta.losses.v_trace import v_trace

__all__ = [
    "AdvantageLoss",
    "Drift",
    "LearnedDrift",
    "Loss",
    "ScheduledLoss",
    "advantage_loss_of",
    "at_update",
    "check_length",
    "check_not_scheduled",
    "check_same_policy",
    "clipped_surrogate",
    "clipping_drift",
    "default_supervised",
    "dice",
    "discovered_drift",
    "elbo",
    "evaluate",
    "learned_drift",
    "likelihood_ratio",
    "loaded_dice",
    "mirror_learning",
    "negative_log_likelihood",
    "policy_gradient",
    "scheduled",
    "squared_error",
    "v_trace",
]
