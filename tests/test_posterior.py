"""The posterior of a latent: a product of Gaussians, and draws of it to act on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_pearl import TASKS, learner

from jaxmeta import adaptation, inner
from jaxmeta.distributions import DiagonalGaussian
from jaxmeta.posterior import multiply, no_factors


def gaussians(key, *shape):
    key_mean, key_std = jax.random.split(key)
    return DiagonalGaussian(
        jax.random.normal(key_mean, shape), 0.5 * jax.random.normal(key_std, shape)
    )


# The posterior.


def test_a_product_of_gaussians_is_the_normalised_product_of_densities(key):
    factors = gaussians(key, 4, 1)
    z = jnp.linspace(-10, 10, 20_001)
    logs = jax.vmap(lambda z: factors.log_prob(jnp.full((4, 1), z)).sum())(z)
    density = np.exp(logs - logs.max(), dtype=np.float64)
    density /= density.sum()
    mean = (density * z).sum()
    std = np.sqrt((density * (z - mean) ** 2).sum())
    found = multiply(no_factors(1), factors).gaussian()
    np.testing.assert_allclose(found.mean, [mean], rtol=1e-4)
    np.testing.assert_allclose(jnp.exp(found.log_std), [std], rtol=1e-4)


def test_the_order_and_the_grouping_of_factors_make_no_difference(key):
    factors = gaussians(key, 6, 3)
    together = multiply(no_factors(3), factors).gaussian()
    order = jax.random.permutation(key, 6)
    shuffled = jax.tree.map(lambda leaf: leaf[order], factors)
    product = no_factors(3)
    for part in (slice(0, 2), slice(2, 6)):
        product = multiply(product, jax.tree.map(lambda x, p=part: x[p], shuffled))
    for a, b in zip(product.gaussian(), together, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert int(product.num_factors) == 6


def test_factors_of_weight_zero_do_not_count_and_no_factors_are_the_prior(key):
    factors = gaussians(key, 2, 3, 4)
    weights = jnp.array([[1, 1, 1], [0, 0, 0]])
    some = multiply(no_factors(4), factors, weights).gaussian()
    first = jax.tree.map(lambda leaf: leaf[0], factors)
    for a, b in zip(some, multiply(no_factors(4), first).gaussian(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    for product in (no_factors(4), multiply(no_factors(4), factors, 0 * weights)):
        np.testing.assert_array_equal(product.gaussian().mean, np.zeros(4))
        np.testing.assert_array_equal(product.gaussian().log_std, np.zeros(4))


@pytest.mark.slow
def test_an_agent_acts_on_draws_of_all_that_it_has_seen(key):
    """The latent after two batches is a draw from the product of both."""

    def encode(meta_params, batch):
        mean = jnp.stack([batch.reward, 2 * batch.reward], axis=-1)
        return DiagonalGaussian(mean + meta_params.actor, jnp.zeros_like(mean))

    learned = inner.posterior(encode, 2)
    made = learner()
    state = made.init(key)
    experience = jax.jit(made.collect)(key, state.meta_params, TASKS.sample(key))
    meta_params = state.meta_params._replace(actor=jnp.ones(()))

    def latents(key):
        keys = jax.random.split(key, 3)
        again = experience._replace(keys=keys)
        params, _ = adaptation.adaptation_path(meta_params, again, inner=learned)
        return params.context

    drawn = jax.jit(jax.vmap(latents))(jax.random.split(key, 4000))  # [4000, 3, 2]
    rewards = experience.support.reward.reshape(2, -1)
    one, both = rewards[0].mean(), rewards.mean()
    means = np.array([[0, 0], [1 + one, 1 + 2 * one], [1 + both, 1 + 2 * both]])
    count = np.array([1, 1, 2])[:, None]  # one step per episode, and the prior's
    error = 5 / np.sqrt(4000 * count)
    assert np.all(np.abs(drawn.mean(0) - means) < error)
    np.testing.assert_allclose(
        drawn.std(0), np.broadcast_to(1 / np.sqrt(count), (3, 2)), rtol=0.06
    )


def test_collect_acts_on_what_adapt_infers(key):
    made = learner()
    meta_params = made.init(key).meta_params
    experience = jax.jit(made.collect)(key, meta_params, TASKS.sample(key))
    params, _ = made.adapt(meta_params, experience)
    output, _ = made.policy.apply(
        params, (), jax.tree.map(lambda x: x[0, 0], experience.query.timestep)
    )
    acted = jax.tree.map(lambda leaf: leaf[0, 0], experience.query.distribution)
    for a, b in zip(output.distribution, acted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


# The losses.
