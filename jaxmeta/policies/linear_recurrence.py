"""A memory that is linear in itself, so that a whole sequence is one parallel scan."""

import jax
import jax.numpy as jnp
from flax import linen

from jaxmeta import checks
from jaxmeta.policies.memory import Core, of_sequence, rms_normalize

_glorot = linen.initializers.glorot_normal()


def lru(
    size: int = 64,
    *,
    num_layers: int = 1,
    state_size: int | None = None,
    decay: tuple[float, float] = (0.9, 0.999),
    max_phase: float = 0.314,
) -> Core:
    """Linear recurrent units, residual layers around a diagonal linear recurrence.

    ::

        z = scale x / rms(x)
        h <- lambda h + sqrt(1 - |lambda|^2) B z       h, lambda complex, elementwise
        y = gelu(Re(C h) + D z)
        x <- x + y sigmoid(W y + b)

    Memory decays by ``|lambda|`` a step, which is learned and always below one; the
    weight of what enters follows it. The
    sequence mode is an associative scan: ``log2 T`` steps instead of ``T``.

    Args:
        size: of ``x``, the output; inputs are mapped to it first.
        num_layers: of the above, one after the other.
        state_size: of ``h``; ``size`` by default.
        decay: the ends of the ring ``|lambda|`` is drawn from, within (0, 1).
        max_phase: largest initial angle of ``lambda``, in radians per step.

    Source: Orvieto, Smith, Gu, Fernando, Gulcehre, Pascanu and De, "Resurrecting
    Recurrent Neural Networks for Long Sequences", 2023; gate and scan as in Smith,
    Warrington and Linderman, "Simplified State Space Layers for Sequence Modeling",
    2023.

    Raises:
        TypeError: if a size is no integer.
        ValueError: if a number is out of range.
    """
    size = checks.positive_int("size", size)
    num_layers = checks.positive_int("num_layers", num_layers)
    state_size = size if state_size is None else state_size
    state_size = checks.positive_int("state_size", state_size)
    if not 0.0 < decay[0] < decay[1] < 1.0:
        raise ValueError(f"decay must be two numbers in order in (0, 1), got {decay}")
    if not max_phase > 0:
        raise ValueError(f"max_phase must be positive, got {max_phase}")

    def init_layer(key):
        keys = jax.random.split(key, 7)
        low, high = decay[0] ** 2, decay[1] ** 2
        square = jax.random.uniform(keys[0], (state_size,), minval=low, maxval=high)
        phase = max_phase * jax.random.uniform(keys[1], (state_size,), minval=0.01)
        into, out = (2, size, state_size), (2, state_size, size)
        return {
            "log_rate": jnp.log(-0.5 * jnp.log(square)),
            "log_phase": jnp.log(phase),
            "write": jax.random.normal(keys[2], into) / (2 * size) ** 0.5,
            "read": jax.random.normal(keys[3], out) / state_size**0.5,
            "skip": jax.random.normal(keys[4], (size,)),
            "gate": _glorot(keys[5], (size, size)),
            "gate_bias": jnp.zeros(size),
            "scale": jnp.ones(size),
        }

    def init(key, num_inputs):
        key_input, *keys = jax.random.split(key, num_layers + 1)
        return {
            "input": _glorot(key_input, (num_inputs, size)),
            "bias": jnp.zeros(size),
            "layers": [init_layer(key) for key in keys],
        }

    def initial_carry():
        zeros = jnp.zeros((num_layers, state_size))
        return jax.lax.complex(zeros, zeros)

    def sequence(params, carry, xs):
        xs = jax.vmap(lambda x: x @ params["input"] + params["bias"])(xs)
        states = []
        for layer, hidden in zip(params["layers"], carry, strict=True):
            xs, hidden = _layer(layer, hidden, xs)
            states.append(hidden)
        return jnp.stack(states), xs

    return of_sequence(init, initial_carry, sequence)


def _layer(params, hidden: jax.Array, xs: jax.Array) -> tuple[jax.Array, jax.Array]:
    """One layer on ``[T, D]``, from and to the memory ``[S]``."""
    rate, phase = jnp.exp(params["log_rate"]), jnp.exp(params["log_phase"])
    eigenvalues = jnp.exp(jax.lax.complex(-rate, phase))
    weight = jnp.sqrt(-jnp.expm1(-2.0 * rate))
    write, read = jax.lax.complex(*params["write"]), jax.lax.complex(*params["read"])

    def enter(x):
        normal = rms_normalize(params["scale"], x)
        return normal, weight * (normal @ write)

    def leave(x, normal, hidden):
        y = jax.nn.gelu((hidden @ read).real + params["skip"] * normal)
        return x + y * jax.nn.sigmoid(y @ params["gate"] + params["gate_bias"])

    normal, entering = jax.vmap(enter)(xs)
    entering = entering.at[0].add(eigenvalues * hidden)

    def then(first, second):
        return first[0] * second[0], second[0] * first[1] + second[1]

    factors = jnp.broadcast_to(eigenvalues, entering.shape)
    _, states = jax.lax.associative_scan(then, (factors, entering))
    return jax.vmap(leave)(xs, normal, states), states[-1]
