import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmeta.distributions import Categorical, DiagonalGaussian

# XLA flushes subnormal numbers to zero on a CPU, NumPy does not.
floats = st.floats(-5, 5, width=32, allow_subnormal=False)


def categorical(logits):
    return Categorical(jnp.asarray(logits, jnp.float32))


def gaussian(mean, log_std):
    return DiagonalGaussian(jnp.asarray(mean), jnp.asarray(log_std))


@given(st.lists(floats, min_size=2, max_size=6))
@settings(deadline=None, max_examples=25)
def test_categorical_against_definitions(logits):
    distribution = categorical(logits)
    p = np.exp(np.asarray(logits, np.float64))
    p /= p.sum()
    actions = jnp.arange(len(logits))
    log_probs = jax.vmap(distribution.log_prob)(actions)
    np.testing.assert_allclose(log_probs, np.log(p), atol=1e-4)
    np.testing.assert_allclose(
        distribution.entropy(), -(p * np.log(p)).sum(), atol=1e-4
    )
    other = categorical(np.zeros(len(logits)))
    expected = (p * (np.log(p) + np.log(len(logits)))).sum()
    np.testing.assert_allclose(distribution.kl(other), expected, atol=1e-4)
    assert distribution.mode() == np.argmax(logits)


def test_gaussian_against_quadrature():
    p = gaussian([0.3], [-0.5])
    q = gaussian([-0.2], [0.1])
    x = jnp.linspace(-12, 12, 200_001)[:, None]
    step = 24 / 200_000
    log_p = jax.vmap(p.log_prob)(x)
    log_q = jax.vmap(q.log_prob)(x)
    density = jnp.exp(log_p)
    np.testing.assert_allclose(density.sum() * step, 1.0, rtol=1e-4)
    np.testing.assert_allclose(p.entropy(), -(density * log_p).sum() * step, rtol=1e-4)
    expected = (density * (log_p - log_q)).sum() * step
    np.testing.assert_allclose(p.kl(q), expected, rtol=1e-4)


def test_gaussian_sums_over_action_dimensions_and_not_over_batch():
    p = gaussian(jnp.zeros((5, 7, 3)), jnp.zeros((5, 7, 3)))
    single = gaussian(jnp.zeros(1), jnp.zeros(1))
    action = jnp.ones((5, 7, 3))
    assert p.log_prob(action).shape == p.entropy().shape == p.kl(p).shape == (5, 7)
    np.testing.assert_allclose(
        p.log_prob(action), 3 * float(single.log_prob(jnp.ones(1))), rtol=1e-6
    )
    np.testing.assert_allclose(p.kl(p), 0.0, atol=1e-6)


def test_samples_follow_the_distribution(key):
    keys = jax.random.split(key, 100_000)
    drawn = jax.vmap(categorical([0.0, 1.0, -1.0]).sample)(keys)
    frequency = np.bincount(drawn, minlength=3) / drawn.size
    np.testing.assert_allclose(
        frequency, jax.nn.softmax(jnp.array([0.0, 1, -1])), atol=0.01
    )
    drawn = jax.vmap(gaussian([1.0, -2.0], [0.5, -1.0]).sample)(keys)
    np.testing.assert_allclose(drawn.mean(0), [1.0, -2.0], atol=0.03)
    np.testing.assert_allclose(drawn.std(0), np.exp([0.5, -1.0]), rtol=0.02)


@pytest.mark.parametrize("method", ["entropy", "kl"])
def test_impossible_actions_have_finite_gradients(method):
    def value(logits):
        distribution = Categorical(jnp.append(logits, -jnp.inf))
        other = (Categorical(jnp.zeros(3)),) if method == "kl" else ()
        return getattr(distribution, method)(*other)

    assert np.isfinite(value(jnp.zeros(2)))
    assert np.all(np.isfinite(jax.grad(value)(jnp.zeros(2))))
