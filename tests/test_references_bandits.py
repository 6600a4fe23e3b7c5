"""Strategies for bandits, against exact values and the published table."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmeta as jm
from jaxmeta import references
from jaxmeta.references import bandits
from jaxmeta.types import Timestep

STRATEGIES = {
    "random": lambda k, n: bandits.random(k),
    "gittins": bandits.gittins,
    "thompson": lambda k, n: bandits.thompson(k),
    "ucb1": lambda k, n: bandits.ucb1(k),
    "greedy": lambda k, n: bandits.greedy(k),
}
# Duan et al., 2016, table 1; each cell is a mean over about 1,000 bandits.
PUBLISHED = {
    (10, 5): (5.0, 6.6, 5.7, 6.7, 6.6),
    (10, 10): (5.0, 6.6, 5.5, 6.7, 6.6),
    (10, 50): (5.1, 6.5, 5.2, 6.6, 6.5),
    (100, 5): (49.9, 78.3, 74.7, 78.0, 74.8),
    (100, 10): (49.9, 82.8, 76.7, 82.4, 77.1),
    (100, 50): (49.8, 85.2, 64.5, 84.3, 78.0),
}


def returns(key, policy, num_arms, horizon, num_tasks, mode=False):
    tasks = jm.tasks.bernoulli_bandit(num_arms, horizon=horizon)
    return np.asarray(
        jm.adaptation_curve(
            key,
            references.learner(tasks, policy),
            {},
            tasks,
            num_tasks=num_tasks,
            mode=mode,
            task_batch_size=1000,
        )
    )[:, 0]


def check_published(key, name, horizon, num_arms, num_tasks):
    policy = STRATEGIES[name](num_arms, horizon)
    totals = returns(key, policy, num_arms, horizon, num_tasks)
    published = PUBLISHED[horizon, num_arms][list(STRATEGIES).index(name)]
    error = float(totals.std()) * (1 / 1000 + 1 / num_tasks) ** 0.5
    assert float(totals.mean()) == pytest.approx(published, abs=3 * error + 0.05)


@pytest.mark.parametrize("name", STRATEGIES)
def test_ten_pulls_of_five_arms_are_worth_what_was_published(key, name):
    check_published(key, name, horizon=10, num_arms=5, num_tasks=2000)


@pytest.mark.slow
@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize(("horizon", "num_arms"), list(PUBLISHED))
def test_the_published_table(key, name, horizon, num_arms):
    check_published(key, name, horizon, num_arms, num_tasks=2000)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("num_arms", "value", "tolerance"),
    [(5, 78.64, 0.01), (10, 83.82, 0.05), (50, 85.66, 0.07)],
)
def test_finite_horizon_gittins_in_a_hundred_pulls(key, num_arms, value, tolerance):
    totals = returns(key, bandits.gittins(num_arms, 100), num_arms, 100, 5000)
    error = float(totals.std()) / len(totals) ** 0.5
    assert float(totals.mean()) == pytest.approx(value, abs=3 * error + 3 * tolerance)


def exact_value(policy, num_arms, horizon):
    """A strategy's expected total, over all actions and outcomes, in one batch each."""

    def after(carry, action, reward):
        timestep = Timestep(jnp.ones(1), action, reward, jnp.zeros((), bool))
        output, carry = policy.apply({}, carry, timestep)
        return jnp.exp(jax.nn.log_softmax(output.distribution.logits)), carry

    after = jax.jit(after)

    def value(carry, action, reward, remaining):
        if remaining == 0:
            return 0.0
        chances, carry = after(carry, jnp.int32(action), jnp.float32(reward))
        wins, losses = np.asarray(carry.successes), np.asarray(carry.failures)
        total = 0.0
        for arm in np.flatnonzero(np.asarray(chances) > 0):
            p = (wins[arm] + 1) / (wins[arm] + losses[arm] + 2)
            won = 1.0 + value(carry, arm, 1, remaining - 1)
            lost = value(carry, arm, 0, remaining - 1)
            total += float(chances[arm]) * (p * won + (1 - p) * lost)
        return total

    return value(policy.initial_carry(), -1, 0, horizon)


def test_index_strategies_are_worth_the_optimum_where_it_is_simple():
    """With two arms and few pulls the finite-horizon index is optimal."""
    for horizon in (2, 3, 5):
        best = references.bayes_optimal_bandit_value(2, horizon)
        value = exact_value(bandits.gittins(2, horizon), 2, horizon)
        assert value == pytest.approx(best, abs=1e-5)


def test_no_strategy_beats_the_bayes_optimum():
    best = references.bayes_optimal_bandit_value(2, 5)
    for policy in (
        bandits.greedy(2),
        bandits.ucb1(2, c=1.0),
        bandits.gittins(2, 5, discount=0.9),
    ):
        assert 2.5 < exact_value(policy, 2, 5) <= best + 1e-5
    blind = bandits.epsilon_greedy(2, epsilon=1.0)
    assert exact_value(blind, 2, 3) == pytest.approx(1.5)
    half = bandits.epsilon_greedy(2, epsilon=0.5)
    assert 1.5 < exact_value(half, 2, 3) < exact_value(bandits.greedy(2), 2, 3)


def acted(policy, history, firsts=None):
    """The memory and distribution after a history of ``(arm, reward)``."""
    carry = policy.initial_carry()
    firsts = firsts or [True] + [False] * len(history)
    for (arm, reward), first in zip([(-1, 0), *history], firsts, strict=True):
        timestep = Timestep(
            jnp.ones(1), jnp.int32(arm), jnp.float32(reward), jnp.asarray(first)
        )
        output, carry = policy.apply({}, carry, timestep)
    return carry, output.distribution


def test_the_memory_lasts_for_the_trial_and_starts_empty():
    history = [(0, 1), (2, 0), (2, 1), (0, 1)]
    memory, _ = acted(bandits.greedy(3), history, [True, False, True, False, True])
    np.testing.assert_array_equal(memory.successes, [2, 0, 1])
    np.testing.assert_array_equal(memory.failures, [0, 0, 1])
    assert memory.pulls == 4


def test_what_is_played_after_a_history():
    history = [(0, 1), (0, 0), (1, 0)]  # means 1/2, 1/3, 1/2
    assert acted(bandits.greedy(3), history)[1].mode() == 0
    assert acted(bandits.ucb1(3), history)[1].mode() == 2
    assert acted(bandits.gittins(3, 10), history)[1].mode() == 2
    mixture = acted(bandits.epsilon_greedy(3, epsilon=0.3), history)[1]
    np.testing.assert_allclose(jax.nn.softmax(mixture.logits), [0.8, 0.1, 0.1], 1e-5)
    # One pull more than the table holds: the edge of the table, not a wrong cell.
    assert acted(bandits.gittins(2, 3), [(1, 1)] * 4)[1].mode() == 1


@jax.jit
def properties(key, distribution):
    keys = jax.random.split(key, 20_000)
    return (
        jax.vmap(distribution.sample)(keys),
        distribution.probabilities(),
        distribution.mode(),
        distribution.log_prob(jnp.int32(1)),
        distribution.entropy(),
        distribution.kl(distribution),
    )


@pytest.mark.slow
def test_thompson_plays_arms_as_often_as_they_are_best(key):
    """The second history has equal arms, which an optimistic floor makes tie."""
    for history in ([(0, 1), (1, 0), (2, 1), (2, 0), (2, 1)], [(0, 1), (0, 0)]):
        for policy in (bandits.thompson(4), bandits.optimistic_thompson(4)):
            _, distribution = acted(policy, history)
            draws, p, mode, log_prob, entropy, kl = properties(key, distribution)
            frequencies = np.bincount(draws, minlength=4) / 20_000
            np.testing.assert_allclose(frequencies, p, atol=0.015)
            assert frequencies[mode] > frequencies.max() - 0.02
            assert log_prob == pytest.approx(float(np.log(p[1])), abs=1e-5)
            assert entropy == pytest.approx(float(-np.sum(p * np.log(p))), abs=1e-5)
            assert kl == pytest.approx(0.0, abs=1e-6)


def test_thompson_by_hand():
    """Beta(2, 1) beats Beta(1, 1) in 2 of 3 draws, raised to 2/3 in 62 of 81."""
    alpha, beta = jnp.array([2.0, 1.0]), jnp.ones(2)
    for floor, chance in ((jnp.zeros(2), 2 / 3), (jnp.array([2 / 3, 0.5]), 62 / 81)):
        distribution = references.ThompsonSampling(alpha, beta, floor)
        probabilities = jax.jit(lambda d: d.probabilities())(distribution)
        assert probabilities[0] == pytest.approx(chance, abs=1e-3)


def test_the_learner_evaluates_and_does_not_learn(key):
    tasks = jm.tasks.bernoulli_bandit(2, horizon=3)
    learner = references.learner(tasks, bandits.greedy(2))
    state = learner.init(key)
    assert state.meta_params == {}
    with pytest.raises(TypeError, match="nothing to meta-learn"):
        learner.update(key, state)
    sampled, mode = jm.adaptation_curves(key, learner, {}, tasks, num_tasks=8)
    assert sampled.shape == mode.shape == (8, 1)


@pytest.mark.slow
def test_a_trial_of_two_episodes_is_one_of_twice_the_pulls(key):
    """Counts last over the episodes of a trial."""
    short, long = (jm.tasks.bernoulli_bandit(3, horizon=n) for n in (5, 10))
    apart = references.learner(short, bandits.greedy(3), num_episodes=2)
    whole = references.learner(long, bandits.greedy(3))
    halves = jm.adaptation_curve(key, apart, {}, short, num_tasks=4000)
    totals = jm.adaptation_curve(key, whole, {}, long, num_tasks=4000)
    assert halves.shape == (4000, 2)
    first, second = halves.mean(0)
    assert second > first + 0.3
    error = float(totals.std() / 4000**0.5)
    assert abs(halves.sum(1).mean() - totals.mean()) < 6 * error


def test_bad_arguments():
    tasks = jm.tasks.bernoulli_bandit(2, horizon=3)
    with pytest.raises(TypeError, match=r"must be a Policy or a Reference.* got str"):
        references.learner(tasks, "thompson")
    with pytest.raises(ValueError, match="num_arms must be at least 1, got 0"):
        bandits.thompson(0)
    with pytest.raises(ValueError, match=r"epsilon must lie in \[0, 1\], got 2"):
        bandits.epsilon_greedy(2, epsilon=2)
    with pytest.raises(ValueError, match="c must not be negative, got -1"):
        bandits.ucb1(2, c=-1)
    with pytest.raises(ValueError, match="horizon must be at least 1, got 0"):
        bandits.gittins(2, 0)


COUNTING = {
    "gittins": lambda: bandits.gittins(3, 10),
    "thompson": lambda: bandits.thompson(3),
    "optimistic": lambda: bandits.optimistic_thompson(3),
    "ucb1": lambda: bandits.ucb1(3),
    "epsilon": lambda: bandits.epsilon_greedy(3),
    "greedy": lambda: bandits.greedy(3),
}


@pytest.mark.parametrize("name", COUNTING)
def test_what_counts_successes_is_refused_where_rewards_are_others(name):
    tasks = jm.tasks.gaussian_bandit(3, horizon=5)
    with pytest.raises(
        ValueError, match="reference: it counts rewards of 0 and 1, and those of Gauss"
    ):
        references.learner(tasks, COUNTING[name]())


def test_arms_that_are_played_without_counting_may_pay_anything(key):
    tasks = jm.tasks.gaussian_bandit(3, horizon=5)
    agent = references.learner(tasks, bandits.random(3))
    assert jm.adaptation_curve(key, agent, {}, tasks, num_tasks=10).shape == (10, 1)


def test_a_strategy_for_other_arms_is_refused():
    tasks = jm.tasks.bernoulli_bandit(4, horizon=5)
    with pytest.raises(ValueError, match="reference: it plays 3 arms, and the actions"):
        references.learner(tasks, bandits.thompson(3))
