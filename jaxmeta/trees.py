"""Small operations on pytrees."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


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
    return safe_sqrt(jnp.sum(jnp.stack(squares)) if squares else jnp.zeros(()))


def safe_sqrt(x: jax.Array) -> jax.Array:
    """Square root, with derivative zero (not infinity) at zero; of NaN it is NaN."""
    is_zero = x == 0
    return jnp.where(is_zero, 0.0, jnp.sqrt(jnp.where(is_zero, 1.0, x)))


def at(tree: Any, index: Any) -> Any:
    """Every leaf at ``index`` of its leading axis."""
    return jax.tree.map(lambda leaf: leaf[index], tree)


def where(condition: jax.Array, if_true: Any, if_false: Any) -> Any:
    """One of two trees, by a scalar bool ``[]``."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), if_true, if_false)


def paths(tree: Any) -> list[str]:
    """The path of every leaf, its keys joined by ``/``: ``params/policy_0/kernel``."""
    leaves, _ = jax.tree.flatten_with_path(tree)
    return [_joined(path) for path, _ in leaves]


def path_mask(tree: Any, selects: Callable[[str], bool]) -> Any:
    """A tree of bools: whether the path of a leaf (as in :func:`paths`) is selected."""
    return jax.tree.map_with_path(lambda path, _: bool(selects(_joined(path))), tree)


def _joined(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def zero_cotangents(tree: Any) -> Any:
    """Zeros that say a function does not depend on its argument ``tree``."""

    def zero(leaf):
        if jnp.issubdtype(leaf.dtype, jnp.floating):
            return jnp.zeros_like(leaf)
        return np.zeros(leaf.shape, jax.dtypes.float0)

    return jax.tree.map(zero, tree)


def normal_like(key: Any, tree: Any) -> Any:
    """Standard normal noise for every leaf, of its shape and dtype."""
    leaves, structure = jax.tree.flatten(tree)
    keys = jax.random.split(key, len(leaves))
    noise = [
        jax.random.normal(k, x.shape, x.dtype)
        for k, x in zip(keys, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, noise)
