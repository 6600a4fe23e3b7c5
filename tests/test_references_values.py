"""Exact values of bandits and indices of arms, against independent computations."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmeta import references
from jaxmeta.references import indices


def brute_force(counts, remaining):
    """The value over ordered tuples of counts, in exact arithmetic, nothing cached."""
    if remaining == 0:
        return Fraction(0)
    values = []
    for arm, (wins, losses) in enumerate(counts):
        p = Fraction(wins + 1, wins + losses + 2)
        won = (*counts[:arm], (wins + 1, losses), *counts[arm + 1 :])
        lost = (*counts[:arm], (wins, losses + 1), *counts[arm + 1 :])
        after_win = 1 + brute_force(won, remaining - 1)
        values.append(p * after_win + (1 - p) * brute_force(lost, remaining - 1))
    return max(values)


@pytest.mark.parametrize(("num_arms", "horizon"), [(1, 3), (2, 5), (3, 4), (5, 3)])
def test_the_bandit_value_is_that_of_brute_force(num_arms, horizon):
    expected = float(brute_force(((0, 0),) * num_arms, horizon))
    value = references.bayes_optimal_bandit_value(num_arms, horizon)
    assert value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("num_arms", "value"), [(5, 6.65999), (10, 6.71395), (50, 6.71395)]
)
def test_the_bandit_value_of_ten_pulls(num_arms, value):
    found = references.bayes_optimal_bandit_value(num_arms, 10)
    assert found == pytest.approx(value, abs=5e-6)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 6), st.integers(1, 7))
def test_more_arms_and_more_pulls_are_worth_more(num_arms, horizon):
    value = references.bayes_optimal_bandit_value
    one = value(num_arms, horizon)
    assert value(num_arms + 1, horizon) >= one - 1e-12
    assert value(num_arms, horizon + 1) >= one + 0.5 - 1e-12
    oracle = references.bernoulli_bandit_oracle(num_arms, horizon)
    assert horizon / 2 - 1e-12 <= one <= oracle + 1e-12


def test_oracles_of_bandits():
    assert references.bernoulli_bandit_oracle(4, 10) == pytest.approx(8.0)
    gaussian = references.gaussian_bandit_oracle
    assert gaussian(1, 3, mean=0.5) == pytest.approx(1.5, abs=1e-7)
    assert gaussian(2, 1) == pytest.approx(1 / math.sqrt(math.pi), abs=1e-7)
    assert gaussian(3, 1) == pytest.approx(1.5 / math.sqrt(math.pi), abs=1e-7)
    draws = np.random.default_rng(0).normal(2.0, 3.0, (100_000, 10)).max(axis=1)
    error = draws.std() / len(draws) ** 0.5
    assert gaussian(10, 1, mean=2.0, std=3.0) == pytest.approx(
        draws.mean(), abs=4 * error
    )


@pytest.mark.parametrize(
    ("discount", "state", "value"),
    [
        (0.5, (0, 0), 0.5590),
        (0.9, (0, 0), 0.7029),
        (0.9, (1, 0), 0.8001),
        (0.9, (0, 1), 0.5001),
        (0.99, (0, 0), 0.8699),
    ],
)
def test_discounted_indices_are_the_published_ones(discount, state, value):
    """Of Beta(1, 1) arms, as in Gittins, Glazebrook and Weber, 2011."""
    table = indices.discounted(5, discount)
    assert table.of(*state) == pytest.approx(value, abs=1e-4)


def break_even(wins, losses, remaining):
    """The finite-horizon index of one state by bisection of its stopping problem."""

    def worth(w, f, m, price):
        if m == 0:
            return 0.0
        p = (w + 1) / (w + f + 2)
        win = max(0.0, worth(w + 1, f, m - 1, price))
        loss = max(0.0, worth(w, f + 1, m - 1, price))
        return p - price + p * win + (1 - p) * loss

    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        if worth(wins, losses, remaining, middle) > 0:
            low = middle
        else:
            high = middle
    return low


@pytest.mark.parametrize(
    "state", [(0, 0, 1), (0, 0, 2), (0, 0, 7), (2, 1, 4), (0, 3, 5), (6, 1, 3)]
)
def test_finite_horizon_indices_are_those_of_bisection(state):
    table = indices.finite_horizon(10)
    assert table.of(*state) == pytest.approx(break_even(*state), abs=2e-5)


def test_the_index_of_two_pulls_by_hand():
    """Pull, and again after a success: (1/2 + 1/2 2/3) / (1 + 1/2)."""
    assert indices.finite_horizon(2).of(0, 0, 2) == pytest.approx(5 / 9, abs=1e-6)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 8), st.integers(0, 8), st.integers(1, 12))
def test_an_index_rises_with_successes_and_time_and_is_above_the_mean(
    wins, losses, remaining
):
    table = indices.finite_horizon(30)
    index = table.of(wins, losses, remaining)
    assert index >= (wins + 1) / (wins + losses + 2) - 1e-6
    assert table.of(wins + 1, losses, remaining) > index
    assert table.of(wins, losses + 1, remaining) < index
    assert table.of(wins, losses, remaining + 1) >= index - 1e-6


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"num_arms must be at least 1, got 0"):
        references.bayes_optimal_bandit_value(0, 3)
    with pytest.raises(TypeError, match=r"horizon must be an integer, got 2\.5"):
        references.bayes_optimal_bandit_value(2, 2.5)
    with pytest.raises(ValueError, match=r"discount must lie in \(0, 1\), got 1"):
        indices.discounted(5, 1.0)
    with pytest.raises(ValueError, match=r"at most 4 with 6 of 10 pulls .* got 5"):
        indices.finite_horizon(10).of(3, 2, 6)
    with pytest.raises(ValueError, match="std must not be negative, got -1"):
        references.gaussian_bandit_oracle(2, 1, std=-1.0)
