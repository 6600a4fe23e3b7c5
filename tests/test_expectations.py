"""The truth the estimators are held against, against itself and finite differences."""

import enumeration as en
import expectations as ex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

SHAPE, RATE = (3, 2), 0.5
THETA = np.random.default_rng(7).normal(size=6)


def tasks(stochastic=False):
    return [
        jax.tree.map(jnp.asarray, tau) for tau in en.three_tasks(stochastic=stochastic)
    ]


def setting_of(tau, discount, with_baseline):
    setting = en.Setting(SHAPE, RATE, discount, jnp.zeros((3, 3)))
    if with_baseline:
        values = en.state_values(jnp.asarray(THETA), tau, setting)
        return setting._replace(baseline=values)
    return setting


@pytest.mark.parametrize("stochastic", [False, True])
def test_probabilities_scores_and_values_are_their_definitions(stochastic):
    with jax.enable_x64(True):
        theta = jnp.asarray(THETA)

        @jax.jit
        def check(tau):
            setting = en.Setting(SHAPE, RATE, 0.9, jnp.zeros((3, 3)))

            def log_probs(theta):
                return en.log_policy(theta, SHAPE)[tau.states, tau.actions]

            first = jax.jacobian(log_probs)(theta) - ex.scores(theta, tau, SHAPE)
            second = jax.hessian(log_probs)(theta)
            second = second - ex.score_derivatives(theta, tau, SHAPE)
            values = en.state_values(theta, tau, setting)
            value = en.expected_return(theta, tau, setting)
            total = en.probabilities(theta, tau, SHAPE).sum()
            return first, second, values[0, 0] - value, total - 1.0

        for tau in tasks(stochastic):
            for difference in check(tau):
                np.testing.assert_allclose(difference, 0.0, atol=1e-14)


@pytest.mark.parametrize("with_baseline", [False, True])
@pytest.mark.parametrize("discount", [1.0, 0.9])
def test_which_curvature_is_that_of_the_return(discount, with_baseline):
    """DiCE's and Loaded DiCE's at one; the others miss it by what they leave out."""
    with jax.enable_x64(True):
        theta = jnp.asarray(THETA)

        @jax.jit
        def means(tau, baseline):
            setting = en.Setting(SHAPE, RATE, discount, baseline)
            weight = en.probabilities(theta, tau, SHAPE)
            gradient = weight @ ex.estimates(theta, tau, setting)
            exact = jax.grad(en.expected_return)(theta, tau, setting)
            hessian = jax.hessian(en.expected_return)(theta, tau, setting)
            kinds = ("plain", "lvc", "dice", "loaded_dice")
            found = {
                kind: jnp.tensordot(weight, ex.curvatures(kind, theta, tau, setting), 1)
                for kind in kinds
            }
            half = ex.curvatures("loaded_dice", theta, tau, setting, 0.5)
            found["half"] = jnp.tensordot(weight, half, 1)
            none = ex.curvatures("loaded_dice", theta, tau, setting, 0.0)
            found["none"] = jnp.tensordot(weight, none, 1)
            distance = {k: jnp.abs(v - hessian).max() for k, v in found.items()}
            return gradient - exact, distance, found["none"] - found["lvc"]

        for tau in tasks(stochastic=True):
            setting = setting_of(tau, discount, with_baseline)
            error, distance, same = means(tau, setting.baseline)
            np.testing.assert_allclose(error, 0.0, atol=1e-14)
            np.testing.assert_allclose(same, 0.0, atol=1e-14)
            assert distance["dice"] < 1e-14
            assert distance["loaded_dice"] < 1e-14
            assert distance["lvc"] > distance["half"] > 1e-2
            assert distance["plain"] > 5e-2


@pytest.mark.parametrize(("num_updates", "size"), [(1, 1), (1, 2), (2, 1), (2, 2)])
def test_the_halves_of_the_finite_sample_gradient(num_updates, size):
    """Autodiff of the enumerated sum, explicit products and central differences."""
    with jax.enable_x64(True):
        theta = jnp.asarray(THETA)
        drawn = en.counted(8, size)

        @jax.jit
        def check(theta, tau, baseline):
            setting = en.Setting(SHAPE, RATE, 0.9, baseline)

            def value(theta, acting):
                return ex.finite_sample(theta, acting, tau, setting, drawn, num_updates)

            moved, drawn_anew = jax.grad(value, (0, 1))(theta, theta)
            plain = ex.mean_meta_gradient(
                "plain", theta, tau, setting, drawn, num_updates
            )
            term = ex.mean_sampling_term(theta, tau, setting, drawn, num_updates)

            def along(direction):
                def at(step):
                    return value(theta + step * direction, theta + step * direction)

                h = 1e-3
                near, far = at(h) - at(-h), at(2 * h) - at(-2 * h)
                return (8 * near - far) / (12 * h)

            numeric = jax.lax.map(along, jnp.eye(6))
            errors = moved - plain, drawn_anew - term, moved + drawn_anew - numeric
            return errors, jnp.abs(term).max()

        for tau in tasks():
            baseline = setting_of(tau, 0.9, with_baseline=True).baseline
            for table in (jnp.zeros((3, 3)), baseline):
                (first, second, numeric), size_of_term = check(theta, tau, table)
                np.testing.assert_allclose(first, 0.0, atol=1e-13)
                np.testing.assert_allclose(second, 0.0, atol=1e-13)
                np.testing.assert_allclose(numeric, 0.0, atol=1e-9)
                assert size_of_term > 1e-2
