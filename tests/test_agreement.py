import jax.numpy as jnp
import numpy as np
import pytest
from known_gradients import (
    MEAN,
    SHIFT,
    THETA,
    UNBIASED,
    contains,
    known_learner,
    tasks_of,
)

import jaxmeta as jm
from jaxmeta.diagnostics import pairs


def agreement(key, learner, *gradients, **options):
    options = {"num_tasks": 40, **options}
    tasks = tasks_of(*gradients)
    return jm.diagnostics.gradient_agreement(key, learner, THETA, tasks, **options)


SILENT = known_learner(lambda task, first, second: task)


def test_agreement_without_noise(key):
    """Alike, opposite, and at a right angle: E g = 0 and (2, 2)/2."""
    alike = agreement(key, SILENT, MEAN)
    np.testing.assert_allclose(alike, 1.0, rtol=1e-5)
    opposite = agreement(key, SILENT, MEAN, -MEAN)
    assert contains(opposite.cosine, 0.0)
    assert opposite.cosine.mean < 0.1
    np.testing.assert_allclose(opposite.cosine, opposite.coherence, atol=1e-5)
    right_angle = agreement(key, SILENT, MEAN, 10 * MEAN, num_tasks=200)
    np.testing.assert_allclose(right_angle.cosine, 1.0, rtol=1e-5)
    assert contains(right_angle.coherence, 11**2 / 2 / 101)


def test_pairs_of_tasks_are_of_different_ones(key):
    """Of two opposite tasks, one each, the cosine is -1, not that with itself."""
    counts = jnp.ones((1, 2))
    gradients = jnp.stack([MEAN, -MEAN])
    assert pairs.mean_over_pairs(counts, gradients, gradients) == -4.0
    twice = jnp.array([[2.0, 1.0]])  # one drawn twice is still no pair
    assert pairs.mean_over_pairs(twice, gradients, gradients) == -4.0


def test_agreement_is_not_lost_in_noise(key):
    """The naive cosine of single gradients would be 4 / (4 + SIZE) = 1 / 6."""
    result = agreement(key, UNBIASED, MEAN, num_tasks=100, num_experiences=8)
    for value in result:
        assert contains(value, 1.0)
        assert value.mean > 0.9
    half = agreement(key, UNBIASED, MEAN, 2 * SHIFT, num_tasks=100, num_experiences=8)
    for value in half:
        assert contains(value, 0.5)
        assert value.high < 0.9


def test_agreement_of_noise_is_unknown(key):
    nothing = known_learner(lambda task, first, second: first)
    result = agreement(key, nothing, MEAN, num_tasks=10, num_experiences=2)
    assert not jnp.isfinite(result.coherence.high)


def test_bad_arguments_of_agreement(key):
    with pytest.raises(ValueError, match="num_tasks must be at least 10, got 9"):
        agreement(key, UNBIASED, MEAN, num_tasks=9)
    with pytest.raises(ValueError, match="num_experiences must be at least 2, got 1"):
        agreement(key, UNBIASED, MEAN, num_experiences=1)
    with pytest.raises(TypeError, match="learner must be a MetaLearner"):
        agreement(key, None, MEAN)
    with pytest.raises(ValueError, match="task_batch_size must be at least 1, got 0"):
        jm.diagnostics.meta_gradient(UNBIASED, THETA, None, task_batch_size=0)
