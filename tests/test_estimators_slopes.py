"""How bias and spread of the estimators go with the number of episodes, exactly.

On a bandit of two arms a batch is how often the first was pulled, so every support and
every query can be enumerated up to 64 episodes. On the decision problem the means of
DiCE are enumerated by counts of its eight trajectories.
"""

import enumeration as en
import expectations as ex
import experiences as xp
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmeta as jm

RATE = 0.5
ESTIMATORS = {
    "first_order": jm.estimators.first_order(),
    "plain": jm.estimators.plain(),
    "dice": jm.estimators.dice(),
    "emaml": jm.estimators.emaml(baseline=False),
    "leave_one_out": jm.estimators.leave_one_out(),
}


def slope(sizes, values):
    return np.polyfit(np.log(sizes), np.log(values), 1)[0]


@pytest.fixture(scope="module")
def bandit():
    """Bias to the limit and to the finite-sample gradient, and spread, by size."""
    sizes, found = (8, 24, 64), []
    with jax.enable_x64(True):
        theta, none = jnp.array([0.4, -0.3]), jnp.zeros((1, 1))
        tau = jax.tree.map(jnp.asarray, en.bandit([1.5, 0.2]))
        setting = en.Setting((1, 2), RATE, 1.0, none)

        @jax.jit
        def measure(seen, drawn):
            limit = ex.limit_gradient(theta, tau, setting, 1)
            finite = jax.grad(lambda x: ex.finite_sample(x, x, tau, setting, drawn, 1))(
                theta
            )
            measured = {}
            for name, estimator in ESTIMATORS.items():
                objective = xp.make_objective(estimator, 1.0, none, RATE)
                mean, square = xp.moments(objective, theta, tau, setting, *seen)
                measured[name] = {
                    "to the limit": jnp.linalg.norm(mean - limit),
                    "to the finite-sample gradient": jnp.linalg.norm(mean - finite),
                    "spread": jnp.sqrt(square - mean @ mean),
                }
            return measured

        for size in sizes:
            seen = xp.all_experiences(2, size, 1, num_query=size)
            found.append(jax.device_get(measure(seen, en.counted(2, size))))
    return sizes, found


def column(bandit, name, what):
    sizes, found = bandit
    return sizes, np.array([each[name][what] for each in found])


def test_the_bias_of_dice_falls_as_one_over_n(bandit):
    assert slope(*column(bandit, "dice", "to the limit")) == pytest.approx(-1, abs=0.1)


@pytest.mark.parametrize("target", ["to the limit", "to the finite-sample gradient"])
@pytest.mark.parametrize("name", ["first_order", "plain"])
def test_the_bias_of_plain_differentiation_does_not_fall(bandit, name, target):
    sizes, biases = column(bandit, name, target)
    assert slope(sizes, biases) == pytest.approx(0, abs=0.1)
    assert biases.min() > 1e-2


@pytest.mark.parametrize("name", ["emaml", "leave_one_out"])
def test_sampling_terms_have_no_bias(bandit, name):
    _, biases = column(bandit, name, "to the finite-sample gradient")
    np.testing.assert_allclose(biases, 0.0, atol=1e-10)


@pytest.mark.parametrize(
    ("name", "exponent"), [("leave_one_out", -0.5), ("emaml", 0.5), ("dice", -0.5)]
)
def test_how_the_spread_goes_with_n(bandit, name, exponent):
    found = slope(*column(bandit, name, "spread"))
    assert found == pytest.approx(exponent, abs=0.05)


def test_the_bias_of_dice_on_a_decision_problem():
    """Of its mean by definition, which ``test_estimators_exact`` holds the code to."""
    theta = np.random.default_rng(7).normal(size=6)
    sizes = (2, 4, 8, 12)
    with jax.enable_x64(True):
        tau = jax.tree.map(jnp.asarray, en.three_tasks(stochastic=False)[0])
        setting = en.Setting((3, 2), RATE, 0.9, jnp.zeros((3, 3)))

        @jax.jit
        def biases(theta, drawn):
            limit = ex.limit_gradient(theta, tau, setting, 1)
            finite = jax.grad(lambda x: ex.finite_sample(x, x, tau, setting, drawn, 1))(
                theta
            )
            dice, plain = (
                ex.mean_meta_gradient(kind, theta, tau, setting, drawn, 1)
                for kind in ("dice", "plain")
            )
            pairs = (dice, limit), (plain, limit), (plain, finite), (finite, limit)
            return [jnp.linalg.norm(a - b) for a, b in pairs]

        found = np.array(
            [biases(jnp.asarray(theta), en.counted(8, size)) for size in sizes]
        )
    dice, plain_limit, plain_finite, between = found.T
    assert slope(sizes, dice) == pytest.approx(-1, abs=0.1)
    assert slope(sizes, between) == pytest.approx(-1, abs=0.1)
    assert slope(sizes, plain_limit) == pytest.approx(0, abs=0.1)
    assert slope(sizes, plain_finite) == pytest.approx(0, abs=0.1)
