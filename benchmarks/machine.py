"""What a machine can do, what a program asks of it, and how long it takes."""

import time
from collections.abc import Callable
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from jaxmeta.types import Environment, TaskDistribution


def matrix_speed(repeats: int = 10) -> float:
    """Float operations a second of the best product of two large square matrices."""
    size = 2048 if jax.default_backend() == "cpu" else 16384
    a = jax.random.normal(jax.random.key(0), (size, size))
    seconds = timed(jax.jit(jnp.matmul), a, a, repeats=repeats)
    return 2 * size**3 / min(seconds)


def memory_bandwidth(repeats: int = 10) -> float:
    """Bytes a second, read and written, of the best pass over a large array."""
    num_floats = 2**26 if jax.default_backend() == "cpu" else 2**31
    x = jnp.ones(num_floats)
    seconds = timed(jax.jit(lambda x: 1.5 * x + 1.0), x, repeats=repeats)
    return 2 * 4 * num_floats / min(seconds)


def timed(call: Callable[..., Any], *arguments: Any, repeats: int) -> list[float]:
    """Seconds of each of some calls, after two more."""
    seconds = []
    for _ in range(repeats + 2):
        started = time.perf_counter()
        jax.block_until_ready(call(*arguments))
        seconds.append(time.perf_counter() - started)
    return seconds[2:]


def summary(seconds: list[float]) -> dict[str, float | int]:
    """Median and quartiles."""
    low, median, high = np.quantile(seconds, [0.25, 0.5, 0.75])
    return {
        "median": float(median),
        "lower_quartile": float(low),
        "upper_quartile": float(high),
        "calls": len(seconds),
    }


def compiled(function: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    """A compiled function, and the seconds that tracing and compiling took."""
    started = time.perf_counter()
    program = jax.jit(function).lower(*arguments).compile()
    return program, time.perf_counter() - started


def random_actions(
    distribution: TaskDistribution, num_tasks: int, num_episodes: int, length: int
) -> float:
    """Environment steps a second of random actions, in all tasks side by side.

    The floor of training: what acting costs where nothing is thought or learned.
    """
    environment = cast(Environment, distribution.environment)

    def episode(key, task):
        key_reset, key_act = jax.random.split(key)
        state, _ = environment.reset(key_reset, task)

        def step(state, key):
            key_action, key_step = jax.random.split(key)
            action = environment.action.sample(key_action)
            result = environment.step(key_step, state, action, task)
            return result.state, (result.observation, result.reward)

        return jax.lax.scan(step, state, jax.random.split(key_act, length))[1]

    def all_tasks(key):
        def one(key):
            key_task, key_act = jax.random.split(key)
            task = distribution.sample(key_task)
            keys = jax.random.split(key_act, num_episodes)
            return jax.vmap(lambda key: episode(key, task))(keys)

        return jax.vmap(one)(jax.random.split(key, num_tasks))

    program, _ = compiled(all_tasks, jax.random.key(0))
    seconds = timed(program, jax.random.key(0), repeats=5)
    return num_tasks * num_episodes * length / float(np.median(seconds))


def matrix_operations(function: Callable[..., Any], *arguments: Any) -> int:
    """Float operations in the matrix products of a function, loops counted in full.

    As they are written: the compiler may find that two are the same. Its own count has
    every loop once. Of a loop that ends on a condition the body counts once here too,
    and of branches the largest; solving and convolutions do not count.
    """
    return _count(jax.make_jaxpr(function)(*arguments).jaxpr)


def _count(jaxpr: Any) -> int:
    total = 0
    for equation in jaxpr.eqns:
        inside = [_count(one) for one in _jaxprs(equation.params)]
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            left, out = equation.invars[0].aval.shape, equation.outvars[0].aval.shape
            width = np.prod([left[axis] for axis in contracted], dtype=int)
            total += 2 * int(np.prod(out, dtype=int) * width)
        elif equation.primitive.name == "scan":
            total += equation.params["length"] * sum(inside)
        elif equation.primitive.name == "cond":
            total += max(inside)
        else:
            total += sum(inside)
    return total


def _jaxprs(params: dict[str, Any]) -> list[Any]:
    found = []
    for value in params.values():
        for one in value if isinstance(value, tuple | list) else [value]:
            one = getattr(one, "jaxpr", one)
            if hasattr(one, "eqns"):
                found.append(one)
    return found


def compilers_count(program: Any) -> dict[str, float | None]:
    """Operations and bytes, loops counted once, and the memory for intermediates."""
    costs, memory = program.cost_analysis() or {}, program.memory_analysis()
    return {
        "operations": costs.get("flops"),
        "bytes": costs.get("bytes accessed"),
        "temporary_bytes": memory.temp_size_in_bytes if memory else None,
    }
