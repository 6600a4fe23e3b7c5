"""Memories that keep all of a trial and look back: causal attention, and SNAIL.

What a layer may look back at is cached, one row per step and one for the state reached
after the last. ``step`` is ``sequence`` of length one, so acting and learning are one
program. After more steps than there is room for, outputs are NaN.
"""

import math

import jax
import jax.numpy as jnp
from flax import linen

from jaxmeta import checks
from jaxmeta.policies.memory import Core, of_sequence, rms_normalize
from jaxmeta.types import Key, Params

_glorot = linen.initializers.glorot_uniform()


def attention(
    size: int = 64,
    *,
    length: int,
    num_layers: int = 2,
    num_heads: int = 4,
) -> Core:
    """A transformer that sees the past of its trial, with learned positions.

    ::

        x <- x + attention(scale x / rms(x))
        x <- x + W_2 gelu(W_1 (scale x / rms(x)))

    Acting reads keys and values of past steps from a cache.

    Args:
        size: of ``x``, the output; inputs are mapped to it first.
        length: the most steps a trial may have.
        num_layers: of the above, one after the other.
        num_heads: of attention; it divides ``size``.

    Source: Vaswani et al., "Attention Is All You Need", 2017; normalised before each
    sublayer as in Xiong et al., "On Layer Normalization in the Transformer
    Architecture", 2020, by the root mean square (Zhang and Sennrich, 2019).

    Raises:
        TypeError: if a number is no integer.
        ValueError: if a number is below one or ``num_heads`` does not divide ``size``;
            from ``sequence`` if the params were made for another ``length``.
    """
    size, length = _sizes(size, length)
    rows = length + 1
    num_layers = checks.positive_int("num_layers", num_layers)
    num_heads = checks.positive_int("num_heads", num_heads)
    if size % num_heads:
        raise ValueError(f"num_heads must divide size={size}, got {num_heads}")
    width = size // num_heads

    def init(key, num_inputs):
        key_input, key_position, *keys = jax.random.split(key, num_layers + 2)
        return {
            "input": _dense(key_input, num_inputs, size),
            "positions": 0.02 * jax.random.normal(key_position, (rows, size)),
            "layers": [_init_layer(key, size) for key in keys],
            "scale": jnp.ones(size),
        }

    def initial_carry():
        cache = jnp.zeros((num_layers, 2, rows, num_heads, width))
        return cache, jnp.zeros((), jnp.int32)

    def sequence(params, carry, xs):
        caches, start = carry
        times, xs = _times(start, xs, rows)
        _check_rows("attention", params["positions"].shape[0], rows)
        xs = _apply(params["input"], xs) + params["positions"][times]
        new_caches = []
        for layer, cache in zip(params["layers"], caches, strict=True):
            normal = _normalize(layer["scale_attention"], xs)
            query, *key_value = (
                _apply(layer[name], normal).reshape(-1, num_heads, width)
                for name in ("query", "key", "value")
            )
            cache = jax.vmap(_write, in_axes=(0, 0, None))(
                cache, jnp.stack(key_value), start
            )
            read = _look_back(query, cache[0], cache[1], times)
            xs = xs + _apply(layer["out"], read.reshape(-1, size))
            normal = _normalize(layer["scale_mlp"], xs)
            hidden = jax.nn.gelu(_apply(layer["wide"], normal))
            xs = xs + _apply(layer["narrow"], hidden)
            new_caches.append(cache)
        carry = jnp.stack(new_caches), start + xs.shape[0]
        return carry, _normalize(params["scale"], xs)

    return of_sequence(init, initial_carry, sequence, length)


def snail(
    size: int = 32, *, length: int, num_blocks: int = 2, key_size: int = 32
) -> Core:
    """SNAIL: temporal convolutions and attention, each adding to what it read.

    A block is a stack of causal convolutions of two steps, ``tanh(u) sigmoid(v)`` with
    ``[u, v] = W_0 x_{t-d} + W_1 x_t`` for dilations ``d = 1, 2, 4, ...`` up to the
    length of a trial, then one head of causal attention. Each appends its ``size``
    outputs to its inputs.

    Args:
        size: outputs of each convolution, values of attention.
        length: the most steps a trial may have.
        num_blocks: of the above, one after the other.
        key_size: of keys and queries.

    Source: Mishra, Rohaninejad, Chen and Abbeel, "A Simple Neural Attentive
    Meta-Learner", 2018.

    Raises:
        TypeError: if a number is no integer.
        ValueError: if a number is below one; from ``sequence`` if the params were made
            for another number of dilations.
    """
    size, length = _sizes(size, length)
    rows = length + 1
    num_blocks = checks.positive_int("num_blocks", num_blocks)
    key_size = checks.positive_int("key_size", key_size)
    dilations = [2**i for i in range(max(math.ceil(math.log2(length)), 1))]
    num_layers = num_blocks * (len(dilations) + 1)
    width = size * (num_layers + 1)  # of the inputs, mapped to ``size``, and all layers

    def init(key, num_inputs):
        key_input, *keys = jax.random.split(key, num_layers + 1)
        layers = []
        for index, key in enumerate(keys):
            seen = size * (index + 1)
            if (index + 1) % (len(dilations) + 1):
                layers.append(_dense(key, 2 * seen, 2 * size))
            else:
                layers.append(_init_read(key, seen, size, key_size))
        return {"input": _dense(key_input, num_inputs, size), "layers": layers}

    def initial_carry():
        keys = jnp.zeros((num_blocks, rows, 1, key_size))
        values = jnp.zeros((num_blocks, rows, 1, size))
        columns = jnp.zeros((rows, width))
        return columns, keys, values, jnp.zeros((), jnp.int32)

    def convolve(params, past, now, times, dilation):
        earlier = past[times - dilation]
        earlier = jnp.where((times >= dilation)[:, None], earlier, 0.0)
        gates = _apply(params, jnp.concatenate([earlier, now], axis=1))
        enter, keep = jnp.split(gates, 2, axis=1)
        return jnp.tanh(enter) * jax.nn.sigmoid(keep)

    def sequence(params, carry, xs):
        if len(params["layers"]) != num_layers:
            raise ValueError(
                f"params: they have {len(params['layers'])} layers, and snail(length="
                f"{length}) has {num_layers}; make the policy once, for the longest "
                "trial"
            )
        columns, keys, values, start = carry
        times, xs = _times(start, xs, rows)
        # ``now`` grows by what each layer reads; ``past`` has the same of all steps.
        now = _apply(params["input"], xs)
        past = _write(columns[:, :size], now, start)
        for index, layer in enumerate(params["layers"]):
            block, place = divmod(index, len(dilations) + 1)
            if place < len(dilations):
                new = convolve(layer, past, now, times, dilations[place])
            else:
                query, key, value = (
                    _apply(layer[name], now)[:, None]
                    for name in ("query", "key", "value")
                )
                keys = keys.at[block].set(_write(keys[block], key, start))
                values = values.at[block].set(_write(values[block], value, start))
                new = _look_back(query, keys[block], values[block], times)[:, 0]
            seen = past.shape[1]
            cached = _write(columns[:, seen : seen + size], new, start)
            past = jnp.concatenate([past, cached], axis=1)
            now = jnp.concatenate([now, new], axis=1)
        return (past, keys, values, start + xs.shape[0]), now

    return of_sequence(init, initial_carry, sequence, length)


def _sizes(size: int, length: int) -> tuple[int, int]:
    size = checks.positive_int("size", size)
    return size, checks.positive_int("length", length)


def _dense(key: Key, num_inputs: int, size: int) -> Params:
    weight = _glorot(key, (num_inputs, size))
    return {"weight": weight, "bias": jnp.zeros(size)}


def _init_layer(key: Key, size: int) -> Params:
    """A transformer layer."""
    sizes = dict.fromkeys(("query", "key", "value", "out"), (size, size))
    sizes |= {"wide": (size, 4 * size), "narrow": (4 * size, size)}
    keys = jax.random.split(key, len(sizes))
    dense = {
        name: _dense(k, *shape)
        for k, (name, shape) in zip(keys, sizes.items(), strict=True)
    }
    scales = {"scale_attention": jnp.ones(size), "scale_mlp": jnp.ones(size)}
    return dense | scales


def _init_read(key: Key, num_inputs: int, size: int, key_size: int) -> Params:
    """One head of attention."""
    sizes = {"query": key_size, "key": key_size, "value": size}
    keys = jax.random.split(key, 3)
    return {
        name: _dense(k, num_inputs, outputs)
        for k, (name, outputs) in zip(keys, sizes.items(), strict=True)
    }


def _apply(params: Params, xs: jax.Array) -> jax.Array:
    """A dense layer on ``[T, D]``."""
    return xs @ params["weight"] + params["bias"][None]


def _normalize(scale: jax.Array, xs: jax.Array) -> jax.Array:
    return jax.vmap(rms_normalize, in_axes=(None, 0))(scale, xs)


def _times(start: jax.Array, xs: jax.Array, rows: int) -> tuple[jax.Array, jax.Array]:
    """When in the trial some steps are, ``[T]``; their inputs, NaN if out of room."""
    num_steps = xs.shape[0]
    fits = start + num_steps <= rows
    return start + jnp.arange(num_steps), jnp.where(fits, xs, jnp.nan)


def _check_rows(name: str, found: int, needed: int) -> None:
    """Check that params were made for memories of the same length.

    Raises:
        ValueError: if not.
    """
    if found != needed:
        raise ValueError(
            f"params: they were made by {name}(length={found - 1}), and this is of "
            f"length={needed - 1}; make the policy once, for the longest trial"
        )


def _write(cache: jax.Array, rows: jax.Array, start: jax.Array) -> jax.Array:
    return jax.lax.dynamic_update_slice_in_dim(cache, rows, start, axis=0)


def _look_back(
    query: jax.Array, keys: jax.Array, values: jax.Array, times: jax.Array
) -> jax.Array:
    """Attention ``[T, H, D]`` of steps at ``times`` to all cached up to each."""
    seen = jnp.arange(keys.shape[0])[None] <= times[:, None]
    scores = jnp.einsum("thd,shd->hts", query, keys) / query.shape[-1] ** 0.5
    weights = jax.nn.softmax(jnp.where(seen[None], scores, -jnp.inf))
    return jnp.einsum("hts,shd->thd", weights, values)
