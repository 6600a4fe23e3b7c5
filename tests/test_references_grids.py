"""Searches in grids, against brute force over histories and the published values."""

from functools import cache

import jax
import numpy as np
import pytest

import jaxmeta as jm
from jaxmeta import references
from jaxmeta.references.gridnavi import Grid, move


def brute_force(size, horizon, num_episodes):
    """The best total over all policies of the belief, exploitation not assumed."""
    goals = frozenset(Grid(size, horizon, num_episodes).goals())

    @cache
    def value(step, cell, goals):
        """Summed over the goals still possible; one alone is known."""
        if step == horizon * num_episodes:
            return 0.0
        start = (step + 1) % horizon == 0
        best = -np.inf
        for action in range(5):
            reached = move(cell, action, size)
            after = 0 if start else reached
            elsewhere = goals - {reached}
            total = 0.0
            if reached in goals:
                total += 1.0 + value(step + 1, after, frozenset({reached}))
            if elsewhere:
                total += -0.1 * len(elsewhere) + value(step + 1, after, elsewhere)
            best = max(best, total)
        return best

    return value(0, 0, goals) / len(goals)


@pytest.mark.parametrize(
    "shape", [(3, 4, 1), (3, 3, 3), (3, 5, 2), (3, 7, 1), (4, 5, 2), (4, 4, 3)]
)
def test_the_search_is_as_good_as_brute_force(shape):
    size, horizon, num_episodes = shape
    found = references.gridnavi_bayes_optimal(
        size=size, horizon=horizon, num_episodes=num_episodes
    )
    assert found.shape == (num_episodes,)
    assert found.sum() == pytest.approx(brute_force(*shape), abs=1e-9)


def test_gridnavi():
    found = references.gridnavi_bayes_optimal()
    np.testing.assert_allclose(found, [4.0] + [11.0714] * 3, atol=5e-5)
    assert found.sum() == pytest.approx(37.214, abs=5e-4)
    assert references.gridnavi_oracle() == pytest.approx(11.0714, abs=5e-5)
    assert references.gridnavi_random() == pytest.approx(-1.16, abs=0.01)


@pytest.mark.slow
def test_posterior_sampling_in_gridnavi(key):
    """The published means are simulated too: their error is taken to be 0.01."""
    tasks = jm.tasks.gridnavi()
    agent = references.learner(
        tasks, references.gridnavi_posterior_sampling(), num_episodes=4
    )
    curve = jm.adaptation_curve(key, agent, {}, tasks, num_tasks=10_000)
    means, errors = curve.mean(0), curve.std(0) / 100
    published = np.array([-0.79, 1.18, 2.91, 4.46])
    assert np.all(np.abs(means - published) < 3 * np.hypot(errors, 0.01))
    best = references.gridnavi_bayes_optimal()
    assert np.all(np.asarray(means) < best)


def test_dark_rooms():
    assert references.darkroom_bayes_optimal() == pytest.approx(50.50)
    assert references.darkroom_oracle() == pytest.approx(91.99)
    # Two by two, two steps: a cell met at each, which then is worth 2 and 1.
    assert references.darkroom_bayes_optimal(size=2, horizon=2) == pytest.approx(0.75)
    # The start and its neighbours are on time for both steps, the last cell for one.
    assert references.darkroom_oracle(size=2, horizon=2) == pytest.approx(7 / 4)


def test_the_oracle_of_corners_is_that_of_a_walk(key):
    tasks = jm.tasks.corners(size=5, horizon=9)
    task = jax.tree.map(np.asarray, tasks.sample(key))
    corner = int(task.params.corner)
    walk = [3 if corner < 2 else 1] * 2 + [0 if corner % 2 else 2] * 7
    state, _ = tasks.environment.reset(key, task)
    total = 0.0
    for action in walk:
        result = tasks.environment.step(key, state, np.int32(action), task)
        state, total = result.state, total + float(result.reward)
    assert total == references.corners_oracle(size=5, horizon=9) == 6.0
    assert references.corners_oracle() == 5.0


def test_bad_arguments(key):
    with pytest.raises(ValueError, match="size must be at least 3, got 2"):
        references.gridnavi_bayes_optimal(size=2)
    with pytest.raises(ValueError, match="num_episodes must be at least 1, got 0"):
        references.gridnavi_bayes_optimal(num_episodes=0)
    with pytest.raises(ValueError, match="size must be at least 3, got 2"):
        references.gridnavi_posterior_sampling(size=2)
    with pytest.raises(ValueError, match="size must be odd"):
        references.corners_oracle(size=4)
    with pytest.raises(ValueError, match="size must be at least 1, got 0"):
        references.key_to_door_oracle(size=0)
    with pytest.raises(ValueError, match="radius must be positive and finite, got 0"):
        references.semicircle_oracle(radius=0)
    with pytest.raises(TypeError, match="horizon must be an integer"):
        references.darkroom_oracle(horizon=1.5)
