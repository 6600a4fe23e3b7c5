"""Agents by known and learned rules, and how they do in the course of their lives."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmeta as jm
from jaxmeta import agents, learned_rules, types
from jaxmeta.agents import Agent, Numbers
from jaxmeta.environments import MatchProbe
from jaxmeta.learned_rules import Advice, Rule

TASKS = jm.tasks.from_gymnax(MatchProbe(), params={"bit": jm.tasks.choice([0, 1])})
ENVIRONMENT = TASKS.environment
SIZES = {"num_updates": 4, "num_environments": 4, "length": 5, "num_tests": 2}


def drawn(key, count=3):
    return jax.vmap(TASKS.sample)(jax.random.split(key, count))


def reinforce(scale=1.0):
    """A rule that makes an action more likely by its reward."""

    def advise(params, seen):
        return Advice(params * seen.reward, jnp.zeros((len(seen.reward), 2)))

    return Rule(lambda key: jnp.float32(scale), advise, 2)


def turning(after):
    """An agent that repeats the bit it sees, and the other one after some updates."""

    def apply(params, carry, timestep):
        same = jnp.where(params >= after, -50.0, 50.0)
        logits = jnp.where(timestep.observation[0] > 0.5, 1.0, -1.0) * same
        logits = jnp.stack([jnp.zeros(()), logits])
        return types.PolicyOutput(jm.distributions.Categorical(logits), None), carry

    policy = types.Policy(lambda key: jnp.float32(0), lambda: (), apply)
    learns = types.Inner(
        lambda key, meta_params: jnp.float32(0),
        lambda key, meta_params, state, batch: (state + 1, {}),
        lambda meta_params, state: state,
    )
    return Agent(policy, learns)


def test_a_curve_is_of_the_agent_before_and_after_each_part_of_its_life(key):
    """One that turns to the other action after two updates, in a task that pays it."""
    ones = jax.tree.map(lambda leaf: leaf[:1], drawn(key))
    ones = ones._replace(params=ones.params.replace(bit=jnp.ones_like(ones.params.bit)))
    sampled, mode = jm.life_curves(
        key, turning(2), None, ENVIRONMENT, ones, num_episodes=3, **SIZES
    )
    assert sampled.shape == mode.shape == (1, 3)
    np.testing.assert_array_equal(sampled, [[0.0, 5.0, 5.0]])
    np.testing.assert_array_equal(mode, sampled)


@pytest.mark.slow
def test_agents_at_a_time_change_nothing(key):
    agent = agents.a2c(ENVIRONMENT, hidden=(3,))
    curves = [
        jm.life_curves(
            key,
            agent,
            Numbers(),
            ENVIRONMENT,
            drawn(key, 4),
            batch_size=size,
            **SIZES,
        )[0]
        for size in (None, 2)
    ]
    np.testing.assert_allclose(*curves, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("make", [agents.a2c, agents.ppo])
def test_known_rules_learn(make, key):
    """Where the action that pays is always the same, in each task another."""
    agent = make(ENVIRONMENT, hidden=(8,))
    before, after = jm.life_curves(
        key,
        agent,
        Numbers(rate=0.05, entropy_coefficient=0.0),
        ENVIRONMENT,
        drawn(key, 6),
        num_updates=40,
        num_environments=8,
        length=10,
        num_tests=1,
    )[1].T
    assert np.all(after >= before)
    assert after.min() > before.min()


def test_a_rule_of_rewards_learns_by_rewards(key):
    agent = agents.ruled(ENVIRONMENT, reinforce(), optax.sgd(2.0), hidden=())
    curves, _ = jm.life_curves(
        key, agent, jnp.float32(1), ENVIRONMENT, drawn(key, 6), **SIZES
    )
    worse, _ = jm.life_curves(
        key, agent, jnp.float32(-1), ENVIRONMENT, drawn(key, 6), **SIZES
    )
    assert curves[:, -1].mean() > worse[:, -1].mean()


@pytest.mark.slow
def test_numbers_of_known_rules_can_be_mapped_over(key):
    agent = agents.a2c(ENVIRONMENT, hidden=(3,))
    rates = Numbers(rate=jnp.array([0.0, 0.1]), entropy_coefficient=0.0)

    def learned(numbers):
        state = agent.inner.init(key, numbers)
        batch = jax.vmap(
            lambda key: jm.rollouts.episodes(
                key,
                ENVIRONMENT,
                agent.policy,
                state.params,
                TASKS.sample(key),
                num_episodes=2,
                length=4,
            )
        )(key[None])
        batch = jax.tree.map(lambda leaf: leaf[0], batch)
        return state.params, agent.inner.update(key, numbers, state, batch)[0].params

    old, new = jax.vmap(learned, in_axes=(Numbers(0, None, None),))(rates)
    moved = [
        np.abs(a - b).max(axis=tuple(range(1, a.ndim)))
        for a, b in zip(jax.tree.leaves(old), jax.tree.leaves(new), strict=True)
    ]
    assert all(one[0] == 0 for one in moved)
    assert max(one[1] for one in moved) > 0


def test_a_critic_of_tables_has_an_optimizer_of_its_own(key):
    agent = agents.a2c(
        ENVIRONMENT,
        hidden=(),
        optimizer=optax.sgd,
        critic_optimizer=optax.sgd(0.0),
    )
    numbers = Numbers(rate=1.0)
    state = agent.inner.init(key, numbers)
    batch = jm.rollouts.episodes(
        key,
        ENVIRONMENT,
        agent.policy,
        state.params,
        TASKS.sample(key),
        num_episodes=2,
        length=4,
    )
    after = agent.inner.update(key, numbers, state, batch)[0].params
    for path, old, new in zip(
        jm.trees.paths(after),
        jax.tree.leaves(state.params),
        jax.tree.leaves(after),
        strict=True,
    ):
        assert np.array_equal(old, new) == ("critic" in path), path


def test_a_rule_has_no_use_for_continuous_actions():
    pendulum = jm.tasks.from_gymnax("Pendulum-v1").environment
    with pytest.raises(ValueError, match="the actions of Pendulum-v1 are continuous"):
        agents.ruled(pendulum, learned_rules.backward_lstm(size=2), optax.sgd(0.1))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_tests": 3}, ValueError, "must be a multiple of num_tests=3, got 4"),
        ({"length": 0}, ValueError, "length must be at least 1, got 0"),
        ({"num_episodes": 1.5}, TypeError, "num_episodes must be an integer"),
    ],
)
def test_bad_sizes(options, error, message, key):
    agent = agents.a2c(ENVIRONMENT)
    with pytest.raises(error, match=message):
        jm.life_curves(
            key, agent, Numbers(), ENVIRONMENT, drawn(key), **{**SIZES, **options}
        )


def test_the_interquartile_mean_is_that_of_the_middle_half(key):
    values = jnp.array([[100.0], [1.0], [2.0], [-50.0], [3.0]])
    np.testing.assert_allclose(jm.interquartile_mean(values), [2.0])
    np.testing.assert_allclose(jm.interquartile_mean(values[:3, 0]), 103 / 3)
    interval = jm.bootstrap_interval(key, values, statistic=jm.interquartile_mean)
    assert interval.low < interval.mean == 2.0 < interval.high
    with pytest.raises(ValueError, match="a first axis of seeds"):
        jm.interquartile_mean(jnp.float32(1.0))
