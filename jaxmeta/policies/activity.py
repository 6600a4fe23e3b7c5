"""How active the neurons of an agent are, and in which order its layers come."""

import re
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen

from jaxmeta import trees
from jaxmeta.types import Params, Policy, Timestep

_LAYER = re.compile(r"(?:(?P<network>.+?)_)?(?P<index>\d+|out)")


def layer_proportions(params: Params) -> Params:
    """Where in its network each param is: 0 in the first layer, 1 in the last.

    Layers are told by their names, ``NAME_0, NAME_1, ..., NAME_out`` for those of the
    network ``NAME``, as in ``policies.mlp``, ``hidden_0, ..., out`` in a perceptron,
    ``Dense_0, ...`` in a Linen module that leaves names to Linen. A network of one
    layer, and a param that is of no layer (the standard deviation of actions), is last.

    Args:
        params: of a policy.

    Returns:
        A tree like ``params``, with a float for each leaf.
    """
    layers = [_layer(path) for path in trees.paths(params)]
    indices: dict[str, set[float]] = {}
    for layer in layers:
        if layer is not None:
            indices.setdefault(layer[0], set()).add(layer[1])

    def proportion(layer):
        if layer is None or len(indices[layer[0]]) == 1:
            return 1.0
        in_order = sorted(indices[layer[0]])
        return in_order.index(layer[1]) / (len(in_order) - 1)

    structure = jax.tree.structure(params)
    return jax.tree.unflatten(structure, [proportion(layer) for layer in layers])


def dormancy(policy: Policy, params: Params, timesteps: Timestep) -> Params:
    """How active the neuron is that each weight leads to, compared with its layer.

    ``D_i = mean |h_i| / (1/H sum_j mean |h_j|)`` over the timesteps, with ``h`` the
    ``H`` activations of the layer, and its outputs if it is the last of its network. A
    dormant neuron has ``D = 0``, an average one ``D = 1``; if the whole layer is silent
    that is 1 too. Params of other than a named Linen ``Dense`` (see
    :func:`layer_proportions`) have 1.

    Args:
        policy: a Linen one without memory.
        params: of it.
        timesteps: any batch ``[...]`` of them.

    Returns:
        A tree like ``params``: ``[H]`` for each leaf ``[..., H]`` of a layer, ``[]``
        for others.

    Source: Sokar, Agarwal, Castro and Evci, "The Dormant Neuron Phenomenon in Deep
    Reinforcement Learning", 2023.
    """
    leaves = jax.tree.leaves(params)
    layers = [_layer(path) for path in trees.paths(params)]
    index_of = {id(leaf): i for i, leaf in enumerate(leaves)}

    def activations(timestep):
        seen: dict[Any, tuple[jax.Array, jax.Array]] = {}

        def watch(call, args, kwargs, context):
            output = call(*args, **kwargs)
            is_dense = isinstance(context.module, linen.Dense)
            if is_dense and context.method_name == "__call__":
                kernel = context.module.variables["params"]["kernel"]
                at = index_of.get(id(kernel))
                if at is not None and layers[at] is not None:
                    seen[layers[at]] = (args[0], output)
            return output

        with linen.intercept_methods(watch):
            policy.apply(params, policy.initial_carry(), timestep)
        return {layer: _activation(layer, seen) for layer in seen}

    count = timesteps.is_first.ndim
    for _ in range(count):
        activations = jax.vmap(activations)
    by_layer = {
        layer: _relative(jnp.mean(jnp.abs(h), axis=tuple(range(count))))
        for layer, h in activations(timesteps).items()
    }
    found = [
        by_layer.get(layer, jnp.ones((), leaf.dtype))
        for layer, leaf in zip(layers, leaves, strict=True)
    ]
    return jax.tree.unflatten(jax.tree.structure(params), found)


def _activation(layer: tuple[str, float], seen: dict[Any, Any]) -> jax.Array:
    """What the next layer reads, or the output if there is none."""
    _, output = seen[layer]
    later = [other for other in seen if other[0] == layer[0] and other[1] > layer[1]]
    if not later:
        return output
    read, _ = seen[min(later)]
    return read if read.shape == output.shape else output


def _relative(activity: jax.Array) -> jax.Array:
    """Activities ``[H]`` by their mean."""
    least = jnp.asarray(1e-11, activity.dtype)  # makes a layer that is silent all ones
    return (activity + least) / (jnp.mean(activity) + least)


def _layer(path: str) -> tuple[str, float] | None:
    """The network that a param is part of, and its place there."""
    parent, _, _ = path.rpartition("/")
    above, _, name = parent.rpartition("/")
    match = _LAYER.fullmatch(name)
    if match is None:
        return None
    network, index = match["network"] or "", match["index"]
    network = "" if network == "hidden" else network
    return f"{above}/{network}", float("inf") if index == "out" else float(index)
