"""Agents that live on: what goes on between updates, and what starts anew."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmeta as jm
from jaxmeta import lifetimes, outer, policies, rollouts
from jaxmeta.environments import MatchProbe
from jaxmeta.types import Inner

HORIZON = 5
TASKS = jm.tasks.from_gymnax(MatchProbe(), params={"bit": jm.tasks.choice([0, 1])})
POLICY = policies.mlp(TASKS.environment, hidden=(4,))
# An agent that counts its updates in place of learning, and a mark it is born with.
COUNTING = Inner(
    init=lambda key, meta_params: {
        "params": POLICY.init(key),
        "updates": jnp.int32(0),
        "mark": jax.random.uniform(key),
    },
    update=lambda key, meta_params, state, batch: (
        {**state, "updates": state["updates"] + 1},
        {},
    ),
    params=lambda meta_params, state: state["params"],
)


def idle():
    """An outer learner that keeps what it was given as its info."""

    def update(key, meta_params, state, experience):
        del key
        return meta_params, state, {"experience": experience}

    return outer.gradient(lambda p, e: (jnp.zeros(()), {}), optax.sgd(0.0))._replace(
        init=lambda meta_params: (), update=update
    )


def made(**options):
    settings = {
        "num_lifetimes": 6,
        "lifetime": 6,
        "num_updates": 2,
        "num_environments": 3,
        "length": 3,
    }
    return jm.lifetime_learner(
        TASKS, POLICY, COUNTING, idle(), lambda key: (), **{**settings, **options}
    )


@pytest.mark.slow
def test_agents_die_at_their_age_and_others_live_on(key):
    """Ages are spread at first; one whose age reaches the lifetime is replaced."""
    learner = made()
    state, update = learner.init(key), jax.jit(learner.update)
    np.testing.assert_array_equal(state.outer_state.lifetimes.age, [0, 0, 2, 2, 4, 4])
    for step in range(1, 7):
        before = state.outer_state.lifetimes
        state, _ = update(jax.random.fold_in(key, step), state)
        after = state.outer_state.lifetimes
        dies = before.age + 2 == 6
        np.testing.assert_array_equal(after.age, np.where(dies, 0, before.age + 2))
        np.testing.assert_array_equal(
            after.agent["updates"], np.where(dies, 0, before.agent["updates"] + 2)
        )
        np.testing.assert_array_equal(
            after.agent["mark"] == before.agent["mark"], ~dies
        )
        assert np.all((after.task.params.bit == before.task.params.bit) | dies)
        assert np.all(after.scores.running[np.asarray(dies)] == 0)


@pytest.mark.slow
def test_new_agents_get_new_tasks(key):
    learner = made(num_lifetimes=64, lifetime=2)
    state = learner.init(key)
    after, _ = jax.jit(learner.update)(key, state)
    bits = after.outer_state.lifetimes.task.params.bit
    assert 0.25 < np.mean(bits) < 0.75
    assert np.any(bits != state.outer_state.lifetimes.task.params.bit)


def test_without_a_lifetime_nothing_ends(key):
    learner = made(lifetime=None)
    state, _ = jax.jit(lambda s: jm.train(key, learner, s, 5))(learner.init(key))
    np.testing.assert_array_equal(state.outer_state.lifetimes.age, 10)


def test_environments_go_on_where_they_stood(key):
    """Batches of three steps, episodes of five: the clock runs on, over windows too."""
    learner = made(lifetime=None)
    state, firsts = learner.init(key), []
    for step in range(2):
        state, info = jax.jit(learner.update)(jax.random.fold_in(key, step), state)
        experience = info["experience"]
        firsts += [experience.support.timestep.is_first[:, k] for k in range(2)]
        firsts += [experience.query.timestep.is_first]
    together = np.concatenate(firsts, axis=-1)  # [M, N, 18]
    expected = np.arange(18) % HORIZON == 0
    np.testing.assert_array_equal(together, np.broadcast_to(expected, (6, 3, 18)))


def test_the_experience_starts_from_the_agent_of_before(key):
    learner = made()
    state = learner.init(key)
    _, info = jax.jit(learner.update)(key, state)
    agents = state.outer_state.lifetimes.agent
    jax.tree.map(np.testing.assert_array_equal, info["experience"].initial, agents)


@pytest.mark.slow
def test_returns_are_those_of_the_episodes_that_ended_last(key):
    """Counted by hand from the rewards, through three windows."""
    parts = {"environment": TASKS.environment, "policy": POLICY, "inner": COUNTING}
    key_born, key_live = jax.random.split(key)
    life = lifetimes.born(key_born, (), TASKS.sample(key), num_environments=4, **parts)
    rewards = np.zeros((4, 0))
    for window in range(3):
        life, experience = lifetimes.live(
            jax.random.fold_in(key_live, window),
            (),
            life,
            num_updates=2,
            length=4,
            **parts,
        )
        returns = experience.window.returns
        batches = [jm.trees.at(experience.support, k) for k in range(2)]
        for column, batch in enumerate([*batches, experience.query]):
            rewards = np.concatenate([rewards, batch.reward], axis=1)
            ended = rewards.shape[1] // HORIZON
            last = rewards[:, (ended - 1) * HORIZON : ended * HORIZON].sum(1)
            expected = last.mean() if ended else 0.0
            assert returns.share[column] == (ended > 0)
            np.testing.assert_allclose(returns.mean[column], expected, rtol=1e-6)


def test_what_is_not_judged_acts_no_more_than_it_learns(key):
    parts = {"environment": TASKS.environment, "policy": POLICY, "inner": COUNTING}
    life = lifetimes.born(key, (), TASKS.sample(key), num_environments=4, **parts)
    after, experience = lifetimes.live(
        key, (), life, num_updates=3, length=4, judged=False, **parts
    )
    returns = experience.window.returns
    assert after.agent["updates"] == 3
    assert experience.query is None
    assert experience.support.reward.shape == (3, 4, 4)
    assert returns.mean.shape == returns.share.shape == (3,)
    np.testing.assert_array_equal(after.rollouts.environment_state.time, 12 % HORIZON)


@pytest.mark.slow
def test_the_size_of_a_batch_of_lifetimes_changes_nothing(key):
    policy = policies.mlp(TASKS.environment, hidden=(4,), critic=True)

    def learned(size):
        learner = jm.metagradient(
            TASKS,
            policy,
            hyperparameters={"discount": jm.hyperparameters.interval(0.9, 0.0, 1.0)},
            inner_loss=lambda values: jm.losses.policy_gradient(
                policy, jm.advantages.value_baseline(discount=values["discount"])
            ),
            inner_optimizer=optax.sgd(0.1),
            outer_optimizer=optax.sgd(1.0),
            num_lifetimes=6,
            num_environments=2,
            length=5,
            lifetime_batch_size=size,
        )
        return jax.jit(learner.update)(key, learner.init(key))

    one, other = learned(2), learned(6)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), one, other
    )


def test_a_run_goes_on_to_the_bit(tmp_path, key):
    """Lifetimes are part of the state that is saved."""
    learner = made(lifetime=None)._replace(
        update=lambda key, state: drop_experience(
            made(lifetime=None).update(key, state)
        )
    )
    whole = jm.fit(key, learner, 6, directory=tmp_path / "whole", progress=False)
    jm.fit(key, learner, 3, directory=tmp_path / "parts", progress=False)
    parts = jm.fit(key, learner, 6, directory=tmp_path / "parts", progress=False)
    jax.tree.map(np.testing.assert_array_equal, whole, parts)


def drop_experience(result):
    state, info = result
    return state, {name: info[name] for name in ("returns", "environment_steps")}


def test_it_needs_an_environment_to_live_in():
    tasks = jm.tasks.sinusoids()
    policy = policies.mlp(tasks.environment)
    with pytest.raises(ValueError, match="lifetimes need an environment"):
        jm.lifetime_learner(
            tasks,
            policy,
            COUNTING,
            idle(),
            lambda key: (),
            num_lifetimes=1,
            lifetime=None,
            num_updates=1,
            num_environments=1,
            length=1,
        )


def test_a_rollout_can_be_gone_on_with(key):
    """What lifetimes rest on: two halves with the keys of the whole are the whole."""
    task = TASKS.sample(key)
    params = POLICY.init(key)
    start = rollouts.start(key, TASKS.environment, POLICY, task)
    first, middle = rollouts.rollout(
        key, TASKS.environment, POLICY, params, task, start, length=3
    )
    again, _ = rollouts.rollout(
        key, TASKS.environment, POLICY, params, task, middle, length=3
    )
    np.testing.assert_array_equal(
        first.next_observation[-1], again.timestep.observation[0]
    )
