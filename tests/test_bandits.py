"""Gaussian bandits: what arms pay, and the tasks. Bernoulli ones: with small tasks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from playing import play, with_params

import jaxmeta as jm
from jaxmeta.environments import GaussianBandit


def test_an_arm_pays_its_mean_and_normal_noise(key):
    tasks = jm.tasks.gaussian_bandit(3, reward_std=0.5, horizon=4000)
    task = with_params(tasks.sample(key), means=[-2.0, 0.0, 7.0])
    for arm, mean in enumerate([-2.0, 0.0, 7.0]):
        observation, result = play(tasks, task, np.full(4000, arm), key)
        noise = (np.asarray(result.reward) - mean) / 0.5
        np.testing.assert_array_equal(observation, [1.0])
        np.testing.assert_array_equal(result.next_observation, np.ones((4000, 1)))
        for power, moment in [(1, 0), (2, 1), (3, 0), (4, 3)]:
            found = noise**power
            assert abs(found.mean() - moment) < 5 * found.std() / 4000**0.5


def test_without_noise_arms_pay_their_means(key):
    tasks = jm.tasks.gaussian_bandit(4, reward_std=0)
    task = tasks.sample(key)
    pulls = np.array([3, 0, 2, 2, 1, 0, 3, 1, 1, 2, 3])
    _, result = play(tasks, task, pulls, key)
    np.testing.assert_array_equal(result.reward, task.params.means[pulls])
    np.testing.assert_array_equal(np.flatnonzero(result.truncated), [9])
    assert not np.any(result.terminated)


def test_the_means_of_arms_are_independent_normals(key):
    tasks = jm.tasks.gaussian_bandit(5, mean_std=2.0, reward_std=3.0)
    params = jax.jit(jax.vmap(tasks.sample))(jax.random.split(key, 20_000)).params
    assert params.means.dtype == params.reward_std.dtype == jnp.float32
    np.testing.assert_array_equal(params.reward_std, np.full(20_000, 3.0))
    error = 5 / 20_000**0.5
    np.testing.assert_allclose(params.means.mean(0), np.zeros(5), atol=2 * error)
    correlations = np.corrcoef(params.means.T)
    np.testing.assert_allclose(correlations, np.eye(5), atol=error)
    np.testing.assert_allclose(params.means.std(0), np.full(5, 2.0), atol=2 * error)


def test_the_best_of_five_standard_normal_arms_pays_1_163(key):
    """1.16296 a pull, the expected maximum: by quadrature, and played."""
    x = np.linspace(-8, 8, 4001)
    density = np.exp(-(x**2) / 2) / (2 * np.pi) ** 0.5
    below = np.cumsum(density) * (x[1] - x[0])
    expected = np.sum(x * 5 * below**4 * density) * (x[1] - x[0])
    np.testing.assert_allclose(expected, 1.16296, atol=5e-3)
    tasks = jm.tasks.gaussian_bandit(5)

    def best(key):
        task = tasks.sample(key)
        pulls = jnp.full(10, task.params.means.argmax())
        return play(tasks, task, pulls, key)[1].reward.mean()

    found = jax.jit(jax.vmap(best))(jax.random.split(key, 4_000))
    assert abs(found.mean() - 1.16296) < 5 * found.std() / 4_000**0.5


def test_by_default_all_arms_pay_zero_on_average():
    params = GaussianBandit(3).default_params
    np.testing.assert_array_equal(params.means, np.zeros(3))
    assert params.reward_std == 1.0


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"num_arms": 0}, ValueError, "num_arms must be at least 1, got 0"),
        ({"num_arms": 2.5}, TypeError, "num_arms must be an integer, got 2.5"),
        ({"mean_std": 0}, ValueError, "mean_std must be positive and finite, got 0"),
        ({"mean_std": "1"}, TypeError, r"mean_std must be a number, got '1' \(str\)"),
        ({"reward_std": -1}, ValueError, "reward_std must be finite and at least 0, g"),
        ({"reward_std": float("nan")}, ValueError, "reward_std must be .* got nan"),
        ({"reward_std": float("inf")}, ValueError, "reward_std must be .* got inf"),
        ({"reward_std": None}, TypeError, "reward_std must be a number, got None"),
        ({"horizon": 0}, ValueError, "horizon must be at least 1, got 0"),
    ],
)
def test_bad_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        jm.tasks.gaussian_bandit(**({"num_arms": 3} | arguments))
