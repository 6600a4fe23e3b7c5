"""Outer learners: how the experience of a batch of tasks changes the meta-params."""

from collections.abc import Callable

import jax
import optax

from jaxmeta import batching, checks, trees
from jaxmeta.types import Experience, Info, Outer, Params

Objective = Callable[[Params, Experience], tuple[jax.Array, Info]]
"""``(meta_params, experience of one task) -> (scalar to minimise, info)``."""


def gradient(
    objective: Objective,
    optimizer: optax.GradientTransformation,
    *,
    num_epochs: int = 1,
    task_batch_size: int | None = None,
) -> Outer:
    """Descend the mean over tasks of a meta-objective, ``(1/M) sum_m objective_m``.

    Args:
        objective: what to minimise, on the experience of one task.
        optimizer: an optax transform for the meta-params.
        num_epochs: gradient steps on the same experience. With more than one,
            adaptation is repeated from the current meta-params each time, and the
            objective should keep them close to those that acted
            (``clipped_surrogate``).
        task_batch_size: tasks differentiated at a time; see ``batching.map_tasks``.

    Raises:
        ValueError: if ``num_epochs`` or ``task_batch_size`` is below one.
    """
    num_epochs = checks.positive_int("num_epochs", num_epochs)
    if task_batch_size is not None:
        checks.positive_int("task_batch_size", task_batch_size)
    value_and_gradient = jax.value_and_grad(objective, has_aux=True)

    def init(meta_params):
        return trees.strong_types(optimizer.init(meta_params))

    def update(key, meta_params, state, experience):
        del key

        def epoch(carry, _):
            meta_params, state = carry
            (loss, info), gradients = batching.mean_over_tasks(
                lambda one: value_and_gradient(meta_params, one),
                experience,
                batch_size=task_batch_size,
            )
            updates, state = optimizer.update(gradients, state, meta_params)
            meta_params = optax.apply_updates(meta_params, updates)
            norm = trees.safe_norm(gradients)
            info = {**info, "meta_loss": loss, "meta_gradient_norm": norm}
            return (meta_params, state), info

        (meta_params, state), info = jax.lax.scan(
            epoch, (meta_params, state), length=num_epochs
        )
        return meta_params, state, jax.tree.map(lambda leaf: leaf[-1], info)

    return Outer(init, update, objective=objective)
