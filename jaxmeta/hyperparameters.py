"""Numbers of an algorithm that are meta-learned, each kept in its range."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmeta import checks


class Hyperparameter(NamedTuple):
    """A number, and the real number it is a function of.

    Attributes:
        start: where it starts, as a real number without bounds.
        forward: ``real -> value in the range``, increasing.
    """

    start: Any
    forward: Callable[[jax.Array], jax.Array]


Hyperparameters = Mapping[str, Hyperparameter]
"""By name. ``init`` and ``values`` turn them into meta-params and back."""


def interval(start: float, low: float, high: float) -> Hyperparameter:
    """``low + (high - low) sigmoid(x)``, for a discount or a lambda.

    Args:
        start: inside the interval, not at its ends, where a gradient would vanish.
        low: the lower end.
        high: the upper end.

    Raises:
        TypeError: if one is no number.
        ValueError: if ``low`` is not below ``high``, or ``start`` not between them.
    """
    low, high = checks.finite("low", low), checks.finite("high", high)
    start = checks.finite("start", start)
    if not low < high:
        raise ValueError(f"low must be below high, got low={low} and high={high}")
    if not checks.is_traced(start) and not low < start < high:
        raise ValueError(
            f"start must lie between low={low} and high={high}, got {start}"
        )
    part = (start - low) / (high - low)
    real = _log(part) - _log(1.0 - part)
    return Hyperparameter(real, lambda x: low + (high - low) * jax.nn.sigmoid(x))


def positive(start: float) -> Hyperparameter:
    """``exp(x)``, for a learning rate or the weight of a term.

    Raises:
        TypeError: if ``start`` is no number.
        ValueError: if it is not positive.
    """
    return Hyperparameter(_log(checks.positive("start", start)), jnp.exp)


def real(start: float) -> Hyperparameter:
    """``x`` itself.

    Raises:
        TypeError: if ``start`` is no number.
        ValueError: if it is not finite.
    """
    return Hyperparameter(checks.finite("start", start), lambda x: x)


def _log(x: Any) -> Any:
    """Of a number as a number, also where others are traced."""
    return jnp.log(x) if checks.is_traced(x) else math.log(x)


def check(hyperparameters: Hyperparameters) -> None:
    """Check that they are named hyper-parameters.

    Raises:
        TypeError: if one is not.
        ValueError: if there is none.
    """
    if not isinstance(hyperparameters, Mapping):
        raise TypeError(
            "hyperparameters must be a dict by name, such as {'discount': "
            f"hyperparameters.interval(0.95, 0.0, 1.0)}}, got {hyperparameters!r}"
        )
    if not hyperparameters:
        raise ValueError("hyperparameters must name one at least, got none")
    for name, one in hyperparameters.items():
        if not isinstance(one, Hyperparameter):
            raise TypeError(
                f"hyperparameters[{name!r}] must be one of interval, positive and "
                f"real of jaxmeta.hyperparameters, got {one!r}"
            )


def init(hyperparameters: Hyperparameters) -> dict[str, jax.Array]:
    """Where each starts, ``[]``, as a real number."""
    return {name: jnp.asarray(one.start) for name, one in hyperparameters.items()}


def values(
    hyperparameters: Hyperparameters, reals: Mapping[str, jax.Array]
) -> dict[str, jax.Array]:
    """The value ``[]`` of each, in its range."""
    return {name: one.forward(reals[name]) for name, one in hyperparameters.items()}
