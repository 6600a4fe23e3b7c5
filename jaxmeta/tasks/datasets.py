"""Supervised few-shot problems: tasks made of labelled examples."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from gymnax.environments import spaces

from jaxmeta import checks
from jaxmeta.types import Dataset, Examples, Key, TaskDistribution

Score = Callable[[Any, jax.Array], jax.Array]
"""``(distribution, target) -> []`` of one prediction, higher is better."""


def supervised(
    sample_task: Callable[[Key], Any],
    sample_example: Callable[[Key, Any], tuple[jax.Array, jax.Array]],
    *,
    num_classes: int | None = None,
    score: Score | None = None,
    name: str = "supervised",
) -> TaskDistribution:
    """A distribution over supervised tasks from two samplers.

    The examples of a task are drawn independently.

    Args:
        sample_task: ``key -> task``, any pytree of arrays.
        sample_example: ``(key, task) -> (x, y)``, one example of a task: ``x`` of any
            shape; ``y`` a float ``[]`` or ``[D]`` for regression (``[]`` becomes
            ``[1]``), an integer ``[]`` below ``num_classes`` for classification.
        num_classes: of a classification; None for a regression.
        score: how good a prediction is; by default minus the squared error of the mode,
            averaged over the ``D`` target dimensions, or one for the right class.
        name: for messages and plots.

    Raises:
        TypeError: if a function is none, or draws what is no example.
        ValueError: if the target has another shape, or ``num_classes`` is below two.
    """
    for label, function in (
        ("sample_task", sample_task),
        ("sample_example", sample_example),
    ):
        if not callable(function):
            raise TypeError(f"{label} must be a function, got {function!r}")

    def draw(key: Key) -> Any:
        key_task, key_example = jax.random.split(key)
        return sample_example(key_example, sample_task(key_task))

    drawn = jax.eval_shape(draw, jax.random.key(0))
    if not isinstance(drawn, tuple) or len(drawn) != 2:
        raise TypeError(f"sample_example must return a pair (x, y), got {drawn}")
    x, y = drawn
    for label, array in (("x", x), ("y", y)):
        if not isinstance(array, jax.ShapeDtypeStruct):
            raise TypeError(f"sample_example: {label} must be one array, got {array}")
    _check_numbers("sample_example: x", x.dtype)
    space = _space("sample_example: y", y.shape, y.dtype, num_classes)

    def one(key: Key, task: Any) -> Examples:
        return _cast(*sample_example(key, task), space)

    def examples(key: Key, task: Any, num: int) -> Examples:
        return jax.vmap(one, in_axes=(0, None))(jax.random.split(key, num), task)

    return TaskDistribution(
        _dataset(examples, x.shape, space, score, name), sample_task
    )


def from_arrays(
    inputs: Any,
    targets: Any,
    *,
    num_classes: int | None = None,
    score: Score | None = None,
    name: str = "arrays",
) -> TaskDistribution:
    """Tasks whose examples are given: ``M`` tasks of ``E`` examples each.

    A task, here its index, is drawn with equal probability, its examples without
    replacement. For held-out tasks make a second distribution of other rows.

    Args:
        inputs: ``[M, E, ...]``.
        targets: ``[M, E]`` or ``[M, E, D]`` floats for regression, ``[M, E]`` integers
            in ``[0, num_classes)`` for classification.
        num_classes: of a classification; None for a regression.
        score: as for :func:`supervised`.
        name: for messages and plots.

    Raises:
        TypeError: if the arrays do not hold numbers of the right kind.
        ValueError: if shapes disagree, a value is not finite or no class; and, when
            examples are drawn, if a task has too few.
    """
    arrays = {"inputs": np.asarray(inputs), "targets": np.asarray(targets)}
    for label, array in arrays.items():
        _check_numbers(label, array.dtype)
        if array.ndim < 2 or 0 in array.shape:
            raise ValueError(
                f"{label} must have a first axis of tasks and a second of examples, "
                f"none of them empty, got shape {array.shape}"
            )
        if not np.all(np.isfinite(array)):
            raise ValueError(f"{label} must be finite, got inf or nan")
    rows, labels = arrays["inputs"], arrays["targets"]
    if rows.shape[:2] != labels.shape[:2]:
        raise ValueError(
            f"inputs and targets must agree in tasks and examples, got "
            f"{rows.shape[:2]} and {labels.shape[:2]}"
        )
    space = _space("targets", labels.shape[2:], labels.dtype, num_classes)
    if num_classes is not None and not 0 <= labels.min() <= labels.max() < num_classes:
        raise ValueError(
            f"targets must be classes in [0, num_classes={num_classes}), got "
            f"{labels.min()} to {labels.max()}"
        )
    num_tasks, available = rows.shape[:2]
    rows, labels = jnp.asarray(rows), jnp.asarray(labels)

    def sample(key: Key) -> jax.Array:
        return jax.random.randint(key, (), 0, num_tasks)

    def examples(key: Key, task: jax.Array, num: int) -> Examples:
        if num > available:
            raise ValueError(
                f"num_episodes: {name} has {available} examples per task, fewer than "
                f"the {num} that support and query take together"
            )
        chosen = jax.random.permutation(key, available)[:num]
        cast = jax.vmap(lambda x, y: _cast(x, y, space))
        return cast(rows[task, chosen], labels[task, chosen])

    return TaskDistribution(
        _dataset(examples, rows.shape[2:], space, score, name), sample
    )


def _dataset(
    examples: Callable[[Key, Any, int], Examples],
    shape: tuple[int, ...],
    space: Any,
    score: Score | None,
    name: str,
) -> Dataset:
    if score is None:
        score = _accuracy if isinstance(space, spaces.Discrete) else _squared_error
    if not callable(score):
        raise TypeError(f"score must be a function, got {score!r}")
    observation = jax.ShapeDtypeStruct(shape, jnp.float32)
    return Dataset(examples, observation, space, score, horizon=1, name=name)


def _squared_error(distribution: Any, target: jax.Array) -> jax.Array:
    return -jnp.mean((distribution.mode() - target) ** 2)


def _accuracy(distribution: Any, target: jax.Array) -> jax.Array:
    return jnp.asarray(distribution.mode() == target, jnp.float32)


def _space(
    label: str, shape: tuple[int, ...], dtype: Any, num_classes: int | None
) -> Any:
    """The space of a target, checked."""
    if num_classes is None:
        if not jnp.issubdtype(dtype, jnp.floating):
            raise TypeError(
                f"{label} must be of a float dtype for a regression, got {dtype}; for "
                "a classification give num_classes"
            )
        if len(shape) > 1:
            raise ValueError(
                f"{label} must be one number or a vector (D,), got shape {shape}"
            )
        return spaces.Box(-jnp.inf, jnp.inf, shape or (1,))
    num_classes = checks.positive_int("num_classes", num_classes, minimum=2)
    if not jnp.issubdtype(dtype, jnp.integer):
        raise TypeError(f"{label} must be of an integer dtype for classes, got {dtype}")
    if shape:
        raise ValueError(f"{label} must be one class, got shape {shape}")
    return spaces.Discrete(num_classes)


def _check_numbers(label: str, dtype: Any) -> None:
    kinds = (jnp.floating, jnp.integer, jnp.bool_)
    if not any(jnp.issubdtype(dtype, kind) for kind in kinds):
        raise TypeError(f"{label} must hold real numbers, got dtype {dtype}")


def _cast(x: jax.Array, y: jax.Array, space: Any) -> Examples:
    """One example in the shape and dtype its space says."""
    return Examples(
        jnp.asarray(x, jnp.float32), jnp.asarray(y, space.dtype).reshape(space.shape)
    )
