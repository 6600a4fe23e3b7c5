"""Policies and losses of supervised tasks."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from test_supervised import CLUSTERS, SINUSOIDS, maml

import jaxmeta as jm
from jaxmeta.distributions import Categorical, DiagonalGaussian
from jaxmeta.types import Examples

# Policies and losses.


def test_a_regression_policy_is_a_gaussian_of_unit_variance(key):
    policy = jm.policies.mlp(SINUSOIDS.environment, hidden=(4,))
    params = policy.init(key)
    assert set(params["params"]) == {"policy_0", "policy_out"}
    examples = Examples(jnp.ones((6, 1)), jnp.zeros((6, 1)))
    distribution = jm.rollouts.predict(policy, params, examples)
    assert isinstance(distribution, DiagonalGaussian)
    assert distribution.mean.shape == (6, 1)
    np.testing.assert_array_equal(distribution.log_std, np.zeros((6, 1)))


class Affine(nnx.Module):
    def __init__(self, rngs):
        self.layer = nnx.Linear(1, 1, rngs=rngs)

    def __call__(self, x):
        return self.layer(x)


@pytest.mark.parametrize(
    "policy",
    [
        jm.policies.from_linen(nn.Dense(1), SINUSOIDS.environment),
        jm.policies.from_nnx(lambda rngs: Affine(rngs), SINUSOIDS.environment),
    ],
    ids=["linen", "nnx"],
)
def test_an_array_is_the_prediction(policy, key):
    output, _ = policy.apply(
        policy.init(key), (), jm.policies.first_timestep(SINUSOIDS.environment)
    )
    assert isinstance(output.distribution, DiagonalGaussian)
    np.testing.assert_array_equal(output.distribution.log_std, [0.0])


def test_logits_are_those_of_the_classes(key):
    policy = jm.policies.from_linen(nn.Dense(3), CLUSTERS.environment)
    output, _ = policy.apply(
        policy.init(key), (), jm.policies.first_timestep(CLUSTERS.environment)
    )
    assert isinstance(output.distribution, Categorical)


def test_losses_against_numpy(key):
    examples = Examples(jnp.array([[1.0], [2.0]]), jnp.array([[3.0], [-1.0]]))
    policy = jm.policies.from_linen(nn.Dense(1), SINUSOIDS.environment)
    params = {"params": {"kernel": jnp.array([[2.0]]), "bias": jnp.array([0.5])}}
    loss, info = jm.losses.squared_error(policy)(params, examples)
    np.testing.assert_allclose(loss, (0.5**2 + 5.5**2) / 2)  # of 2.5 and 4.5
    assert info["loss"] == loss
    loss, _ = jm.losses.negative_log_likelihood(policy)(params, examples)
    np.testing.assert_allclose(loss, (0.25 + 30.25) / 4 + np.log(2 * np.pi) / 2)

    policy = jm.policies.from_linen(nn.Dense(3), CLUSTERS.environment)
    params = policy.init(key)
    x, classes = jax.random.normal(key, (4, 2)), jnp.array([0, 2, 1, 1])
    logits = np.asarray(x @ params["params"]["kernel"], np.float64)
    loss, info = jm.losses.negative_log_likelihood(policy)(params, Examples(x, classes))
    log_sum = np.log(np.exp(logits).sum(1))
    np.testing.assert_allclose(
        loss, np.mean(log_sum - logits[np.arange(4), classes]), rtol=1e-5
    )
    assert info["loss"] == loss


def test_a_score_of_ones_own(key):
    tasks = jm.tasks.supervised(
        SINUSOIDS.sample,
        lambda key, task: (jax.random.normal(key, (1,)), task.amplitude),
        score=lambda distribution, target: target[0] + 10.0,
    )
    learner = maml(tasks)
    curve = jm.adaptation_curve(
        key, learner, learner.init(key).meta_params, tasks, num_tasks=5
    )
    assert np.all((curve > 10.0) & (curve < 15.0))
