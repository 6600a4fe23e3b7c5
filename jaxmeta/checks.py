"""Checks of arguments, shared by the constructors: say what was given and allowed.

Numbers that jax traces, because someone differentiates or maps a function of them, have
no value yet: they pass.
"""

import difflib
import math
import operator
from collections.abc import Iterable, Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax.core import Tracer


def is_traced(value: Any) -> bool:
    """Whether jax knows no value of it yet."""
    return isinstance(value, Tracer)


def positive_int(name: str, value: Any, *, minimum: int = 1) -> int:
    """``value`` as an int that is at least ``minimum``.

    Raises:
        TypeError: if it is not an integer.
        ValueError: if it is too small.
    """
    try:
        value = operator.index(value)
    except TypeError:
        raise TypeError(
            f"{name} must be an integer, got {value!r} ({type(value).__name__})"
        ) from None
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value}")
    return value


def positive_ints(name: str, values: Any) -> tuple[int, ...]:
    """A sequence of integers that are at least one; it may be empty.

    Raises:
        TypeError: if it is no sequence, or one is not an integer.
        ValueError: if one is too small.
    """
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise TypeError(f"{name} must be a sequence of sizes, got {values!r}")
    return tuple(positive_int(name, value) for value in values)


def typed_key(key: Any) -> None:
    """Check that ``key`` is one typed key.

    Raises:
        TypeError: if it is a raw uint32 key, or no key at all.
        ValueError: if it is a batch of keys.
    """
    dtype = getattr(key, "dtype", None)
    if dtype is None or not jnp.issubdtype(dtype, jax.dtypes.prng_key):
        given = f"{type(key).__name__} of dtype {dtype}" if dtype else repr(key)
        raise TypeError(
            f"key must be a typed key made by jax.random.key(seed), got {given}; "
            "jax.random.wrap_key_data turns an old-style key into a typed one"
        )
    if key.shape != ():
        raise ValueError(
            f"key must be one key, got an array of keys of shape {key.shape}; "
            "jax.vmap over them, or pass one"
        )


def nearest(value: str, allowed: Iterable[str]) -> str:
    """``". Did you mean 'x'?"`` for the nearest allowed value, or an empty string."""
    allowed = list(allowed)
    folded = {name.lower(): name for name in allowed}
    close = difflib.get_close_matches(value.lower(), list(folded), n=1, cutoff=0.4)
    return f" Did you mean {folded[close[0]]!r}?" if close else ""


def one_of(name: str, value: Any, allowed: Iterable[str]) -> None:
    """Check that ``value`` is one of the names allowed.

    Raises:
        ValueError: if it is not.
    """
    allowed = list(allowed)
    if value not in allowed:
        hint = nearest(value, allowed) if isinstance(value, str) else ""
        raise ValueError(f"{name} must be one of {allowed}, got {value!r}.{hint}")


def finite(name: str, value: Any) -> float:
    """``value`` as a finite float.

    Raises:
        TypeError: if it is not a number.
        ValueError: if it is not finite.
    """
    if is_traced(value):
        return cast(float, value)
    number = _number(name, value)
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite, got {value}")
    return number


def unit_interval(name: str, value: Any) -> None:
    """Check that ``value`` lies in [0, 1].

    Raises:
        TypeError: if it is not a number.
        ValueError: if it does not.
    """
    if is_traced(value):
        return
    if not 0.0 <= _number(name, value) <= 1.0:
        raise ValueError(f"{name} must lie in [0, 1], got {value}")


def positive(name: str, value: Any, *, or_zero: bool = False) -> float:
    """``value`` as a finite float that is positive.

    Args:
        name: of the argument, for the error.
        value: a number.
        or_zero: zero is allowed too.

    Raises:
        TypeError: if it is not a number.
        ValueError: if it is negative, not finite, or zero where that is not allowed.
    """
    if is_traced(value):
        return cast(float, value)
    number = _number(name, value)
    if not math.isfinite(number) or number < 0 or (number == 0 and not or_zero):
        allowed = "finite and at least 0" if or_zero else "positive and finite"
        raise ValueError(f"{name} must be {allowed}, got {value}")
    return number


def _number(name: str, value: Any) -> float:
    try:
        number = None if isinstance(value, str) else float(value)
    except (TypeError, ValueError):
        number = None
    if number is None:
        raise TypeError(
            f"{name} must be a number, got {value!r} ({type(value).__name__})"
        )
    return number
