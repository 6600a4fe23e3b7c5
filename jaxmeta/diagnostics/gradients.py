"""The meta-gradient of a learner, as a function, and what must hold to take it."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxmeta import batching, checks, trees
from jaxmeta.types import Experience, Key, MetaLearner, MetaState, Params


def meta_gradient(
    learner: MetaLearner,
    meta_params: Params,
    experience: Experience,
    *,
    task_batch_size: int | None = None,
) -> Params:
    """The gradient a learner descends, ``(1/M) sum_m grad objective(theta, m)``.

    Args:
        learner: one with an objective.
        meta_params: where to take it; those that collected the experience, unless the
            objective corrects for the difference.
        experience: of tasks ``[M]``.
        task_batch_size: tasks differentiated at a time; see ``batching.map_tasks``.

    Returns:
        A pytree like ``meta_params``.

    Raises:
        TypeError: if ``learner`` is not a MetaLearner.
        ValueError: if it has no objective, or ``task_batch_size`` is below one.
    """
    check_learner("learner", learner)
    if task_batch_size is not None:
        checks.positive_int("task_batch_size", task_batch_size)
    gradients = batching.map_tasks(
        lambda one: objective_gradient(learner, meta_params, one),
        experience,
        batch_size=task_batch_size,
    )
    return jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), gradients)


def objective_gradient(
    learner: MetaLearner, meta_params: Params, experience: Experience
) -> Params:
    """The gradient of the objective of a checked learner, on one task."""
    assert learner.objective is not None
    return jax.grad(learner.objective, has_aux=True)(meta_params, experience)[0]


def check_learner(name: str, learner: Any) -> None:
    """Check that the argument called ``name`` has a meta-gradient.

    Raises:
        TypeError: if it is not a MetaLearner.
        ValueError: if it has no objective.
    """
    if not isinstance(learner, MetaLearner):
        raise TypeError(
            f"{name} must be a MetaLearner, such as jm.maml(...), got {learner!r}"
        )
    if learner.objective is None:
        raise ValueError(
            f"{name} has no objective to differentiate: its outer learner moves the "
            "meta-params by something else than a gradient (Reptile, evolution "
            "strategies). One of your own says it by Outer(..., objective=...)"
        )


def check_meta_params(name: str, learner: MetaLearner, meta_params: Params) -> None:
    """Check that the meta-params are like those the learner starts from.

    Raises:
        TypeError: if they are a whole MetaState.
        ValueError: if they have another structure, or other shapes.
    """
    if isinstance(meta_params, MetaState):
        raise TypeError(
            "meta_params must be state.meta_params, got the whole MetaState"
        )
    own = jax.eval_shape(lambda key: learner.init(key).meta_params, jax.random.key(0))
    if jax.tree.structure(own) != jax.tree.structure(meta_params):
        raise ValueError(
            f"meta_params: their structure is {jax.tree.structure(meta_params)}, that "
            f"of {name} {jax.tree.structure(own)}"
        )
    for path, theirs, ours in zip(
        trees.paths(own),
        jax.tree.leaves(meta_params),
        jax.tree.leaves(own),
        strict=True,
    ):
        if jnp.shape(theirs) != ours.shape:
            raise ValueError(
                f"meta_params: the shape of {path!r} is {jnp.shape(theirs)}, that of "
                f"{name} {ours.shape}"
            )


def check_common(
    key: Key, confidence: float, num_resamples: int, task_batch_size: int | None
) -> int:
    """Check the arguments of every diagnostic; ``num_resamples`` as an int.

    Raises:
        TypeError: if an argument is of the wrong type.
        ValueError: if a number is out of range.
    """
    checks.typed_key(key)
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie in (0, 1), got {confidence}")
    if task_batch_size is not None:
        checks.positive_int("task_batch_size", task_batch_size)
    return checks.positive_int("num_resamples", num_resamples)
