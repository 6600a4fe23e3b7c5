"""What was seen before, kept on the device: a ring of the newest items.

It is a page of code, so no dependency: flashbax, which runs on jax 0.10 too, would do
the same with its item buffer, made for one number of items to draw.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmeta import checks
from jaxmeta.types import Key


class Replay(NamedTuple):
    """The newest items, a plain pytree.

    Attributes:
        items: a pytree with a leading ``[C]``, the capacity.
        position: ``[]`` int32, where the next item goes.
        size: ``[]`` int32, how many items there are, at most ``C``.
    """

    items: Any
    position: jax.Array
    size: jax.Array


def empty(item: Any, capacity: int) -> Replay:
    """A replay without items yet.

    Args:
        item: arrays, or ``jax.ShapeDtypeStruct``s, of the shapes of one item.
        capacity: ``C``, the most items it keeps.

    Raises:
        TypeError: if ``capacity`` is not an integer.
        ValueError: if it is below one.
    """
    capacity = checks.positive_int("capacity", capacity)
    items = jax.tree.map(
        lambda leaf: jnp.zeros((capacity, *leaf.shape), leaf.dtype), item
    )
    # Counters of their own: a caller may donate the whole of it.
    return Replay(items, jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32))


def add(replay: Replay, items: Any) -> Replay:
    """Add items ``[B]``; the oldest make room for them.

    Raises:
        ValueError: if they are more than its capacity.
    """
    capacity = jax.tree.leaves(replay.items)[0].shape[0]
    count = jax.tree.leaves(items)[0].shape[0]
    if count > capacity:
        raise ValueError(
            f"items: {count} of them do not fit a replay of capacity {capacity}"
        )
    places = (replay.position + jnp.arange(count)) % capacity
    return Replay(
        jax.tree.map(lambda old, new: old.at[places].set(new), replay.items, items),
        (replay.position + count) % capacity,
        jnp.minimum(replay.size + count, capacity),
    )


def sample(key: Key, replay: Replay, num_items: int) -> Any:
    """Draw items ``[num_items]`` uniformly, with replacement; one must have been added.

    Args:
        key: consumed.
        replay: what to draw from.
        num_items: how many.
    """
    chosen = jax.random.randint(key, (num_items,), 0, jnp.maximum(replay.size, 1))
    return jax.tree.map(lambda leaf: leaf[chosen], replay.items)
