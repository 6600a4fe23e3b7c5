"""Gaussians squashed into bounds, and the policy that acts with them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.environments import spaces

import jaxmeta as jm
from jaxmeta.distributions import DiagonalGaussian, TanhGaussian
from jaxmeta.environments import TargetProbe
from jaxmeta.policies.networks import between

TASKS = jm.tasks.from_gymnax(TargetProbe())
LOW, HIGH = -1.0, 3.0
SHAPES = [(0.3, -0.5), (-2.0, 0.7), (1.0, 2.0), (0.5, -4.0)]


def squashed(mean, log_std, low=LOW, high=HIGH):
    mean, log_std = jnp.atleast_1d(mean), jnp.atleast_1d(log_std)
    full = functools.partial(jnp.full_like, mean)
    return TanhGaussian(mean, log_std, full(low), full(high))


def density(mean, log_std):
    """Actions, their weights and the true log-density, from ``u`` in float64."""
    u = np.linspace(mean - 9 * np.exp(log_std), mean + 9 * np.exp(log_std), 200_001)
    log_normal = -0.5 * ((u - mean) / np.exp(log_std)) ** 2 - log_std
    log_normal -= 0.5 * np.log(2 * np.pi)
    # 1 - tanh(u)^2 = 4 / (e^u + e^-u)^2
    log_derivative = np.log(4.0) - 2 * np.logaddexp(u, -u) + np.log((HIGH - LOW) / 2)
    actions = (HIGH + LOW) / 2 + (HIGH - LOW) / 2 * np.tanh(u)
    return u, actions, np.exp(log_normal) * (u[1] - u[0]), log_normal - log_derivative


@pytest.mark.parametrize(("mean", "log_std"), [(0.3, -0.5), (-0.8, -0.3), (0.5, -4)])
def test_densities_integrate_to_one_over_the_bounds(mean, log_std):
    edges = jnp.linspace(LOW, HIGH, 400_001)[:, None]
    middle = 0.5 * (edges[1:] + edges[:-1])
    p = jnp.exp(jax.vmap(squashed(mean, log_std).log_prob)(middle))
    np.testing.assert_allclose(p.mean() * (HIGH - LOW), 1.0, atol=2e-3)


@pytest.mark.parametrize(("mean", "log_std"), SHAPES)
def test_log_probabilities_are_those_of_the_change_of_variables(mean, log_std):
    u, actions, _, expected = density(mean, log_std)
    p = squashed(mean, log_std)
    inside = np.abs(u) < 3.5  # beyond, float32 actions have lost what u was
    found = jax.vmap(p.log_prob)(jnp.asarray(actions[inside], jnp.float32)[:, None])
    np.testing.assert_allclose(found, expected[inside], rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize(("mean", "log_std"), SHAPES)
def test_entropy_against_integration(mean, log_std):
    _, _, weights, log_p = density(mean, log_std)
    entropy = squashed(mean, log_std).entropy()
    np.testing.assert_allclose(entropy, -(weights * log_p).sum(), atol=1e-3)


def test_divergence_is_that_of_the_gaussians_and_of_the_densities():
    p, q = squashed(0.3, -0.5), squashed(-0.4, 0.1)
    gaussians = [DiagonalGaussian(d.mean, d.log_std) for d in (p, q)]
    np.testing.assert_allclose(p.kl(q), gaussians[0].kl(gaussians[1]), rtol=1e-6)
    u, _, weights, log_p = density(0.3, -0.5)
    log_q = -0.5 * ((u + 0.4) / np.exp(0.1)) ** 2 - 0.1 - 0.5 * np.log(2 * np.pi)
    log_q -= np.log(4.0) - 2 * np.logaddexp(u, -u) + np.log((HIGH - LOW) / 2)
    np.testing.assert_allclose(p.kl(q), (weights * (log_p - log_q)).sum(), rtol=1e-4)


def test_draws_come_with_their_log_probability(key):
    p = squashed(jnp.array([0.2, -0.7]), jnp.array([-0.5, 0.1]))
    keys = jax.random.split(key, 1000)
    actions, log_probs = jax.vmap(p.sample_and_log_prob)(keys)
    np.testing.assert_array_equal(actions, jax.vmap(p.sample)(keys))
    np.testing.assert_allclose(
        log_probs, jax.vmap(p.log_prob)(actions), rtol=1e-3, atol=1e-3
    )
    np.testing.assert_allclose(-log_probs.mean(), p.entropy(), atol=0.15)


def test_shapes_sum_over_action_dimensions_and_not_over_batch(key):
    zeros = jnp.zeros((5, 7, 3))
    p = squashed(zeros, zeros)
    single = squashed(0.0, 0.0)
    action, log_prob = p.sample_and_log_prob(key)
    assert action.shape == p.mode().shape == (5, 7, 3)
    assert log_prob.shape == p.log_prob(action).shape == p.kl(p).shape == (5, 7)
    np.testing.assert_allclose(p.entropy(), np.full((5, 7), 3 * single.entropy()))
    np.testing.assert_allclose(p.mode(), 1.0)


@pytest.mark.parametrize("mean", [0.0, 30.0, -30.0])
def test_values_and_gradients_are_finite_at_the_bounds(mean, key):
    def drawn(mean, log_std):
        action, log_prob = squashed(mean, log_std).sample_and_log_prob(key)
        return jnp.sum(action) + log_prob

    functions = [drawn, lambda m, s: squashed(m, s).entropy()]
    for action in (LOW, HIGH, HIGH + 1):
        at = jnp.array([action])
        functions.append(lambda m, s, at=at: squashed(m, s).log_prob(at))
    for function in functions:
        value, gradients = jax.value_and_grad(function, (0, 1))(mean, 0.5)
        assert np.isfinite(value)
        assert np.all(np.isfinite(gradients))


def test_saturated_draws_keep_their_log_probability(key):
    """At u = 30 float32 has tanh(u) = 1, and log(1 - tanh^2) = 2 log 2 - 60."""
    action, log_prob = squashed(30.0, -10.0, -1.0, 1.0).sample_and_log_prob(key)
    assert action[0] == 1.0
    noise = float(jax.random.normal(key, (1,))[0])
    base = -0.5 * (noise**2 + np.log(2 * np.pi)) + 10.0
    np.testing.assert_allclose(log_prob, base - 2 * np.log(2) + 60, rtol=1e-4)


def test_the_policy_acts_within_the_bounds_and_by_its_observation(key):
    environment = TASKS.environment
    policy = jm.policies.squashed(environment, hidden=(8,))
    params = policy.init(key)
    timestep = jm.policies.first_timestep(environment)
    keys = jax.random.split(key, 1000)

    def act(observation, params=params):
        seen = timestep._replace(observation=observation)
        return policy.apply(params, (), seen)[0].distribution

    first, second = act(jnp.zeros(2)), act(jnp.full(2, 10.0))
    assert np.any(first.mean != second.mean)
    assert np.any(first.log_std != second.log_std)
    actions = jax.vmap(first.sample)(keys)
    assert actions.shape == (1000, 1)
    assert np.all(np.abs(actions) <= 2)
    # Before learning it looks nearly everywhere.
    assert actions.min() < -1.5
    assert actions.max() > 1.5
    # Its standard deviation is never out of bounds, whatever the weights.
    huge = jax.tree.map(lambda leaf: 1e4 * leaf, params)
    wild = jnp.stack([act(jnp.full(2, x), huge).log_std for x in (-1.0, 1.0, 30.0)])
    assert np.all((wild >= -20.0) & (wild <= 2.0))
    assert wild.max() - wild.min() > 1.0


@pytest.mark.parametrize("log_std", [-20.0, -2.0])
def test_log_probabilities_of_draws_average_to_minus_the_entropy(log_std, key):
    """Also where the draw has lost the noise it is made of to rounding."""
    mean, bound = jnp.array([1.3]), jnp.ones(1)
    one = TanhGaussian(mean, jnp.full(1, log_std), -bound, bound)
    found = jax.vmap(lambda k: one.sample_and_log_prob(k)[1])(
        jax.random.split(key, 20_000)
    )
    error = float(found.std()) / 20_000**0.5
    assert abs(float(found.mean() + one.entropy())) < 5 * error


def test_standard_deviations_stay_between_bounds_with_a_gradient():
    x = jnp.array([-60.0, -19.0, -8.0, 0.0, 1.5, 40.0])
    of_squashed = functools.partial(between, low=-20.0, high=2.0)
    y = jax.vmap(of_squashed)(x)
    assert np.all((y >= -20.0) & (y <= 2.0))
    assert np.all(np.diff(y) > 0)
    np.testing.assert_allclose(y[2], -8.0, atol=1e-3)
    assert np.all(jax.vmap(jax.grad(of_squashed))(x[1:5]) > 0.1)


@pytest.mark.parametrize(
    ("space", "options", "error", "message"),
    [
        (spaces.Discrete(3), {}, ValueError, "squashed needs a Box"),
        (
            spaces.Box(-jnp.inf, jnp.inf, (1,), jnp.float32),
            {},
            ValueError,
            r"lie between \[-inf\] and \[inf\]; policies\.squashed needs finite bounds",
        ),
        (
            spaces.Box(1.0, 1.0, (1,), jnp.float32),
            {},
            ValueError,
            r"lower bounds \[1\.\] .* must be below",
        ),
        (None, {"hidden": 64}, TypeError, "hidden must be a sequence of sizes, got 64"),
        (None, {"hidden": (0,)}, ValueError, "hidden must be at least 1, got 0"),
    ],
)
def test_bad_arguments(space, options, error, message):
    environment = TASKS.environment
    if space is not None:
        environment = environment._replace(action=space)
    with pytest.raises(error, match=message):
        jm.policies.squashed(environment, **options)


def test_a_dataset_is_refused():
    dataset = jm.tasks.sinusoids().environment
    with pytest.raises(ValueError, match="it is a Dataset"):
        jm.policies.squashed(dataset)
