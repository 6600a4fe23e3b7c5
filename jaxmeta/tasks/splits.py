"""Finite sets of tasks, split into tasks to train on and tasks held out."""

from typing import Any

import jax
import numpy as np

from jaxmeta import checks
from jaxmeta.types import Key, TaskDistribution


def finite(
    key: Key, tasks: TaskDistribution, *, num_train: int, num_test: int
) -> tuple[TaskDistribution, TaskDistribution]:
    """Draw a finite set of tasks once and split it: ``(train, test)``.

    Each half is a distribution that draws its tasks with equal probability.

    Raises:
        ValueError: if a test task equals a training task, as it may where the tasks
            are drawn from a few values; then nothing would be held out.
    """
    checks.typed_key(key)
    num_train = checks.positive_int("num_train", num_train)
    num_test = checks.positive_int("num_test", num_test)
    drawn = jax.vmap(tasks.sample)(jax.random.split(key, num_train + num_test))
    rows = np.concatenate(
        [
            np.asarray(leaf, np.float64).reshape(num_train + num_test, -1)
            for leaf in jax.tree.leaves(drawn)
        ],
        axis=1,
    )
    training = {row.tobytes() for row in rows[:num_train]}
    shared = sum(row.tobytes() in training for row in rows[num_train:])
    if shared:
        raise ValueError(
            f"{shared} of num_test={num_test} test tasks equal one of num_train="
            f"{num_train} training tasks: the distribution has too few distinct tasks "
            "for a held-out split of this size"
        )
    train = jax.tree.map(lambda leaf: leaf[:num_train], drawn)
    test = jax.tree.map(lambda leaf: leaf[num_train:], drawn)
    return _uniform_over(tasks, train, num_train), _uniform_over(tasks, test, num_test)


def _uniform_over(tasks: TaskDistribution, drawn: Any, count: int) -> TaskDistribution:
    def sample(key: Key) -> Any:
        index = jax.random.randint(key, (), 0, count)
        return jax.tree.map(lambda leaf: leaf[index], drawn)

    return TaskDistribution(tasks.environment, sample)
