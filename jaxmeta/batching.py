"""Mapping over the task axis in pieces that fit the machine."""

from collections.abc import Callable
from typing import Any

import jax

from jaxmeta import checks


def map_tasks(
    function: Callable[..., Any], *batched: Any, batch_size: int | None = None
) -> Any:
    """``jax.vmap(function)`` over the leading axis, ``batch_size`` tasks at a time.

    A piece should fit the fastest memory: on a CPU the intermediates of one task fit
    its caches and those of all tasks do not; an accelerator wants all of them at once.

    Args:
        function: takes one task's slice of each of ``batched``.
        *batched: pytrees with a leading task axis.
        batch_size: tasks per piece. By default one on a CPU and all of them elsewhere,
            decided when the caller is traced.

    Returns:
        The results, stacked along a leading task axis.
    """
    num_tasks = jax.tree.leaves(batched)[0].shape[0]
    if batch_size is None:
        batch_size = 1 if jax.default_backend() == "cpu" else num_tasks
    batch_size = checks.positive_int("batch_size", batch_size)
    if batch_size >= num_tasks:
        return jax.vmap(function)(*batched)
    size = None if batch_size == 1 else batch_size
    return jax.lax.map(lambda slices: function(*slices), batched, batch_size=size)
