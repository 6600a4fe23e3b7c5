import jax.numpy as jnp
import numpy as np
import pytest

from jaxmeta import advantages
from jaxmeta.distributions import Categorical
from jaxmeta.types import Timestep, Transition


def batch_of(reward, terminated=None, truncated=None, observation=None):
    """Transitions ``[N, T]`` with these rewards and ends."""
    reward = jnp.asarray(reward, jnp.float32)
    no = jnp.zeros(reward.shape, bool)
    terminated = no if terminated is None else jnp.asarray(terminated, bool)
    truncated = no if truncated is None else jnp.asarray(truncated, bool)
    ends = terminated | truncated
    is_first = jnp.concatenate([jnp.ones_like(ends[:, :1]), ends[:, :-1]], axis=1)
    if observation is None:
        observation = jnp.zeros((*reward.shape, 1))
    timestep = Timestep(observation, reward, reward, is_first)
    distribution = Categorical(jnp.zeros((*reward.shape, 2)))
    return Transition(
        timestep, reward, distribution, reward, terminated, truncated, observation
    )


ENDS_AT_TWO = [[0, 0, 1, 0, 0]]


def test_reward_to_go_counts_the_first_episode_only():
    batch = batch_of([[1, 2, 3, 4, 5]], terminated=ENDS_AT_TWO)
    estimate = advantages.reward_to_go(discount=0.5).estimate(batch, None, None)
    np.testing.assert_allclose(estimate.advantages, [[2.75, 3.5, 3, 0, 0]])
    np.testing.assert_array_equal(estimate.weights, [[1, 1, 1, 0, 0]])
    assert estimate.targets is None


def test_normalized_advantages_have_mean_zero_and_variance_one():
    rng = np.random.default_rng(0)
    terminated = np.zeros((3, 8), bool)
    terminated[0, 3] = True
    batch = batch_of(10 + 5 * rng.normal(size=(3, 8)), terminated=terminated)
    estimate = advantages.reward_to_go(normalize=True).estimate(batch, None, None)
    counted = np.asarray(estimate.advantages)[np.asarray(estimate.weights) > 0]
    assert counted.size == 20
    np.testing.assert_allclose(counted.mean(), 0.0, atol=1e-5)
    np.testing.assert_allclose(counted.std(), 1.0, rtol=1e-5)
    np.testing.assert_array_equal(estimate.advantages[0, 4:], 0.0)


def test_linear_baseline_is_the_least_squares_fit():
    """Against numpy's solver, on features written out here."""
    rng = np.random.default_rng(0)
    reward, observation = rng.normal(size=(6, 30)), rng.normal(size=(6, 30, 2))
    estimate = advantages.linear_baseline(discount=0.9, regularizer=1e-9).estimate(
        batch_of(reward, observation=jnp.asarray(observation, jnp.float32)), None, None
    )
    to_go = np.zeros((6, 31))
    for t in reversed(range(30)):
        to_go[:, t] = reward[:, t] + 0.9 * to_go[:, t + 1]
    target = to_go[:, :30].reshape(-1)
    time = np.broadcast_to(np.arange(30) / 100, (6, 30))[..., None]
    features = np.concatenate(
        [observation, observation**2, time, time**2, time**3, np.ones_like(time)], -1
    ).reshape(180, -1)
    fit = features @ np.linalg.lstsq(features, target, rcond=None)[0]
    np.testing.assert_allclose(estimate.advantages.reshape(-1), target - fit, atol=5e-3)


def test_linear_baseline_removes_what_time_alone_explains():
    """The return to go of constant rewards is a polynomial of time at discount 1."""
    batch = batch_of(np.ones((4, 50)))
    estimate = advantages.linear_baseline(discount=1.0).estimate(batch, None, None)
    assert np.abs(estimate.advantages).max() < 0.05  # of returns up to 50


def test_linear_baseline_survives_degenerate_batches():
    baseline = advantages.linear_baseline(normalize=True)
    for batch in (batch_of(np.zeros((1, 1))), batch_of(np.zeros((3, 4)))):
        estimate = baseline.estimate(batch, None, None)
        np.testing.assert_allclose(estimate.advantages, 0.0, atol=1e-6)


def test_value_baseline_tells_terminated_from_truncated():
    reward = [[1.0, 1.0]]
    values, next_values = jnp.array([[2.0, 3.0]]), jnp.array([[3.0, 10.0]])

    def last(**ends):
        estimate = advantages.value_baseline(discount=0.5, trace_decay=0.0).estimate(
            batch_of(reward, **ends), values, next_values
        )
        np.testing.assert_array_equal(estimate.weights, 1.0)
        np.testing.assert_allclose(estimate.targets, estimate.advantages + values)
        return float(estimate.advantages[0, 1])

    assert last(terminated=[[0, 1]]) == 1 - 3
    assert last(truncated=[[0, 1]]) == 1 + 0.5 * 10 - 3
    assert last() == 1 + 0.5 * 10 - 3  # a rollout that ends here is bootstrapped too


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: advantages.reward_to_go(discount=1.1),
            r"discount must lie in",
        ),
        (lambda: advantages.linear_baseline(discount=-0.1), "discount .* got -0.1"),
        (lambda: advantages.value_baseline(trace_decay=2), "trace_decay .* got 2"),
        (lambda: advantages.linear_baseline(regularizer=0), "regularizer must be"),
        (
            lambda: advantages.value_baseline().estimate(batch_of([[0]]), None, None),
            "critic=True",
        ),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
