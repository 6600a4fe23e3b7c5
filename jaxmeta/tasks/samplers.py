"""Samplers: functions ``key -> value``, what is drawn anew for each task."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmeta.types import Key

Sampler = Callable[[Key], jax.Array]


def uniform(low: Any, high: Any, shape: tuple[int, ...] | None = None) -> Sampler:
    """Uniform on ``[low, high)``, of the given shape, or of that of the ends.

    Raises:
        ValueError: if ``low`` is not below ``high``, or they do not fit ``shape``.
    """
    low, high = _arguments(shape, low=low, high=high)
    if not np.all(np.asarray(low) < np.asarray(high)):
        raise ValueError(f"uniform needs low < high, got low={low}, high={high}")
    return lambda key: jax.random.uniform(key, low.shape, minval=low, maxval=high)


def log_uniform(low: Any, high: Any, shape: tuple[int, ...] | None = None) -> Sampler:
    """``exp(uniform(log low, log high))``: scales are equally likely.

    Raises:
        ValueError: unless ``0 < low < high``, and where they do not fit ``shape``.
    """
    low, high = _arguments(shape, low=low, high=high)
    if not np.all((np.asarray(low) > 0) & (np.asarray(low) < np.asarray(high))):
        raise ValueError(
            f"log_uniform needs 0 < low < high, got low={low}, high={high}"
        )
    exponent = uniform(np.log(low), np.log(high))
    return lambda key: jnp.exp(exponent(key))


def normal(mean: Any, std: Any, shape: tuple[int, ...] | None = None) -> Sampler:
    """Normal with the given mean and standard deviation.

    Raises:
        ValueError: if ``std`` is not positive, or they do not fit ``shape``.
    """
    mean, std = _arguments(shape, mean=mean, std=std)
    if not np.all(np.asarray(std) > 0):
        raise ValueError(f"normal needs std > 0, got {std}")
    return lambda key: mean + std * jax.random.normal(key, mean.shape)


def choice(values: Any) -> Sampler:
    """One of ``values`` (along their first axis), each equally likely.

    Raises:
        ValueError: if there are none.
    """
    values = jnp.asarray(values)
    if values.ndim == 0 or values.shape[0] == 0:
        raise ValueError(f"choice needs a non-empty list of values, got {values}")
    return lambda key: values[jax.random.randint(key, (), 0, values.shape[0])]


def _arguments(shape: tuple[int, ...] | None, **given: Any) -> list[np.ndarray]:
    """The arguments as arrays of the shape to draw, or of their common one."""
    values = {name: np.asarray(value) for name, value in given.items()}
    for name, value in values.items():
        if value.dtype.kind not in "iuf":
            raise TypeError(f"{name} must be a number or an array, got {value!r}")
    try:
        if shape is None:
            shape = np.broadcast_shapes(*(value.shape for value in values.values()))
        return [np.broadcast_to(value, shape) for value in values.values()]
    except ValueError:
        shapes = ", ".join(f"{n} of shape {v.shape}" for n, v in values.items())
        raise ValueError(f"shape {shape} does not fit {shapes}") from None
