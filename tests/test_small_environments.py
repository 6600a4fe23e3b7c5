"""Corners, bandits and finite MDPs: their optima, played or computed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmeta as jm
from jaxmeta import recipes
from jaxmeta.environments import BernoulliBandit, Corners, TabularMDP


def play(tasks, task, actions, key):
    """Rewards of a fixed sequence of actions."""
    state, observation = tasks.environment.reset(key, task)

    def step(state, inputs):
        action, key = inputs
        result = tasks.environment.step(key, state, action, task)
        return result.state, result

    keys = jax.random.split(key, len(actions))
    return observation, jax.lax.scan(step, state, (jnp.asarray(actions), keys))[1]


RIGHT, DOWN, LEFT, UP = range(4)
WALKS = [
    [up_or_down] * 2 + [sideways] * 6
    for up_or_down in (UP, DOWN)
    for sideways in (LEFT, RIGHT)
]


def test_corners_pay_those_who_know_five_and_others_a_quarter_of_it(key):
    tasks = jm.tasks.corners()
    task = tasks.sample(key)
    paid = np.zeros((4, 4))
    for corner in range(4):
        chosen = task._replace(
            params=task.params.replace(corner=jnp.asarray(corner, jnp.int32))
        )
        for walk in range(4):
            _, result = play(tasks, chosen, WALKS[walk], key)
            paid[corner, walk] = result.reward.sum()
            assert not np.any(result.terminated)
            assert np.all(result.next_observation.sum(1) == 1)
    np.testing.assert_array_equal(paid, 5.0 * np.eye(4))
    optimum = recipes.get("e-maml-corners").optimum
    assert optimum == (paid.mean(0).max(), paid.max(1).mean())


def test_every_corner_is_a_task(key):
    tasks = jm.tasks.corners(size=7, horizon=9)
    drawn = jax.vmap(tasks.sample)(jax.random.split(key, 200)).params.corner
    assert np.all(np.bincount(drawn, minlength=4) > 25)
    assert tasks.environment.observation.shape == (49,)


@pytest.mark.parametrize(("size", "message"), [(4, "must be odd"), (1, "at least 3")])
def test_a_grid_has_a_centre_and_corners(size, message):
    with pytest.raises(ValueError, match=message):
        Corners(size)


def test_an_arm_pays_with_its_probability(key):
    tasks = jm.tasks.bernoulli_bandit(3, horizon=4000)
    task = tasks.sample(key)
    task = task._replace(
        params=task.params.replace(probabilities=jnp.array([0.0, 0.3, 1.0]))
    )
    for arm, mean in enumerate([0.0, 0.3, 1.0]):
        _, result = play(tasks, task, np.full(4000, arm), key)
        assert set(np.unique(result.reward)) <= {0.0, 1.0}
        assert abs(result.reward.mean() - mean) < 0.04


def test_the_best_of_five_arms_pays_five_sixths(key):
    tasks = jm.tasks.bernoulli_bandit(5)
    drawn = jax.vmap(tasks.sample)(jax.random.split(key, 20_000))
    best = drawn.params.probabilities.max(1)
    optimum = recipes.get("maml-bandit").optimum[0]
    assert abs(best.mean() - optimum) < 5 * best.std() / 20_000**0.5


def test_finite_mdps_have_the_known_optimum(key):
    """21.82 over ten steps, by value iteration."""
    tasks = jm.tasks.tabular_mdp()

    def value(key):
        params = tasks.sample(key).params

        def step(values, _):
            return (params.rewards + params.transitions @ values).max(-1), None

        values, _ = jax.lax.scan(step, jnp.zeros(10), length=10)
        return values[0]

    found = jax.jit(jax.vmap(value))(jax.random.split(key, 1000))
    optimum = recipes.get("maml-tabular").optimum[0]
    assert abs(found.mean() - optimum) < 5 * found.std() / 1000**0.5


def test_finite_mdps_follow_their_tables(key):
    tasks = jm.tasks.tabular_mdp(num_states=3, num_actions=2, horizon=2000)
    task = tasks.sample(key)
    observation, result = play(tasks, task, np.ones(2000, int), key)
    np.testing.assert_array_equal(observation, [1.0, 0.0, 0.0])
    states = np.concatenate([observation[None], result.next_observation]).argmax(1)
    for state in range(3):
        here = states[:-1] == state
        assert here.sum() > 100
        rewards = np.asarray(result.reward)[here]
        error = 5 * rewards.std() / len(rewards) ** 0.5
        assert abs(rewards.mean() - task.params.rewards[state, 1]) < error
        visits = np.bincount(states[1:][here], minlength=3) / here.sum()
        error = 5 * 0.5 / here.sum() ** 0.5
        assert np.abs(visits - task.params.transitions[state, 1]).max() < error


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BernoulliBandit(0), "num_arms must be at least 1, got 0"),
        (lambda: TabularMDP(0), "num_states must be at least 1, got 0"),
        (lambda: TabularMDP(3, 0), "num_actions must be at least 1, got 0"),
    ],
)
def test_sizes_are_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make()
