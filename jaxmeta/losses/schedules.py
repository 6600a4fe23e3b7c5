"""Losses one of whose numbers changes as training goes on."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxmeta.losses.advantage_loss import AdvantageLoss, Loss
from jaxmeta.types import Info, Params, Transition


class ScheduledLoss(NamedTuple):
    """A loss that depends on how often the meta-params were updated.

    It has no value of its own: methods that know no number of updates refuse it.

    Attributes:
        make: ``(value) -> loss``.
        schedule: ``(update) -> value``.
    """

    make: Callable[[Any], Loss]
    schedule: optax.Schedule

    def at(self, update: jax.Array | int) -> Loss:
        """The loss of the update of that number, from zero."""
        return self.make(self.schedule(update))

    def __call__(self, params: Params, batch: Transition) -> tuple[jax.Array, Info]:
        """Refuse.

        Raises:
            TypeError: always; ``at`` gives the loss of an update.
        """
        del params, batch
        raise TypeError(
            "loss: it is scheduled, and this method does not count its updates; rl2, "
            "multitask, varibad and outer.on_trials do"
        )


def scheduled(make: Callable[[Any], Loss], schedule: optax.Schedule) -> ScheduledLoss:
    """A loss with a number that changes from update to update.

    For instance the weight of an entropy bonus that falls to zero, so that the policy
    explores at first and is sure in the end::

        losses.scheduled(
            lambda coefficient: losses.clipped_surrogate(
                policy, advantage, entropy_coefficient=coefficient
            ),
            optax.linear_schedule(0.05, 0.0, num_updates),
        )

    It is a loss for ``rl2``, ``multitask`` and ``varibad``, and for
    ``outer.on_trials``; all steps of an update share one value.

    Args:
        make: ``(value) -> loss``; the value is traced, so it cannot choose between
            Python branches.
        schedule: ``(update) -> value``, an optax schedule; updates of the meta-params
            count from zero.

    Raises:
        TypeError: if either is no function.
    """
    for name, function in {"make": make, "schedule": schedule}.items():
        if not callable(function):
            raise TypeError(f"{name} must be a function, got {function!r}")
    return ScheduledLoss(make, schedule)


def check_not_scheduled(**given: object) -> None:
    """Check that no loss is scheduled, for methods that do not count their updates.

    Raises:
        TypeError: if one is, naming it.
    """
    for name, loss in given.items():
        if isinstance(loss, ScheduledLoss):
            raise TypeError(
                f"{name}: it is scheduled, and this method does not count its updates; "
                "rl2, multitask, varibad and outer.on_trials do"
            )


def at_update(loss: Loss, update: jax.Array | int) -> Loss:
    """The loss itself, or what a scheduled one is at an update."""
    return loss.at(update) if isinstance(loss, ScheduledLoss) else loss


def advantage_loss_of(loss: Loss) -> AdvantageLoss | None:
    """A loss with advantages, if ``loss`` is one, scheduled or not."""
    first = at_update(loss, jnp.zeros((), jnp.int32))
    return first if isinstance(first, AdvantageLoss) else None
