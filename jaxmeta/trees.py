"""Small operations on pytrees."""

from typing import Any

import jax
import jax.numpy as jnp


def strong_types(tree: Any) -> Any:
    """Turn every leaf into an array of its own, strong type.

    A weakly typed leaf in a state makes the second call of a jitted update recompile,
    as what the first one returned is strongly typed.
    """
    return jax.tree.map(_strong, tree)


def _strong(leaf: Any) -> jax.Array:
    array = jnp.asarray(leaf)
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        return array
    return jax.lax.convert_element_type(array, array.dtype)


def safe_norm(tree: Any) -> jax.Array:
    """Euclidean norm over all leaves, with gradient zero (not NaN) where it is zero."""
    squares = [jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(tree)]
    total = jnp.sum(jnp.stack(squares)) if squares else jnp.zeros(())
    positive = total > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, total, 1.0)), 0.0)


def at(tree: Any, index: Any) -> Any:
    """Every leaf at ``index`` of its leading axis."""
    return jax.tree.map(lambda leaf: leaf[index], tree)
