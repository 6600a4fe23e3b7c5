"""Mapping over the task axis in pieces that fit the machine."""

from collections.abc import Callable
from typing import Any

import jax

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
        return _on_each(shards, function, batched, batch_size)
    if batch_size is None:
        batch_size = 1 if jax.default_backend() == "cpu" else num_tasks
    batch_size = checks.positive_int("batch_size", batch_size)
    if batch_size >= num_tasks:
        return jax.vmap(function)(*batched)
    size = None if batch_size == 1 else batch_size
    return jax.lax.map(lambda slices: function(*slices), batched, batch_size=size)


def _on_each(
    shards: int, function: Callable[..., Any], batched: Any, batch_size: int | None
) -> Any:
    """``map_tasks`` on every device, for its share of the tasks."""

    def split(leaf):
        return leaf.reshape(shards, leaf.shape[0] // shards, *leaf.shape[1:])

    def joined(leaf):
        return leaf.reshape(leaf.shape[0] * leaf.shape[1], *leaf.shape[2:])

    parts = sharding.over_tasks(jax.tree.map(split, sharding.over_tasks(batched)))
    with sharding.apart():
        results = jax.vmap(
            lambda *part: map_tasks(function, *part, batch_size=batch_size)
        )(*parts)
    return sharding.over_tasks(jax.tree.map(joined, results))


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
