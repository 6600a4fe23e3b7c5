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


def bandit(sizes):
    """Bias to the limit and to the finite-sample gradient, and spread, by size."""
    found = []
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
    return found


@pytest.mark.slow  # by enumeration, beside the fast ones of test_estimators_exact
def test_slopes_on_a_bandit():
    sizes = (8, 24, 64)
    found = bandit(sizes)

    def column(name, what):
        return np.array([each[name][what] for each in found])

    finite = "to the finite-sample gradient"
    assert slope(sizes, column("dice", "to the limit")) == pytest.approx(-1, abs=0.1)
    for name in ("first_order", "plain"):
        for target in ("to the limit", finite):
            biases = column(name, target)
            assert slope(sizes, biases) == pytest.approx(0, abs=0.1)
            assert biases.min() > 1e-2
    for name in ("emaml", "leave_one_out"):
        np.testing.assert_allclose(column(name, finite), 0.0, atol=1e-10)
    exponents = {"leave_one_out": -0.5, "dice": -0.5, "plain": -0.5, "emaml": 0.5}
    for name, exponent in exponents.items():
        spreads = column(name, "spread")
        assert slope(sizes, spreads) == pytest.approx(exponent, abs=0.05), name


@pytest.mark.slow
def test_slopes_on_decision_problems():
    """Of means by definition, which ``test_estimators_exact`` holds the code to.

    Below four episodes the next order in 1/N still shows.
    """
    theta = np.random.default_rng(7).normal(size=6)
    sizes = (4, 8, 16)
    with jax.enable_x64(True):
        tasks = jax.tree.map(
            lambda *leaves: jnp.stack(leaves), *en.three_tasks(stochastic=False)
        )
        setting = en.Setting((3, 2), RATE, 0.9, jnp.zeros((3, 3)))

        @jax.jit
        def biases(theta, drawn):
            def differences(tau):
                limit = ex.limit_gradient(theta, tau, setting, 1)
                dice, plain, lvc, first_order = (
                    ex.mean_meta_gradient(kind, theta, tau, setting, drawn, 1)
                    for kind in ("dice", "plain", "lvc", "first_order")
                )
                term = ex.mean_sampling_term(theta, tau, setting, drawn, 1)
                finite = plain + term
                biased = (plain, lvc, first_order)
                return (
                    dice - limit,
                    finite - limit,
                    *(each - limit for each in biased),
                    *(each - finite for each in biased),
                )

            return [jnp.linalg.norm(each) for each in jax.vmap(differences)(tasks)]

        found = [biases(jnp.asarray(theta), en.counted(8, size)) for size in sizes]
    dice, finite, *constant = np.array(found).T
    assert slope(sizes, dice) == pytest.approx(-1, abs=0.1)
    assert slope(sizes, finite) == pytest.approx(-1, abs=0.1)
    for biases_of_one in constant:  # what else there is falls as 1/N
        assert slope(sizes[1:], biases_of_one[1:]) == pytest.approx(0, abs=0.1)
        assert biases_of_one.min() > 1e-3
