import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxmeta import outer
from jaxmeta.types import Experience

TARGETS = jnp.array([1.0, 2.0, 6.0])  # one per task, in the query


def quadratic(meta_params, experience):
    """Half the squared distance to the task's target."""
    error = meta_params - experience.query
    return 0.5 * error**2, {"error": error}


def update(learner, meta_params=0.0):
    experience = Experience(keys=None, support=None, query=TARGETS)
    state = learner.init(meta_params)
    return learner.update(jax.random.key(0), meta_params, state, experience)


def test_it_descends_the_mean_over_tasks():
    meta_params, _, info = update(outer.gradient(quadratic, optax.sgd(0.1)))
    np.testing.assert_allclose(meta_params, 0.1 * 3.0, rtol=1e-6)
    np.testing.assert_allclose(info["meta_loss"], (1 + 4 + 36) / 6, rtol=1e-6)
    np.testing.assert_allclose(info["meta_gradient_norm"], 3.0, rtol=1e-6)
    np.testing.assert_allclose(info["error"], -3.0, rtol=1e-6)


def test_epochs_are_steps_on_the_same_experience():
    learner = outer.gradient(quadratic, optax.sgd(0.1), num_epochs=4)
    meta_params, _, info = update(learner)
    np.testing.assert_allclose(meta_params, 3.0 * (1 - 0.9**4), rtol=1e-5)
    np.testing.assert_allclose(info["meta_gradient_norm"], 3.0 * 0.9**3, rtol=1e-5)


def test_the_state_of_the_optimizer_is_carried():
    learner = outer.gradient(quadratic, optax.sgd(0.1, momentum=0.5), num_epochs=2)
    meta_params, _, _ = update(learner)
    first = 0.1 * 3.0
    np.testing.assert_allclose(
        meta_params, first + 0.1 * (0.5 * 3.0 + (3.0 - first)), rtol=1e-5
    )


@pytest.mark.parametrize("size", [1, 2, 3, 10])
def test_the_size_of_a_task_batch_changes_nothing(size):
    """Two does not divide three: the last piece is smaller, its mean is not wrong."""
    learner = outer.gradient(quadratic, optax.sgd(0.1), task_batch_size=size)
    np.testing.assert_allclose(update(learner)[0], 0.3, rtol=1e-6)


def test_bad_arguments():
    with pytest.raises(ValueError, match="num_epochs must be at least 1, got 0"):
        outer.gradient(quadratic, optax.sgd(0.1), num_epochs=0)
    with pytest.raises(
        TypeError, match=r"task_batch_size must be an integer, got 1\.5"
    ):
        outer.gradient(quadratic, optax.sgd(0.1), task_batch_size=1.5)
