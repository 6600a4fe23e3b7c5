"""Reptile: move towards the adapted params."""

import jax
import optax

from jaxmeta import adaptation, batching, checks, trees
from jaxmeta.types import Inner, Outer


def reptile(
    inner: Inner,
    optimizer: optax.GradientTransformation,
    *,
    task_batch_size: int | None = None,
) -> Outer:
    """Step along ``theta - mean_m theta'_m`` as if it were a gradient.

    Nothing is differentiated; the query is not used.

    Args:
        inner: how the data of one task changes the params, which are the meta-params.
        optimizer: an optax transform; ``optax.sgd(epsilon)`` moves a fraction
            ``epsilon`` of the way.
        task_batch_size: tasks adapted to at a time; see ``batching.map_tasks``.

    Source: Nichol, Achiam and Schulman, "On First-Order Meta-Learning Algorithms",
    2018.

    Raises:
        ValueError: if ``task_batch_size`` is below one.
    """
    if task_batch_size is not None:
        checks.positive_int("task_batch_size", task_batch_size)

    def init(meta_params):
        return trees.strong_types(optimizer.init(meta_params))

    def update(key, meta_params, state, experience):
        del key

        def displacement(one):
            params, info = adaptation.adapt(meta_params, one, inner=inner)
            moved = jax.tree.map(lambda old, new: old - new, meta_params, params)
            return moved, trees.at(info, -1)

        moved, info = batching.mean_over_tasks(
            displacement, experience, batch_size=task_batch_size
        )
        updates, state = optimizer.update(moved, state, meta_params)
        info = {**info, "meta_gradient_norm": trees.safe_norm(moved)}
        return optax.apply_updates(meta_params, updates), state, info

    return Outer(init, update)
