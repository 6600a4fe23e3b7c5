"""What the gradient-based methods share: the choice of estimator and losses."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import optax

from jaxmeta import advantages, checks, estimators, losses
from jaxmeta.advantages import Advantage
from jaxmeta.estimators import Estimator
from jaxmeta.losses import Loss
from jaxmeta.sampling import SamplingTerm
from jaxmeta.types import Policy, TaskDistribution

DEFAULT_ESTIMATOR = "lvc"


class Choice(NamedTuple):
    """What a method is made of.

    Attributes:
        inner_loss: what an inner update descends.
        outer_loss: what adapted params should make small.
        first_order: whether inner gradients are taken as constants.
        sampling_term: a term for how the data depends on the meta-params, or None.
    """

    inner_loss: Loss
    outer_loss: Loss
    first_order: bool
    sampling_term: SamplingTerm | None


def choose(
    tasks: TaskDistribution,
    policy: Policy,
    *,
    num_updates: int,
    length: int | None,
    estimator: str | Estimator | None = None,
    advantage: Advantage | None = None,
    inner_advantage: Advantage | None = None,
    inner_loss: Loss | None = None,
    outer_loss: Loss | None = None,
    default_outer_loss: Callable[..., Loss] = losses.policy_gradient,
    uses_outer_loss: bool = True,
    needs_updates: bool = True,
    num_epochs: int = 1,
) -> Choice:
    """Fill in the losses that are not given, and check that all fit each other.

    Raises:
        TypeError: if ``estimator`` is none, or a loss is scheduled.
        ValueError: if two of the arguments contradict each other, or a loss is that of
            another policy.
    """
    if not uses_outer_loss and advantage is not None and inner_loss is not None:
        raise ValueError("advantage: inner_loss is given, and has its own")
    if inner_advantage is not None and inner_loss is not None:
        raise ValueError("inner_advantage: inner_loss is given, and has its own")
    given = inner_advantage if advantage is None else advantage
    supervised = losses.default_supervised(tasks.environment, policy, given)
    inner_loss, outer_loss = inner_loss or supervised, outer_loss or supervised
    if estimator is None:
        estimator = DEFAULT_ESTIMATOR if inner_loss is None else "plain"
    estimator = estimators.get(estimator)
    if supervised is not None and estimator.name not in ("plain", "first_order"):
        raise ValueError(
            "estimator: no policy draws the examples of a Dataset, so 'plain' and "
            f"'first_order' alone have a meaning, got {estimator.name!r}"
        )
    if estimator.sampling_term is not None and num_epochs > 1:
        raise ValueError(
            f"num_epochs must be 1 for estimator {estimator.name!r}, got {num_epochs}: "
            "its sampling term is that of the policies that acted, not of later ones"
        )
    needs_updates = needs_updates or estimator.sampling_term is not None
    checks.positive_int("num_updates", num_updates, minimum=int(needs_updates))
    inner_has_its_own = inner_loss is not None or inner_advantage is not None
    if advantage is not None and outer_loss is not None and inner_has_its_own:
        raise ValueError("advantage: both losses are given, and have their own")
    advantage = advantages.linear_baseline() if advantage is None else advantage
    inner_advantage = advantage if inner_advantage is None else inner_advantage
    inner_loss = estimators.inner_loss_of(
        estimator, policy, inner_advantage, inner_loss
    )
    # A sampling term is a sum over episodes; the loss it adds to must be one too.
    average = "step" if estimator.sampling_term is None else "episode"
    outer_loss = outer_loss or default_outer_loss(policy, advantage, average=average)
    losses.check_not_scheduled(inner_loss=inner_loss, outer_loss=outer_loss)
    losses.check_same_policy(policy, inner_loss=inner_loss, outer_loss=outer_loss)
    for loss in (inner_loss, outer_loss) if uses_outer_loss else (inner_loss,):
        losses.check_length(loss, length, tasks.environment)
    return Choice(
        inner_loss,
        outer_loss,
        estimator.first_order,
        estimators.sampling_term_of(estimator, inner_loss, outer_loss),
    )


def check_optimizers(**optimizers: Any) -> None:
    """Check that each argument is an optax transform.

    Raises:
        TypeError: if one is none, naming it.
    """
    for name, optimizer in optimizers.items():
        if not isinstance(optimizer, optax.GradientTransformation):
            raise TypeError(
                f"{name} must be an optax transform, such as optax.sgd(0.1), "
                f"got {optimizer!r}"
            )


def check_weights(outer_loss_weights: Sequence[float], num_updates: int) -> None:
    """Check that there is at most one weight for each inner update.

    Raises:
        TypeError: if it is one number.
        ValueError: if there are more, or none, or if they are negative or all zero.
    """
    if isinstance(outer_loss_weights, float | int):
        raise TypeError(
            f"outer_loss_weights must be a sequence, got {outer_loss_weights!r}"
        )
    if not 1 <= len(outer_loss_weights) <= max(num_updates, 1):
        raise ValueError(
            f"outer_loss_weights must be one to num_updates={num_updates} weights, got "
            f"{outer_loss_weights}"
        )
    if min(outer_loss_weights) < 0 or not sum(outer_loss_weights) > 0:
        raise ValueError(
            "outer_loss_weights must not be negative, nor all zero, got "
            f"{outer_loss_weights}"
        )
