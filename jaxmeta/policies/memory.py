"""Memory cores: what a policy remembers of a trial, step by step or all at once."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen

from jaxmeta import checks
from jaxmeta.types import Key, Params


class Core(NamedTuple):
    """A memory as pure functions; ``step`` to act, ``sequence`` to learn.

    Attributes:
        init: ``(key, num_inputs) -> params``.
        initial_carry: ``() -> carry`` at the start of a trial.
        step: ``(params, carry, x [D]) -> (carry, y [F])``.
        sequence: ``(params, carry, xs [T, D]) -> (carry, ys [T, F])``, the same as
            ``T`` steps.
        max_length: the most steps it can hold; None: any number.
    """

    init: Callable[[Key, int], Params]
    initial_carry: Callable[[], Any]
    step: Callable[[Params, Any, jax.Array], tuple[Any, jax.Array]]
    sequence: Callable[[Params, Any, jax.Array], tuple[Any, jax.Array]]
    max_length: int | None = None


_glorot = linen.initializers.glorot_uniform()
_orthogonal = linen.initializers.orthogonal()


def gru(size: int = 64) -> Core:
    """A gated recurrent unit.

    ::

        r, z = sigmoid(W_r x + U_r h), sigmoid(W_z x + U_z h)
        h <- (1 - z) tanh(W_n x + b + r (U_n h + c)) + z h

    Args:
        size: of ``h``, the memory and the output.

    Source: Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder for
    Statistical Machine Translation", 2014.

    Raises:
        ValueError: if ``size`` is below one.
    """

    def advance(hidden, gates, inputs, bias):
        read_x, keep_x, new_x = jnp.split(inputs, 3)
        read_h, keep_h, new_h = jnp.split(gates, 3)
        read, keep = jax.nn.sigmoid(read_x + read_h), jax.nn.sigmoid(keep_x + keep_h)
        new = jnp.tanh(new_x + read * (new_h + bias))
        return (1.0 - keep) * new + keep * hidden

    def transition(params, hidden, inputs):
        hidden = advance(
            hidden, hidden @ params["recurrent"], inputs, params["candidate_bias"]
        )
        return hidden, hidden

    def init(key, num_inputs):
        params = _gated(key, num_inputs, size, num_gates=3)
        return params | {"candidate_bias": jnp.zeros(size)}

    return _recurrence(init, lambda: jnp.zeros(size), transition, size)


def lstm(size: int = 64) -> Core:
    """A long short-term memory.

    ::

        i, f = sigmoid(W_i x + U_i h), sigmoid(W_f x + U_f h + 1)
        o = sigmoid(W_o x + U_o h)
        c <- f c + i tanh(W_g x + U_g h)
        h <- o tanh(c)

    Args:
        size: of ``h``, the output, and of ``c``.

    Source: Hochreiter and Schmidhuber, "Long Short-Term Memory", 1997; the forget gate
    open at first as in Gers, Schmidhuber and Cummins, "Learning to Forget", 2000.

    Raises:
        ValueError: if ``size`` is below one.
    """

    def transition(params, carry, inputs):
        hidden, cell = carry
        enter, forget, leave, new = jnp.split(inputs + hidden @ params["recurrent"], 4)
        cell = jax.nn.sigmoid(forget + 1.0) * cell + jax.nn.sigmoid(enter) * jnp.tanh(
            new
        )
        hidden = jax.nn.sigmoid(leave) * jnp.tanh(cell)
        return (hidden, cell), hidden

    def init(key, num_inputs):
        return _gated(key, num_inputs, size, num_gates=4)

    def initial_carry():
        return jnp.zeros(size), jnp.zeros(size)

    return _recurrence(init, initial_carry, transition, size)


def truncated(core: Core, length: int) -> Core:
    """Backpropagation through at most ``length`` steps.

    The sequence mode cuts a trial into pieces of so many steps; no gradient passes from
    one to the memory it started from. What the core computes stays the same.

    Args:
        core: any core.
        length: steps in a piece.

    Source: Williams and Peng, "An Efficient Gradient-Based Algorithm for On-Line
    Training of Recurrent Network Trajectories", 1990.

    Raises:
        TypeError: if ``core`` is none, or ``length`` no integer.
        ValueError: if it is below one.
    """
    length = checks.positive_int("length", length)
    if not isinstance(core, Core):
        raise TypeError(f"core must be a Core, such as policies.gru(64), got {core!r}")

    def sequence(params, carry, inputs):
        num_steps = inputs.shape[0]
        whole = num_steps - num_steps % length

        def piece(carry, xs):
            return core.sequence(params, jax.lax.stop_gradient(carry), xs)

        pieces = inputs[:whole].reshape(-1, length, *inputs.shape[1:])
        carry, outputs = jax.lax.scan(piece, carry, pieces)
        outputs = outputs.reshape(-1, *outputs.shape[2:])
        if whole < num_steps:
            carry, rest = piece(carry, inputs[whole:])
            outputs = jnp.concatenate([outputs, rest])
        return carry, outputs

    return core._replace(sequence=sequence)


def of_sequence(init, initial_carry, sequence, max_length: int | None = None) -> Core:
    """A core whose ``step`` is its ``sequence`` of length one."""

    def step(params, carry, x):
        carry, ys = sequence(params, carry, x[None])
        return carry, ys[0]

    return Core(init, initial_carry, step, sequence, max_length)


def rms_normalize(scale: jax.Array, x: jax.Array) -> jax.Array:
    """``scale x / rms(x)`` of a vector ``[D]`` (Zhang and Sennrich, 2019)."""
    return scale * x * jax.lax.rsqrt(jnp.mean(x**2) + 1e-6)


def _gated(key: Key, num_inputs: int, size: int, *, num_gates: int) -> Params:
    """Weights from the input and from the memory to all gates."""
    key_input, key_recurrent = jax.random.split(key)
    recurrent = [
        _orthogonal(k, (size, size)) for k in jax.random.split(key_recurrent, num_gates)
    ]
    return {
        "input": _glorot(key_input, (num_inputs, num_gates * size)),
        "bias": jnp.zeros(num_gates * size),
        "recurrent": jnp.concatenate(recurrent, axis=1),
    }


def _recurrence(init, initial_carry, transition, size: int) -> Core:
    """A core that steps through time; what depends on inputs alone is done at once."""
    checks.positive_int("size", size)

    def project(params, x):
        return x @ params["input"] + params["bias"]

    def step(params, carry, x):
        return transition(params, carry, project(params, x))

    def sequence(params, carry, xs):
        inputs = jax.vmap(partial(project, params))(xs)
        return jax.lax.scan(lambda c, x: transition(params, c, x), carry, inputs)

    return Core(init, initial_carry, step, sequence)
