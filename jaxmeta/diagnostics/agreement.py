"""Whether the meta-gradients of different tasks agree."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jaxmeta import batching, checks
from jaxmeta.diagnostics import pairs
from jaxmeta.diagnostics.gradients import (
    check_common,
    check_learner,
    check_meta_params,
    objective_gradient,
)
from jaxmeta.evaluation import Interval, check_fit
from jaxmeta.types import Key, MetaLearner, Params, TaskDistribution


class Agreement(NamedTuple):
    """Whether the meta-gradients of the tasks agree, each entry an ``Interval``.

    Both estimate a property of the task distribution; noise can carry them a little
    beyond it, below 0 or above 1. An estimate is NaN, and its interval all of the line,
    where the gradients of a task cannot be told from noise: use more experiences.

    Attributes:
        cosine: of the gradients of two different tasks, on average.
        coherence: ``|E g|^2 / E|g|^2`` of the gradients ``g`` of tasks: 1 if they are
            all the same, 0 if they cancel. ``M`` equally long and unrelated ones have a
            mean of squared length ``1/M``.
    """

    cosine: Interval
    coherence: Interval


def gradient_agreement(
    key: Key,
    learner: MetaLearner,
    meta_params: Params,
    tasks: TaskDistribution,
    *,
    num_tasks: int,
    num_experiences: int = 4,
    confidence: float = 0.95,
    num_resamples: int = 1000,
) -> Agreement:
    """Whether the meta-gradients of different tasks point the same way.

    With independent experiences ``i, j`` of tasks ``s, t`` and their gradients ``g``::

        coherence = mean_{s != t} g_si . g_tj / mean_{s, i != j} g_si . g_sj

    and ``cosine`` the same of ``g / |g|``: the cosine of two tasks divided by that of
    two experiences of one task, so that noise, which shrinks both, cancels. It does so
    exactly if it is as strong in all tasks.

    Intervals are percentiles of the bootstrap over tasks. It is compiled; memory grows
    by ``num_experiences`` gradients per task.

    Args:
        key: consumed.
        learner: whose meta-gradient to take.
        meta_params: where to take it.
        tasks: the distribution of tasks.
        num_tasks: tasks; at least 10.
        num_experiences: independent experiences of each task; at least 2.
        confidence: of the intervals, in (0, 1).
        num_resamples: of the bootstrap.

    Raises:
        TypeError: if an argument is of the wrong type.
        ValueError: if a number is out of range, if the learner has no objective, or if
            meta-params or tasks do not fit it.

    Source: the correction of Spearman, "The Proof and Measurement of Association
    between Two Things", 1904; Efron, "Bootstrap Methods: Another Look at the
    Jackknife", 1979.
    """
    num_tasks = checks.positive_int("num_tasks", num_tasks, minimum=pairs.FEWEST)
    num_experiences = checks.positive_int("num_experiences", num_experiences, minimum=2)
    num_resamples = check_common(key, confidence, num_resamples, None)
    check_learner("learner", learner)
    check_meta_params("learner", learner, meta_params)
    check_fit(learner.environment, tasks.environment)
    return _agree(
        key,
        meta_params,
        learner,
        tasks,
        (num_tasks, num_experiences),
        confidence,
        num_resamples,
    )


@partial(jax.jit, static_argnums=(2, 3, 4, 5, 6))
def _agree(key, meta_params, learner, tasks, sizes, confidence, num_resamples):
    num_tasks, num_experiences = sizes
    key_tasks, key_resample = jax.random.split(key)

    def one_task(key):
        key_task, key_collect = jax.random.split(key)
        task = tasks.sample(key_task)

        def one_experience(key):
            experience = learner.collect(
                key, meta_params, task, environment=tasks.environment
            )
            return ravel_pytree(objective_gradient(learner, meta_params, experience))[0]

        keys = jax.random.split(key_collect, num_experiences)
        return batching.map_tasks(one_experience, keys)

    gradients = jax.lax.map(one_task, jax.random.split(key_tasks, num_tasks))
    counts = pairs.resample(key_resample, num_tasks, num_resamples)

    def ratio(gradients):
        means = jnp.mean(gradients, axis=1)
        between = pairs.mean_over_pairs(counts, means, means)
        once = jnp.ones((1, num_experiences))
        within = jax.vmap(lambda g: pairs.mean_over_pairs(once, g, g)[0])(gradients)
        within = jnp.matmul(counts, within, precision="highest") / num_tasks
        return between / jnp.where(within > 0, within, jnp.nan)

    return Agreement(
        cosine=pairs.interval(
            ratio(pairs.unit(gradients)), -jnp.inf, jnp.inf, confidence
        ),
        coherence=pairs.interval(ratio(gradients), -jnp.inf, jnp.inf, confidence),
    )
