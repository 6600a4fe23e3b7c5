"""A meta-gradient estimator against another: bias, noise and direction."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jaxmeta import adaptation, batching, checks, trees
from jaxmeta.diagnostics import pairs
from jaxmeta.diagnostics.gradients import (
    check_common,
    check_learner,
    check_meta_params,
    objective_gradient,
)
from jaxmeta.evaluation import Interval, check_fit
from jaxmeta.types import Key, MetaLearner, Params, TaskDistribution


class Comparison(NamedTuple):
    """A meta-gradient estimator against a reference, each entry an ``Interval``.

    ``a`` and ``b`` are the gradients by the learner and by the reference on one batch
    of tasks, ``mu_a`` and ``mu_b`` their means. An estimate is NaN, and its interval
    all that is possible, where a mean cannot be told from zero: use more batches.

    Attributes:
        cosine: of ``mu_a`` and ``mu_b``; 1 if the bias is at most one of length.
        bias: ``|mu_a - mu_b| / |mu_b|``; its interval starts at 0 if there may be none.
        scale: ``<mu_a, mu_b> / |mu_b|^2``, 1 without bias. Another number beside a
            cosine of 1 is a difference of units (``average`` of the outer losses).
        spread: ``sqrt(E|a - mu_a|^2) / |mu_a|``, noise over signal of one batch.
        reference_spread: ``sqrt(E|b - mu_b|^2) / |mu_b|``.
        spread_ratio: ``sqrt(E|a - mu_a|^2 / E|b - mu_b|^2)``, known also where the
            means are not. In the same units, the learner needs its square times the
            tasks to have as little noise as the reference.
        alignment: ``E[cos(a, mu_b)]``, how well one batch points where it should.
        reference_alignment: ``E[cos(b, mu_b)]``.
    """

    cosine: Interval
    bias: Interval
    scale: Interval
    spread: Interval
    reference_spread: Interval
    spread_ratio: Interval
    alignment: Interval
    reference_alignment: Interval


def compare_estimators(
    key: Key,
    learner: MetaLearner,
    reference: MetaLearner,
    meta_params: Params,
    tasks: TaskDistribution,
    *,
    num_tasks: int,
    num_batches: int,
    confidence: float = 0.95,
    num_resamples: int = 1000,
    task_batch_size: int | None = None,
) -> Comparison:
    """Bias and noise of a learner's meta-gradient, against that of a reference.

    Make both alike but for their estimator, the reference with one that is unbiased for
    the objective you mean (see ``estimators``), and give both the same ``outer_loss``:
    by default estimators with a sampling term have one in other units. Each batch of
    ``num_tasks`` tasks is collected once and differentiated by both, so that much of
    the noise of their difference cancels.

    Inner products of means are those of different batches, whose noise is independent:
    ``<mu_a, mu_b> = mean_{i != j} a_i . b_j``. The norm of a mean of noisy gradients
    would be too long by its noise. Intervals are percentiles of the bootstrap over
    batches, where two draws of the same batch are no pair either. They are wider than
    they need be where there is no bias at all (Arcones and Gine, "On the Bootstrap of U
    and V Statistics", 1992).

    It is compiled; memory grows by two gradients per batch.

    Args:
        key: consumed.
        learner: whose meta-gradient to judge.
        reference: what to judge it by; it must collect and adapt like ``learner``.
        meta_params: where the gradients are taken.
        tasks: the distribution of tasks.
        num_tasks: ``M`` tasks per batch, as in a meta-update.
        num_batches: independent batches; at least 10. The resolution of the bias is
            about the spread divided by the square root of their number.
        confidence: of the intervals, in (0, 1).
        num_resamples: of the bootstrap.
        task_batch_size: tasks differentiated at a time; see ``batching.map_tasks``.

    Raises:
        TypeError: if an argument is of the wrong type.
        ValueError: if a number is out of range, if a learner has no objective, if the
            learners differ in what they collect or how they adapt, or if meta-params or
            tasks do not fit them.

    Source: Efron, "Bootstrap Methods: Another Look at the Jackknife", 1979; Hoeffding,
    "A Class of Statistics with Asymptotically Normal Distribution", 1948.
    """
    num_tasks = checks.positive_int("num_tasks", num_tasks)
    num_batches = checks.positive_int("num_batches", num_batches, minimum=pairs.FEWEST)
    num_resamples = check_common(key, confidence, num_resamples, task_batch_size)
    for name, each in {"learner": learner, "reference": reference}.items():
        check_learner(name, each)
        check_meta_params(name, each, meta_params)
        check_fit(each.environment, tasks.environment)
    _check_alike(meta_params, learner, reference, tasks)
    return _compare(
        key,
        meta_params,
        learner,
        reference,
        tasks,
        (num_tasks, num_batches, task_batch_size),
        confidence,
        num_resamples,
    )


@partial(jax.jit, static_argnums=(2, 3, 4, 5, 6, 7))
def _compare(
    key, meta_params, learner, reference, tasks, sizes, confidence, num_resamples
):
    num_tasks, num_batches, task_batch_size = sizes
    key_batches, key_resample = jax.random.split(key)

    def one_batch(key):
        def collect(key):
            return _collect(key, meta_params, reference, tasks)

        def both(experience):
            a = objective_gradient(learner, meta_params, experience)
            b = objective_gradient(reference, meta_params, experience)
            return ravel_pytree(a)[0], ravel_pytree(b)[0]

        experience = jax.vmap(collect)(jax.random.split(key, num_tasks))
        a, b = batching.map_tasks(both, experience, batch_size=task_batch_size)
        return jnp.mean(a, axis=0), jnp.mean(b, axis=0)

    a, b = jax.lax.map(one_batch, jax.random.split(key_batches, num_batches))
    counts = pairs.resample(key_resample, num_batches, num_resamples)
    aa, bb = (pairs.mean_over_pairs(counts, g, g) for g in (a, b))
    ab = pairs.mean_over_pairs(counts, a, b)
    # Not aa - 2 ab + bb: what is nearly the same would drown in rounding errors.
    squared_bias = pairs.mean_over_pairs(counts, a - b, a - b)
    norm_a, norm_b = pairs.positive_root(aa), pairs.positive_root(bb)
    noise_a, noise_b = pairs.noise(counts, a), pairs.noise(counts, b)
    alignments = [
        jnp.clip(pairs.mean_over_pairs(counts, pairs.unit(g), b) / norm_b, -1.0, 1.0)
        for g in (a, b)
    ]
    interval = partial(pairs.interval, confidence=confidence)
    return Comparison(
        cosine=interval(jnp.clip(ab / (norm_a * norm_b), -1.0, 1.0), -1.0, 1.0),
        bias=interval(jnp.sqrt(jnp.maximum(squared_bias, 0.0)) / norm_b, 0.0, jnp.inf),
        scale=interval(ab / norm_b**2, -jnp.inf, jnp.inf),
        spread=interval(noise_a / norm_a, 0.0, jnp.inf),
        reference_spread=interval(noise_b / norm_b, 0.0, jnp.inf),
        spread_ratio=interval(noise_a / noise_b, 0.0, jnp.inf),
        alignment=interval(alignments[0], -1.0, 1.0),
        reference_alignment=interval(alignments[1], -1.0, 1.0),
    )


def _collect(key, meta_params, learner: MetaLearner, tasks: TaskDistribution):
    """Experience of one new task."""
    key_task, key_collect = jax.random.split(key)
    return learner.collect(
        key_collect, meta_params, tasks.sample(key_task), environment=tasks.environment
    )


def _check_alike(meta_params, learner, reference, tasks) -> None:
    """Check that the experience of one learner is that of the other, too.

    Otherwise one would be differentiated on what the policy adapted by the other did.

    Raises:
        ValueError: if they collect or adapt in different ways.
    """
    key = jax.random.key(0)  # any will do: it is of no consequence for the results
    ours, theirs = (
        jax.eval_shape(partial(_collect, learner=each, tasks=tasks), key, meta_params)
        for each in (learner, reference)
    )
    if jax.tree.flatten(ours) != jax.tree.flatten(theirs):
        raise ValueError(
            "learner: what it collects has other shapes than that of reference; give "
            "both the same num_updates, num_episodes and length"
        )
    apart, moved, size = _adapted_apart(key, meta_params, learner, reference, tasks)
    # The first is a tolerance, the second what rounding makes of params that stay.
    if apart > 1e-3 * moved + 1e-5 * size:
        raise ValueError(
            "learner: on the same data it adapts to other params than reference; give "
            "both the same inner optimizer, and inner losses whose values agree"
        )


@partial(jax.jit, static_argnums=(2, 3, 4))
def _adapted_apart(key, meta_params, learner, reference, tasks):
    """How far apart two learners adapt, how far the reference moves, and its norm."""
    experience = _collect(key, meta_params, reference, tasks)
    ours, theirs = (
        adaptation.adaptation_path(meta_params, experience, inner=each.inner)[0]
        for each in (learner, reference)
    )
    start, end = (ravel_pytree(trees.at(theirs, index))[0] for index in (0, -1))
    other = ravel_pytree(trees.at(ours, -1))[0]
    norm = jnp.linalg.norm
    return norm(other - end), norm(end - start), norm(end)
