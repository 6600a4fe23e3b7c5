"""Mapping over the task axis in pieces that fit the machine."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxmeta import checks, sharding


def map_tasks(
    function: Callable[..., Any], *batched: Any, batch_size: int | None = None
) -> Any:
    """``jax.vmap(function)`` over the leading axis, ``batch_size`` tasks at a time.

    A piece should fit the fastest memory: on a CPU the intermediates of one task fit
    its caches and those of all tasks do not; an accelerator wants all of them at once.
    Where the tasks are spread over devices (``sharding.sharded``), each works on its
    own in pieces of that size.

    Args:
        function: takes one task's slice of each of ``batched``.
        *batched: pytrees with a leading task axis.
        batch_size: tasks per piece. By default one on a CPU and all of them elsewhere,
            decided when the caller is traced.

    Returns:
        The results, stacked along a leading task axis.
    """
    num_tasks = jax.tree.leaves(batched)[0].shape[0]
    shards = sharding.num_shards(num_tasks)
    if shards > 1:
        each = partial(map_tasks, function, batch_size=batch_size)
        results = jax.tree.map(_joined, _on_each_device(shards, each, batched))
        return sharding.over_tasks(results)
    size = _checked(batch_size, num_tasks)
    if size == num_tasks:
        return jax.vmap(function)(*batched)
    return jax.lax.map(
        lambda slices: function(*slices),
        batched,
        batch_size=None if size == 1 else size,
    )


def mean_over_tasks(
    function: Callable[..., Any], *batched: Any, batch_size: int | None = None
) -> Any:
    """The mean over the task axis of ``jax.vmap(function)``, added up in pieces.

    The results of a piece are not kept, so that memory for them does not grow with the
    number of tasks. Sums are of float32 at least; means have the dtypes of results that
    are floats.

    Args:
        function: as for :func:`map_tasks`, like the others.
        *batched: pytrees with a leading task axis.
        batch_size: tasks per piece.
    """
    num_tasks = jax.tree.leaves(batched)[0].shape[0]
    shards = sharding.num_shards(num_tasks)
    if shards > 1:
        each = partial(mean_over_tasks, function, batch_size=batch_size)
        results = _on_each_device(shards, each, batched)
        return jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), results)
    size = _checked(batch_size, num_tasks)
    if size == num_tasks:
        results = jax.vmap(function)(*batched)
        return jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), results)
    one = jax.tree.map(lambda leaf: leaf[0], batched)
    dtypes = jax.tree.map(_mean_dtype, jax.eval_shape(function, *one))
    total = _sum_of_pieces(function, batched, num_tasks, size)
    return jax.tree.map(
        lambda leaf, dtype: (leaf / num_tasks).astype(dtype), total, dtypes
    )


def _sum_of_pieces(
    function: Callable[..., Any], batched: Any, num_tasks: int, size: int
) -> Any:
    def widened(*one):
        return jax.tree.map(
            lambda leaf: jnp.asarray(leaf, jnp.promote_types(_mean_dtype(leaf), "f4")),
            function(*one),
        )

    def added(*piece):
        results = jax.vmap(widened)(*piece)
        return jax.tree.map(lambda leaf: jnp.sum(leaf, axis=0), results)

    count, rest = divmod(num_tasks, size)
    if size == 1:  # matrix products are slower with an axis of one
        pieces, of_piece = batched, widened
    else:
        pieces = jax.tree.map(
            lambda leaf: leaf[: count * size].reshape(count, size, *leaf.shape[1:]),
            batched,
        )
        of_piece = added

    def add(total, piece):
        return jax.tree.map(jnp.add, total, of_piece(*piece)), None

    results = jax.eval_shape(of_piece, *jax.tree.map(lambda leaf: leaf[0], pieces))
    nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), results)
    total, _ = jax.lax.scan(add, nothing, pieces)
    if rest:
        last = added(*jax.tree.map(lambda leaf: leaf[count * size :], batched))
        total = jax.tree.map(jnp.add, total, last)
    return total


def _mean_dtype(leaf: Any) -> Any:
    """That of ``jnp.mean``."""
    inexact = jnp.issubdtype(leaf.dtype, jnp.inexact)
    return leaf.dtype if inexact else jnp.result_type(float)


def _checked(batch_size: int | None, num_tasks: int) -> int:
    if batch_size is None:
        batch_size = 1 if jax.default_backend() == "cpu" else num_tasks
    return min(checks.positive_int("batch_size", batch_size), num_tasks)


def _on_each_device(shards: int, function: Callable[..., Any], batched: Any) -> Any:
    """What a function makes of each device's share of the tasks, ``[shards, ...]``."""

    def split(leaf):
        return leaf.reshape(shards, leaf.shape[0] // shards, *leaf.shape[1:])

    parts = sharding.over_tasks(jax.tree.map(split, sharding.over_tasks(batched)))
    with sharding.apart():
        return jax.vmap(function)(*parts)


def _joined(leaf: jax.Array) -> jax.Array:
    return leaf.reshape(leaf.shape[0] * leaf.shape[1], *leaf.shape[2:])


def map_when_batched(
    function: Callable[..., Any], *, batch_size: int | None = None
) -> Callable[..., Any]:
    """``function``, whose ``jax.vmap`` runs ``batch_size`` tasks at a time.

    So a function of one task can be batched as a whole, in steps that are better run on
    all tasks at once (acting) and steps that are better run in pieces (learning).

    Args:
        function: of pytrees of arrays.
        batch_size: as for :func:`map_tasks`.

    Returns:
        The same function; it cannot be differentiated in reverse mode.
    """

    def call(*arguments):
        # What the function closes over may be batched too (a vmapped inner rate).
        converted, closed_over = jax.closure_convert(function, *arguments)
        return _in_pieces(converted, batch_size)(*arguments, *closed_over)

    return call


def _in_pieces(
    function: Callable[..., Any], batch_size: int | None
) -> Callable[..., Any]:
    call = jax.custom_batching.custom_vmap(function)

    @call.def_vmap
    def rule(axis_size, in_batched, *arguments):
        del axis_size
        leaves, structure = jax.tree.flatten(arguments)
        flags = jax.tree.leaves(in_batched)

        def one(batched):
            slices = iter(batched)
            mixed = [
                next(slices) if flag else leaf
                for leaf, flag in zip(leaves, flags, strict=True)
            ]
            return function(*jax.tree.unflatten(structure, mixed))

        batched = [leaf for leaf, flag in zip(leaves, flags, strict=True) if flag]
        results = map_tasks(one, batched, batch_size=batch_size)
        return results, jax.tree.map(lambda _: True, results)

    return call
