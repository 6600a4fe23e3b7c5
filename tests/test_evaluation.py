import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmeta as jm
from jaxmeta.environments import MatchProbe
from jaxmeta.evaluation import bootstrap_interval

TASKS = jm.tasks.from_gymnax(MatchProbe(), params={"bit": 1})


def solved_learner(num_updates=2):
    """MAML whose inner rate is tiny: adaptation changes nothing."""
    policy = jm.policies.mlp(TASKS.environment, hidden=(4,))
    return jm.maml(
        TASKS,
        policy,
        inner_optimizer=optax.sgd(1e-8),
        outer_optimizer=optax.sgd(0.1),
        num_tasks=1,
        num_updates=num_updates,
        num_episodes=50,
    )


def biased(params, size):
    """Params whose logits prefer action one by ``size``, whatever is observed."""
    params = jax.tree.map(jnp.zeros_like, params)
    params["params"]["policy_out"]["bias"] = jnp.array([0.0, size])
    return params


def test_sampled_and_mode_returns_are_those_of_the_policy(key):
    """Action one is right in half of the steps, as the observed bit is fair."""
    learner = solved_learner()
    params = biased(learner.init(key).meta_params, 0.0)
    params["params"]["policy_out"]["bias"] = jnp.zeros(2)
    curve = jm.adaptation_curve(key, learner, params, TASKS, num_tasks=40)
    assert curve.shape == (40, 3)
    error = 5**0.5 * 0.5 / (40 * 50) ** 0.5
    np.testing.assert_allclose(curve.mean(0), 2.5, atol=5 * error)


@pytest.mark.slow
def test_the_mode_is_without_exploration(key):
    """A policy that mostly matches: sampled it errs, its mode never does."""
    learner = solved_learner()
    params = jax.tree.map(jnp.zeros_like, learner.init(key).meta_params)
    weights = params["params"]
    # hidden = tanh(4 memory - 2): the sign of the bit; action = bit XOR 1.
    weights["policy_0"]["kernel"] = weights["policy_0"]["kernel"].at[0, 0].set(4.0)
    weights["policy_0"]["bias"] = weights["policy_0"]["bias"].at[0].set(-2.0)
    weights["policy_out"]["kernel"] = weights["policy_out"]["kernel"].at[0, 0].set(1.0)
    probability = jax.nn.sigmoid(jnp.tanh(2.0))
    sampled = jm.adaptation_curve(key, learner, params, TASKS, num_tasks=40)
    error = (5 * probability * (1 - probability) / 2000) ** 0.5
    np.testing.assert_allclose(sampled.mean(0), 5 * probability, atol=5 * error)
    mode = jm.adaptation_curve(key, learner, params, TASKS, num_tasks=4, mode=True)
    np.testing.assert_allclose(mode, 5.0)
    both = jm.adaptation_curves(key, learner, params, TASKS, num_tasks=4)
    np.testing.assert_array_equal(both[1], mode)
    alone = jm.adaptation_curve(key, learner, params, TASKS, num_tasks=4)
    np.testing.assert_array_equal(both[0], alone)


def test_a_longer_test_learner_takes_the_same_params(key):
    meta_params = solved_learner().init(key).meta_params
    curve = jm.adaptation_curve(
        key, solved_learner(num_updates=4), meta_params, TASKS, num_tasks=2
    )
    assert curve.shape == (2, 5)


def test_the_bootstrap_interval_covers_the_mean_as_often_as_it_says(key):
    """200 samples of size 50: the 90% intervals cover zero in 84% to 96% of them."""

    def covers(key):
        key_values, key_interval = jax.random.split(key)
        values = jax.random.normal(key_values, (50, 1))
        interval = bootstrap_interval(
            key_interval, values, confidence=0.9, num_resamples=300
        )
        return (interval.low[0] < 0) & (interval.high[0] > 0)

    covered = jax.jit(jax.vmap(covers))(jax.random.split(key, 200))
    assert 0.82 < covered.mean() < 0.96


def test_the_bootstrap_interval_is_about_two_standard_errors(key):
    values = jax.random.normal(key, (400, 2)) * jnp.array([[1.0, 3.0]]) + 7.0
    interval = bootstrap_interval(key, values)
    np.testing.assert_allclose(interval.mean, values.mean(0), rtol=1e-6)
    error = np.asarray(values).std(0) / 20
    np.testing.assert_allclose(interval.high - interval.mean, 1.96 * error, rtol=0.15)
    np.testing.assert_allclose(interval.mean - interval.low, 1.96 * error, rtol=0.15)


def test_it_acts_in_the_environment_of_the_tasks(key):
    """Not in that of the training: there the reward is another one."""

    class Generous(MatchProbe):
        def step_env(self, key, state, action, params):
            observation, state, _, terminated, info = super().step_env(
                key, state, action, params
            )
            return observation, state, jnp.array(3.0), terminated, info

    tasks = jm.tasks.from_gymnax(Generous(), params={"bit": 1})
    learner = solved_learner()
    meta_params = learner.init(key).meta_params
    for mode in (False, True):
        curve = jm.adaptation_curve(
            key, learner, meta_params, tasks, num_tasks=2, mode=mode
        )
        np.testing.assert_array_equal(curve, 15.0)


def test_tasks_that_do_not_fit_are_refused(key):
    learner = solved_learner()
    state = learner.init(key)
    longer = jm.tasks.from_gymnax(MatchProbe(), horizon=9)
    with pytest.raises(
        ValueError, match=r"the horizon of their environment is 9, .* 5"
    ):
        jm.adaptation_curve(key, learner, state.meta_params, longer, num_tasks=1)
    other = jm.tasks.from_gymnax("CartPole-v1", horizon=5)
    with pytest.raises(ValueError, match="the observation of their environment"):
        jm.adaptation_curve(key, learner, state.meta_params, other, num_tasks=1)
    with pytest.raises(TypeError, match=r"must be state\.meta_params"):
        jm.adaptation_curve(key, learner, state, TASKS, num_tasks=1)


def test_bad_arguments(key):
    learner = solved_learner()
    with pytest.raises(ValueError, match="first axis of tasks, got \\(0, 2\\)"):
        bootstrap_interval(key, np.zeros((0, 2)))
    with pytest.raises(ValueError, match="num_resamples must be at least 1, got 0"):
        bootstrap_interval(key, np.zeros((3, 2)), num_resamples=0)
    with pytest.raises(ValueError, match="num_tasks must be at least 1, got 0"):
        jm.adaptation_curve(key, learner, None, TASKS, num_tasks=0)
    with pytest.raises(ValueError, match=r"confidence must lie in \(0, 1\), got 95"):
        bootstrap_interval(key, jnp.zeros(3), confidence=95)
