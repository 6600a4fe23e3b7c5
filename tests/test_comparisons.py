"""Tuning agents of several kinds, and the scores they are compared by."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmeta as jm
from jaxmeta import agents, comparisons
from jaxmeta.agents import Numbers
from jaxmeta.comparisons import Found, Kind
from jaxmeta.environments import probes

SIZES = {"num_updates": 10, "num_environments": 4, "length": 8}


def bandit():
    return jm.tasks.from_gymnax(probes.Match(), horizon=1)


def a2c(distribution, rates):
    agent = agents.a2c(distribution.environment, hidden=())

    def made(numbers):
        return agent, Numbers(rate=jnp.float32(numbers["rate"]))

    return Kind(made, {"rate": rates})


@pytest.mark.slow
def test_the_rate_by_which_agents_learn_is_chosen(key):
    distribution = jm.tasks.bernoulli_bandit(2, horizon=1)
    kind = a2c(distribution, (1e-6, 0.3, 1e-5))
    chosen, rows = comparisons.tune(key, distribution, kind, num_agents=32, **SIZES)
    assert chosen == {"rate": 0.3}
    returns = {row["rate"]: row["return"] for row in rows}
    assert returns[0.3] > returns[1e-6] + 0.05
    # What was chosen lives on in other agents, in other tasks.
    found = comparisons.compare(
        key, distribution, {"A2C": kind}, num_agents=6, num_tuning_agents=32, **SIZES
    )
    assert found["A2C"].chosen == {"rate": 0.3}
    assert found["A2C"].curves.shape == (6, 11)


def test_kinds_without_a_choice_are_not_tuned(key):
    distribution = jm.tasks.bernoulli_bandit(2, horizon=1)
    kind = a2c(distribution, (0.1,))
    tuned = comparisons.tune(key, distribution, kind, num_agents=1, **SIZES)
    assert tuned == ({"rate": 0.1}, [])


def found_with(start, *ends):
    curves = np.stack([np.linspace(start, end, 11) for end in ends])
    return Found(curves, {}, [])


def test_scores_begin_at_zero_and_a2c_has_one():
    scores = comparisons.normalised(
        {
            "A2C": found_with(2.0, 10.0, 10.0, 10.0, 10.0),
            "rule": found_with(2.0, 6.0, 6.0, 6.0, 6.0),
            "spread": found_with(2.0, 2.0, 6.0, 6.0, 200.0),
        }
    )
    np.testing.assert_allclose(scores["A2C"], 1.0)
    np.testing.assert_allclose(scores["rule"], 0.5)
    spread = scores["spread"]
    np.testing.assert_allclose(spread.mean, 0.5)  # the middle half
    assert spread.low < spread.mean < spread.high


@pytest.mark.parametrize("ends", [(2.0, 2.0), (1.0, 1.5), (0.0, 100.0)])
def test_where_a2c_has_not_learned_there_is_no_score(ends):
    found = {"A2C": found_with(2.0, *ends), "rule": found_with(2.0, 6.0, 6.0)}
    assert comparisons.normalised(found) == {"A2C": None, "rule": None}


def test_a_scaled_rule_reads_scaled_rewards(key):
    rule = jm.learned_rules.backward_lstm(size=4, num_predictions=3)
    params = rule.init(key)
    keys = jax.random.split(key, 2)
    seen = jm.learned_rules.Seen(
        reward=jax.random.normal(keys[0], (5,)),
        discount=jnp.full(5, 0.9),
        is_last=jnp.zeros(5, bool),
        probability=jnp.full(5, 0.3),
        prediction=jax.nn.softmax(jax.random.normal(keys[1], (5, 3))),
        next_prediction=jnp.full((5, 3), 1 / 3),
        lifetime=jnp.zeros(5),
    )
    scaled = jm.learned_rules.with_scaled_rewards(rule, 0.1)
    told = rule.advise(params, seen._replace(reward=0.1 * seen.reward))
    jax.tree.map(np.testing.assert_array_equal, scaled.advise(params, seen), told)
    with pytest.raises(ValueError, match="scale must be positive"):
        jm.learned_rules.with_scaled_rewards(rule, 0.0)
