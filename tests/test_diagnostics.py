import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from known_gradients import (
    BIASED,
    DOUBLE,
    MEAN,
    NOISY,
    POLICY,
    PROBE,
    SIZE,
    THETA,
    UNBIASED,
    contains,
    known_learner,
    tasks_of,
)

import jaxmeta as jm
from jaxmeta.diagnostics import comparison
from jaxmeta.types import MetaState


def compare(key, learner, reference, **options):
    options = {"num_tasks": 4, "num_batches": 400, **options}
    tasks = tasks_of(MEAN)
    return jm.diagnostics.compare_estimators(
        key, learner, reference, THETA, tasks, **options
    )


def test_a_bias_of_known_size(key):
    """Noise cancels exactly in the difference, not in the cosine."""
    result = compare(key, BIASED, UNBIASED)
    assert contains(result.bias, 0.5)
    assert contains(result.cosine, 2 / 5**0.5)
    assert contains(result.scale, 1.0)
    # Both have noise of variance SIZE / num_tasks, and means of length sqrt(5) and 2.
    for spread, length in ((result.spread, 5**0.5), (result.reference_spread, 2.0)):
        assert contains(spread, 5**0.5 / length)
        assert spread.high - spread.low < 0.3
    np.testing.assert_allclose(result.spread_ratio, 1.0, rtol=1e-5)
    assert result.bias.low > 0.45
    assert result.cosine.high < 1.0


def test_noise_is_not_taken_for_bias(key):
    """Both means are the same; those of 100 batches are half of one apart."""
    result = compare(key, NOISY, UNBIASED, num_batches=100)
    assert result.bias.low == 0.0
    assert result.bias.mean < 0.3
    assert contains(result.cosine, 1.0)
    assert result.cosine.mean > 0.95
    assert contains(result.scale, 1.0)
    assert contains(result.spread, 45**0.5 / 2)
    assert contains(result.spread_ratio, 3.0)


def test_alignment_is_the_mean_cosine_to_the_true_gradient(key):
    """To that, not to a mean of ten batches, which its noise makes 6% too long."""

    def one(key):
        return comparison._compare(
            key, THETA, NOISY, UNBIASED, tasks_of(MEAN), (4, 10, None), 0.95, 10
        )

    result = jax.jit(jax.vmap(one))(jax.random.split(key, 400))
    noises = np.random.default_rng(0).normal(size=(100_000, SIZE))
    for alignment, noise in (
        (result.alignment, 9.0),
        (result.reference_alignment, 1.0),
    ):
        drawn = MEAN + (noise / 4) ** 0.5 * noises
        expected = np.mean(drawn[:, 0] / np.linalg.norm(drawn, axis=1))
        error = np.std(alignment.mean) / 400**0.5
        assert abs(np.mean(alignment.mean) - expected) < 3.5 * error


def test_units_show_in_the_scale(key):
    result = compare(key, DOUBLE, UNBIASED)
    np.testing.assert_allclose(result.scale, 2.0, rtol=1e-5)
    np.testing.assert_allclose(result.cosine, 1.0, rtol=1e-5)
    np.testing.assert_allclose(result.bias, 1.0, rtol=1e-5)
    np.testing.assert_allclose(result.spread_ratio, 2.0, rtol=1e-5)
    np.testing.assert_allclose(result.spread, result.reference_spread, rtol=1e-5)


def test_what_cannot_be_known_is_said(key):
    """A gradient whose mean is zero has no direction."""
    nothing = known_learner(lambda task, first, second: first)
    tasks = tasks_of(MEAN)
    for seed in range(3):
        result = jm.diagnostics.compare_estimators(
            jax.random.key(seed),
            UNBIASED,
            nothing,
            THETA,
            tasks,
            num_tasks=4,
            num_batches=10,
        )
        assert jnp.isinf(result.bias.high)
        assert (result.cosine.low, result.cosine.high) == (-1.0, 1.0)
        assert contains(result.spread_ratio, 1.0)
        assert result.spread_ratio.high < 1.5


@pytest.mark.parametrize(
    ("learner", "truths"),
    [
        (NOISY, {"bias": 0.0, "cosine": 1.0, "spread": 45**0.5 / 2}),
        (BIASED, {"bias": 0.5, "cosine": 2 / 5**0.5, "spread": 1.0}),
    ],
)
def test_intervals_cover_the_truth(key, learner, truths):
    """In 95% of repetitions, or more where there is no bias."""

    def one(key):
        return comparison._compare(
            key, THETA, learner, UNBIASED, tasks_of(MEAN), (4, 50, None), 0.95, 200
        )

    result = jax.jit(jax.vmap(one))(jax.random.split(key, 100))
    for name, truth in truths.items():
        interval = getattr(result, name)
        low, high = np.asarray(interval.low), np.asarray(interval.high)
        covered = np.mean((low <= truth + 1e-5) & (truth - 1e-5 <= high))
        assert covered >= 0.85, name


def maml(estimator, **options):
    options = {
        "inner_optimizer": optax.sgd(0.5),
        "outer_optimizer": optax.sgd(1.0),
        "num_tasks": 3,
        "num_updates": 1,
        "num_episodes": 20,
        "outer_loss": jm.losses.policy_gradient(
            POLICY, jm.advantages.reward_to_go(), average="episode"
        ),
        "inner_advantage": jm.advantages.reward_to_go(),
        **options,
    }
    return jm.maml(PROBE, POLICY, estimator=estimator, **options)


def on_the_probe(key, learner, reference, num_batches=10, **options):
    meta_params = learner.init(jax.random.key(1)).meta_params
    return jm.diagnostics.compare_estimators(
        key, learner, reference, meta_params, PROBE, num_batches=num_batches, **options
    )


@pytest.mark.slow
def test_an_estimator_against_itself(key):
    result = on_the_probe(key, maml("lvc"), maml("lvc"), num_tasks=5)
    np.testing.assert_allclose(result.bias, 0.0, atol=1e-5)
    for one in (result.cosine, result.scale, result.spread_ratio):
        np.testing.assert_allclose(one, 1.0, rtol=1e-5)


@pytest.mark.slow
def test_leave_one_out_has_the_mean_of_emaml_and_less_noise(key):
    learner, reference = maml("leave_one_out"), maml("emaml")
    result = on_the_probe(key, learner, reference, num_batches=50, num_tasks=10)
    assert result.bias.low == 0.0
    assert contains(result.cosine, 1.0)
    assert result.bias.high < 0.5
    assert result.spread_ratio.high < 0.5
    assert result.alignment.mean > result.reference_alignment.mean


def promp():
    return jm.promp(
        PROBE,
        POLICY,
        inner_optimizer=optax.sgd(0.5),
        outer_optimizer=optax.sgd(1.0),
        num_tasks=3,
        num_updates=1,
        num_episodes=20,
        num_epochs=1,
        kl_coefficient=100.0,  # at the params that acted it has no gradient
    )


@pytest.mark.slow
def test_the_meta_gradient_is_what_an_update_descends(key):
    learner = promp()

    @jax.jit
    def both(state):
        key_tasks, key_collect, _ = jax.random.split(key, 3)
        tasks = jax.vmap(PROBE.sample)(jax.random.split(key_tasks, 3))
        keys = jax.random.split(key_collect, 3)
        collect = jax.vmap(learner.collect, in_axes=(0, None, 0))
        experience = collect(keys, state.meta_params, tasks)
        gradient = jm.diagnostics.meta_gradient(learner, state.meta_params, experience)
        return gradient, learner.update(key, state)[0].meta_params

    state = learner.init(jax.random.key(1))
    gradient, updated = both(state)
    moved = jax.tree.map(jnp.subtract, state.meta_params, updated)
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-6),
        moved,
        gradient,
    )
    assert jm.trees.safe_norm(gradient) > 1e-2


def trust_region():
    return jm.maml_trpo(
        PROBE,
        POLICY,
        inner_optimizer=optax.sgd(0.5),
        num_tasks=2,
        num_updates=1,
        num_episodes=2,
    )


def test_all_that_have_an_objective_say_so():
    assert trust_region().objective is not None
    assert promp().objective is not None


@pytest.mark.parametrize("method", ["reptile", "es_maml"])
def test_without_an_objective(key, method):
    sigma = {"sigma": 0.1} if method == "es_maml" else {}
    without = getattr(jm, method)(
        PROBE,
        POLICY,
        inner_optimizer=optax.sgd(0.5),
        outer_optimizer=optax.sgd(1.0),
        num_tasks=2,
        num_updates=1,
        num_episodes=2,
        **sigma,
    )
    with pytest.raises(ValueError, match="reference has no objective to differentiate"):
        on_the_probe(key, maml("lvc"), without, num_tasks=1)
    with pytest.raises(ValueError, match="learner has no objective to differentiate"):
        jm.diagnostics.gradient_agreement(key, without, None, PROBE, num_tasks=10)


def test_learners_that_cannot_be_compared(key):
    lvc = maml("lvc")
    longer = maml("lvc", num_updates=2)
    with pytest.raises(ValueError, match="learner: what it collects has other shapes"):
        on_the_probe(key, longer, lvc, num_tasks=1)
    slower = maml("lvc", inner_optimizer=optax.sgd(0.4))
    with pytest.raises(ValueError, match="learner: on the same data it adapts to othe"):
        on_the_probe(key, slower, lvc, num_tasks=1)
    fast = known_learner(lambda task, a, b: task, num_updates=1, rate=1.0)
    still = known_learner(lambda task, a, b: task, num_updates=1)
    with pytest.raises(ValueError, match="learner: on the same data it adapts to othe"):
        compare(key, fast, still)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_tasks": 0}, ValueError, "num_tasks must be at least 1, got 0"),
        ({"num_tasks": 2.5}, TypeError, "num_tasks must be an integer"),
        ({"num_batches": 9}, ValueError, "num_batches must be at least 10, got 9"),
        ({"num_resamples": 0}, ValueError, "num_resamples must be at least 1"),
        ({"confidence": 95}, ValueError, r"confidence must lie in \(0, 1\), got 95"),
        ({"task_batch_size": 0}, ValueError, "task_batch_size must be at least 1"),
        ({"key": 0}, TypeError, "key must be a typed key"),
        ({"learner": "lvc"}, TypeError, "learner must be a MetaLearner"),
        ({"reference": None}, TypeError, "reference must be a MetaLearner"),
        ({"meta_params": {"a": THETA}}, ValueError, "meta_params: their structure"),
        ({"meta_params": THETA[1:]}, ValueError, r"the shape of '' is \(19,\)"),
        (
            {"meta_params": MetaState(THETA, (), THETA)},
            TypeError,
            r"meta_params must be state\.meta_params",
        ),
        (
            {"tasks": jm.tasks.from_gymnax("CartPole-v1", horizon=2)},
            ValueError,
            "tasks: the observation of their environment",
        ),
    ],
)
def test_bad_arguments(key, options, error, message):
    good = {
        "key": key,
        "learner": UNBIASED,
        "reference": UNBIASED,
        "meta_params": THETA,
        "tasks": tasks_of(MEAN),
        "num_tasks": 1,
        "num_batches": 10,
    }
    with pytest.raises(error, match=message):
        jm.diagnostics.compare_estimators(**{**good, **options})
