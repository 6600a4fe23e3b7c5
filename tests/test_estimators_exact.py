"""The mean of every estimator, by enumeration, is what ``expectations`` derives."""

import enumeration as en
import expectations as ex
import experiences as xp
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmeta as jm
from jaxmeta import losses, sampling
from jaxmeta.estimators import Estimator
from jaxmeta.losses.advantage_loss import advantage_loss
from jaxmeta.losses.dice import traced

SHAPE, RATE = (3, 2), 0.5
THETA = np.random.default_rng(7).normal(size=6)

ESTIMATORS = {
    "first_order": jm.estimators.first_order(),
    "plain": jm.estimators.plain(),
    "lvc": jm.estimators.lvc(),
    "dice": jm.estimators.dice(),
    "tmaml": jm.estimators.tmaml(),
    "loaded_dice": jm.estimators.loaded_dice(),
    "loaded_dice(0.5)": jm.estimators.loaded_dice(0.5),
    "emaml": jm.estimators.emaml(baseline=False),
    "emaml with baseline": jm.estimators.emaml(baseline=True),
    "leave_one_out": jm.estimators.leave_one_out(),
}

CURVATURES = {
    "first_order": ("first_order",),
    "plain": ("plain",),
    "lvc": ("lvc",),
    "dice": ("dice",),
    "tmaml": ("loaded_dice",),
    "loaded_dice": ("loaded_dice",),
    "loaded_dice(0.5)": ("loaded_dice", 0.5),
}


def expected(theta, tau, setting, drawn, num_updates):
    """The mean meta-gradient of each estimator."""
    each = {
        curvature: ex.mean_meta_gradient(
            curvature[0], theta, tau, setting, drawn, num_updates, *curvature[1:]
        )
        for curvature in dict.fromkeys(CURVATURES.values())
    }
    found = {name: each[curvature] for name, curvature in CURVATURES.items()}
    finite = jax.grad(
        lambda x: ex.finite_sample(x, x, tau, setting, drawn, num_updates)
    )(theta)
    return found | dict.fromkeys(list(ESTIMATORS)[len(CURVATURES) :], finite)


def tasks_and_baselines(discount, stochastic):
    """Three tasks, each without and with its exact values as baseline."""
    for tau in en.three_tasks(stochastic=stochastic):
        tau = jax.tree.map(jnp.asarray, tau)
        none = jnp.zeros((3, 3))
        setting = en.Setting(SHAPE, RATE, discount, none)
        yield tau, none
        yield tau, en.state_values(jnp.asarray(THETA), tau, setting)


@pytest.mark.parametrize(
    ("num_updates", "size", "discount", "stochastic"),
    [
        (1, 1, 1.0, False),
        (1, 2, 0.9, False),
        *(
            pytest.param(*row, marks=pytest.mark.slow)
            for row in [
                (2, 2, 0.9, False),
                (1, 1, 0.9, False),
                (1, 2, 1.0, False),
                (2, 1, 0.9, False),
                (2, 1, 1.0, False),
                (1, 2, 0.9, True),
                (2, 2, 1.0, False),
                (1, 1, 1.0, True),
                (1, 2, 1.0, True),
            ]
        ),
    ],
)
def test_the_mean_meta_gradient(num_updates, size, discount, stochastic):
    with jax.enable_x64(True):
        theta, count = jnp.asarray(THETA), 27 if stochastic else 8
        drawn = en.counted(count, size)

        @jax.jit
        def both(tau, table, *seen):
            setting = en.Setting(SHAPE, RATE, discount, table)
            want = expected(theta, tau, setting, drawn, num_updates)
            got = {}
            for name, estimator in ESTIMATORS.items():
                objective = xp.make_objective(estimator, discount, table, RATE)
                mean, _ = xp.moments(objective, theta, tau, setting, *seen)
                got[name] = mean
            return got, want

        seen = xp.all_experiences(count, size, num_updates)
        for tau, table in tasks_and_baselines(discount, stochastic):
            got, want = both(tau, table, *seen)
            for name in ESTIMATORS:
                np.testing.assert_allclose(
                    got[name], want[name], rtol=0, atol=1e-10, err_msg=name
                )
            assert np.abs(want["emaml"] - want["plain"]).max() > 1e-2
            assert np.abs(want["dice"] - want["plain"]).max() > 1e-2


def mean_hessians(tau, table, discount, **options):
    """The mean of minus the Hessian of each inner loss over single trajectories."""
    policy, advantage = xp.table_policy(), xp.advantage(discount, table, **options)
    made = {
        "plain": losses.policy_gradient(policy, advantage, average="episode"),
        "lvc": losses.likelihood_ratio(policy, advantage, average="episode"),
        "dice": losses.dice(policy, advantage, average="episode"),
        "tmaml": losses.dice(
            policy, advantage, control_variate=True, average="episode"
        ),
        "loaded_dice": losses.loaded_dice(policy, advantage, average="episode"),
        "loaded_dice(0.5)": losses.loaded_dice(
            policy, advantage, trace_decay=0.5, average="episode"
        ),
    }
    theta = jnp.asarray(THETA)
    weight = en.probabilities(theta, tau, SHAPE)

    def mean(loss):
        def one(index):
            batch = xp.transitions(tau, index[None], theta.reshape(SHAPE))
            return -jax.hessian(lambda x: loss(x.reshape(SHAPE), batch)[0])(theta)

        return jnp.tensordot(weight, jax.vmap(one)(jnp.arange(weight.size)), 1)

    return {name: mean(loss) for name, loss in made.items()}


def test_the_mean_hessian_of_inner_losses():
    """And a constant added to every reward is of no matter, for those that are exact.

    That is so because all episodes have as many steps: what a constant adds to the
    return is then no function of the params. Plain differentiation is off by it.
    """
    with jax.enable_x64(True):
        theta, discount = jnp.asarray(THETA), 0.9

        @jax.jit
        def both(tau, table):
            setting = en.Setting(SHAPE, RATE, discount, table)
            weight = en.probabilities(theta, tau, SHAPE)
            want = {
                name: jnp.tensordot(
                    weight, ex.curvatures(kind, theta, tau, setting, *trace_decay), 1
                )
                for name, (kind, *trace_decay) in CURVATURES.items()
            }
            exact = jax.hessian(en.expected_return)(theta, tau, setting)
            return mean_hessians(tau, table, discount), want, exact

        for tau, table in tasks_and_baselines(discount, stochastic=True):
            got, want, exact = both(tau, table)
            shifted, _, _ = both(tau._replace(rewards=tau.rewards + 3.0), table)
            for name, hessian in got.items():
                np.testing.assert_allclose(hessian, want[name], rtol=0, atol=1e-10)
                if name != "plain":
                    np.testing.assert_allclose(
                        shifted[name], hessian, rtol=0, atol=1e-12
                    )
            for name in ("dice", "tmaml", "loaded_dice"):
                np.testing.assert_allclose(got[name], exact, rtol=0, atol=1e-10)
            assert np.abs(shifted["plain"] - got["plain"]).max() > 0.1


def _surrogate_loss(surrogate):
    def inner_loss(policy, advantage):
        return advantage_loss(
            policy,
            advantage,
            surrogate,
            average="step",
            entropy_coefficient=0.0,
            value_coefficient=0.5,
        )

    return inner_loss


def _box_times_advantage(log_prob, old_log_prob, estimate, batch):
    trace = traced(log_prob, batch.timestep.is_first, 1.0)
    return jnp.exp(trace - jax.lax.stop_gradient(trace)) * estimate.advantages


def _no_stop_gradient(log_prob, old_log_prob, estimate, batch):
    trace = traced(log_prob, batch.timestep.is_first, 1.0)
    return (jnp.exp(trace) - jnp.exp(trace - log_prob)) * estimate.advantages


def _mean_of_scores(inner_loss, outer_loss):
    term = sampling.score_term(inner_loss, outer_loss, baseline=False)

    def averaged(inner, meta_params, states, experience, weights):
        count = experience.support.reward[0].size
        return term(inner, meta_params, states, experience, weights) / count

    return averaged


def _score_term(inner_loss, outer_loss):
    return sampling.score_term(inner_loss, outer_loss, baseline=False)


MUTANTS = {
    "mean for the sum of log-probs": (
        Estimator("", losses.policy_gradient, sampling_term=_mean_of_scores),
        {},
        ["emaml"],
    ),
    "box times advantage": (
        Estimator("", _surrogate_loss(_box_times_advantage)),
        {},
        ["dice", "tmaml"],
    ),
    "a dropped stop_gradient": (
        Estimator("", _surrogate_loss(_no_stop_gradient)),
        {},
        ["dice", "tmaml"],
    ),
    "normalised advantages": (
        Estimator("", losses.loaded_dice),
        {"normalize": True},
        ["dice", "tmaml"],
    ),
    "no discount of steps": (
        Estimator("", losses.loaded_dice),
        {"discount_steps": False},
        ["dice", "tmaml"],
    ),
    "DiCE and the score": (
        Estimator("", losses.dice, sampling_term=_score_term),
        {},
        ["dice", "emaml"],
    ),
}
"""Estimators that are wrong, options of their inner advantage, and what each is not."""


def test_mutants_are_told_apart():
    with jax.enable_x64(True):
        theta, discount = jnp.asarray(THETA), 0.9
        drawn = en.counted(8, 2)

        @jax.jit
        def both(tau, table, *seen):
            setting = en.Setting(SHAPE, RATE, discount, table)
            got = {}
            for name, (estimator, options, _) in MUTANTS.items():
                objective = xp.make_objective(
                    estimator, discount, table, RATE, **options
                )
                got[name], _ = xp.moments(objective, theta, tau, setting, *seen)
            return got, expected(theta, tau, setting, drawn, 1)

        seen = xp.all_experiences(8, 2, 1)
        for tau, table in tasks_and_baselines(discount, stochastic=False):
            got, want = both(tau, table, *seen)
            for name, (_, _, targets) in MUTANTS.items():
                for target in targets:
                    assert np.abs(got[name] - want[target]).max() > 1e-3, (name, target)
