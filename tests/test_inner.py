"""Inner learners and what differentiates through them, on quadratics."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxmeta import adaptation, implicit, inner, objectives, outer
from jaxmeta.policies.conditioning import ContextParams
from jaxmeta.types import Experience

CURVATURE = jnp.array([[2.0, 0.5], [0.5, 1.0]])
SUPPORT = jnp.array([[[1.0, -1.0]], [[0.5, 2.0]]])  # [K = 2, N = 1, 2]
QUERY = jnp.array([[2.0, 1.0]])


def quadratic(params, batch):
    """Half the squared distance to the batch's target, in the metric CURVATURE."""
    error = params - batch[0]
    return 0.5 * error @ CURVATURE @ error, {"error": jnp.sum(error)}


def experience(support=SUPPORT):
    keys = jax.random.split(jax.random.key(0), len(support) + 1)
    return Experience(keys=keys, support=support, query=QUERY)


def test_meta_sgd_gives_every_weight_its_own_rate():
    rates = jnp.array([0.1, -0.3])
    adapter = inner.meta_sgd(quadratic)
    start = inner.MetaSGDParams(jnp.array([0.3, -0.2]), rates)
    params, info = adaptation.adapt(start, experience(), inner=adapter)
    expected = np.array([0.3, -0.2])
    for target in np.asarray(SUPPORT[:, 0]):
        expected = expected - rates * (np.asarray(CURVATURE) @ (expected - target))
    np.testing.assert_allclose(params, expected, rtol=1e-5)
    assert info["gradient_norm"].shape == (2,)


@pytest.mark.parametrize("first_order", [False, True])
def test_the_gradient_by_meta_sgd_params_is_that_of_the_unrolled_updates(first_order):
    adapter = inner.meta_sgd(quadratic, first_order=first_order)
    start = inner.MetaSGDParams(jnp.array([0.3, -0.2]), jnp.array([0.1, 0.2]))
    objective = objectives.after_adaptation(adapter, quadratic)

    def unrolled(meta_params):
        params = meta_params.initial
        for target in SUPPORT[:, 0]:
            gradient = CURVATURE @ (params - target)
            if first_order:
                gradient = jax.lax.stop_gradient(gradient)
            params = params - meta_params.rates * gradient
        return quadratic(params, QUERY)[0]

    got = jax.grad(lambda p: objective(p, experience())[0])(start)
    expected = jax.grad(unrolled)(start)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    assert np.all(got.rates != 0)


def test_a_context_starts_from_zero_and_is_all_that_adapts():
    network = jnp.array([0.3, -0.2])

    def loss(params, batch):
        return quadratic(params.network + 2.0 * params.context, batch)

    adapter = inner.context(loss, optax.sgd(0.1))
    start = ContextParams(network, jnp.array([9.0, 9.0]))  # of no consequence
    params, _ = adaptation.adapt(start, experience(), inner=adapter)
    context = np.zeros(2)
    for target in np.asarray(SUPPORT[:, 0]):
        slope = 2.0 * np.asarray(CURVATURE) @ (network + 2.0 * context - target)
        context = context - 0.1 * slope
    np.testing.assert_allclose(params.context, context, rtol=1e-5)
    np.testing.assert_array_equal(params.network, network)
    objective = objectives.after_adaptation(adapter, loss)
    gradient = jax.grad(lambda p: objective(p, experience())[0])(start)
    np.testing.assert_array_equal(gradient.context, 0.0)
    assert np.all(gradient.network != 0)


def minimum(theta, strength):
    """Of the mean loss over the support plus the pull to theta."""
    target = SUPPORT[:, 0].mean(0)
    return jnp.linalg.solve(
        CURVATURE + strength * jnp.eye(2), CURVATURE @ target + strength * theta
    )


def test_proximal_updates_converge_to_the_minimum_with_the_pull():
    strength, theta = 0.7, jnp.array([0.3, -0.2])
    adapter = inner.proximal(quadratic, optax.sgd(0.3), strength=strength)
    same = jnp.broadcast_to(SUPPORT.mean(0), (80, 1, 2))
    params, _ = adaptation.adapt(theta, experience(same), inner=adapter)
    np.testing.assert_allclose(params, minimum(theta, strength), rtol=1e-5)


def test_the_implicit_gradient_is_that_of_the_minimum():
    """Whatever the path: two updates, or a hundred."""
    strength, theta = 0.7, jnp.array([0.3, -0.2])
    adapter = inner.proximal(quadratic, optax.sgd(0.3), strength=strength)
    adapted = implicit.adapted_params(adapter, quadratic, strength=strength, num_cg=5)
    cotangent = jnp.array([1.0, -2.0])
    got = jax.grad(lambda p: cotangent @ adapted(p, experience()))(theta)
    expected = jax.grad(lambda p: cotangent @ minimum(p, strength))(theta)
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    with pytest.raises(ValueError, match="num_cg must be at least 1, got 0"):
        implicit.adapted_params(adapter, quadratic, strength=1.0, num_cg=0)


@pytest.mark.parametrize("strength", [0.0, -1.0])
def test_a_pull_must_pull(strength):
    message = rf"strength must be positive, got {strength}"
    with pytest.raises(ValueError, match=message):
        inner.proximal(quadratic, optax.sgd(0.1), strength=strength)
    adapter = inner.proximal(quadratic, optax.sgd(0.1), strength=1.0)
    with pytest.raises(ValueError, match=message):
        implicit.adapted_params(adapter, quadratic, strength=strength, num_cg=1)


def test_reptile_moves_a_fraction_of_the_way_to_the_mean_of_the_adapted():
    adapter = inner.gradient(quadratic, optax.sgd(0.1), first_order=True)
    learner = outer.reptile(adapter, optax.sgd(0.25))
    start = jnp.array([0.3, -0.2])
    two = [experience(), experience(SUPPORT[::-1] * 3.0)]
    batch = Experience(
        keys=jnp.stack([one.keys for one in two]),
        support=jnp.stack([one.support for one in two]),
        query=jnp.stack([one.query for one in two]),
    )
    moved, _, info = learner.update(None, start, learner.init(start), batch)
    adapted = [adaptation.adapt(start, one, inner=adapter)[0] for one in two]
    expected = start + 0.25 * (jnp.mean(jnp.stack(adapted), axis=0) - start)
    np.testing.assert_allclose(moved, expected, rtol=1e-5)
    assert np.isfinite(info["meta_gradient_norm"])


@pytest.mark.parametrize(("curvature", "expected"), [(-0.5, 2.0), (-3.0, 1.0)])
def test_the_implicit_gradient_is_never_turned_round(curvature, expected):
    """Where the matrix is not positive, it is as in first-order MAML."""

    def loss(params, batch):
        return 0.5 * curvature * jnp.sum(params**2), {}

    adapter = inner.proximal(loss, optax.sgd(0.1), strength=1.0)
    adapted = implicit.adapted_params(adapter, loss, strength=1.0, num_cg=5)
    gradient = jax.grad(lambda p: jnp.sum(adapted(p, experience())))(jnp.ones(2))
    np.testing.assert_allclose(gradient, expected, rtol=1e-5)
