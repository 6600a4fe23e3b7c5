"""Adaptation to a stream: what is kept, forgotten and started again, exactly."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmeta as jm
from jaxmeta import recorded, rollouts

NUM_BATCHES, NUM_EPISODES, LENGTH = 4, 3, 5


@pytest.fixture(scope="module")
def setting():
    """A learner, its meta-params, and batches of other tasks acted by them."""
    tasks = jm.tasks.navigation2d(horizon=LENGTH)
    policy = jm.policies.mlp(tasks.environment, hidden=(4,))
    rate = optax.piecewise_constant_schedule(0.5, {1: 0.5})
    learner = jm.maml(
        tasks,
        policy,
        inner_optimizer=optax.sgd(rate),
        outer_optimizer=optax.sgd(0.1),
        num_tasks=2,
        num_updates=1,
        num_episodes=NUM_EPISODES,
    )
    meta_params = policy.init(jax.random.key(0))

    def act(key):
        key_task, key_act = jax.random.split(key)
        return rollouts.episodes(
            key_act,
            tasks.environment,
            policy,
            meta_params,
            tasks.sample(key_task),
            num_episodes=NUM_EPISODES,
            length=LENGTH,
        )

    batches = jax.jit(jax.vmap(act))(jax.random.split(jax.random.key(1), NUM_BATCHES))
    return learner, meta_params, batches


def run(setting, **options):
    """The params after every batch, with what was said of it."""
    learner, meta_params, batches = setting
    stream = jm.continual(learner, **options)
    state = stream.start(jax.random.key(2), meta_params, jm.trees.at(batches, 0))

    def step(state, batch):
        state, info = stream.update(jax.random.key(3), meta_params, state, batch)
        return state, (stream.params(meta_params, state), info)

    return jax.jit(lambda s: jax.lax.scan(step, s, batches))(state)[1]


def by_hand(setting, indices, start=None):
    """The inner updates of the batches, one after the other."""
    learner, meta_params, batches = setting
    key = jax.random.key(0)
    state = start or learner.inner.init(key, meta_params)
    for index in indices:
        batch = recorded.as_acted(
            learner.policy,
            learner.inner.params(meta_params, state),
            jm.trees.at(batches, index),
        )
        state, _ = learner.inner.update(key, meta_params, state, batch)
    return state


def check(found, state):
    for ours, theirs in zip(
        jax.tree.leaves(found), jax.tree.leaves(state.params), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_without_forgetting_it_is_adaptation_repeated(setting):
    params, info = run(setting)
    for n in range(NUM_BATCHES):
        check(jm.trees.at(params, n), by_hand(setting, range(n + 1)))
    assert not info["reset"].any()
    _, _, batches = setting
    np.testing.assert_allclose(
        info["return"], batches.reward.sum(-1).mean(-1), rtol=1e-5
    )


@pytest.mark.parametrize("options", [{"forgetting": 1.0}, {"reset_every": 1}])
def test_to_forget_all_is_to_adapt_from_scratch(setting, options):
    params, _ = run(setting, **options)
    for n in range(NUM_BATCHES):
        check(jm.trees.at(params, n), by_hand(setting, [n]))


def test_a_window_is_adaptation_to_the_last_batches(setting):
    params, _ = run(setting, window=2)
    check(jm.trees.at(params, 0), by_hand(setting, [0]))
    for n in range(1, NUM_BATCHES):
        check(jm.trees.at(params, n), by_hand(setting, [n - 1, n]))


def test_resets_come_when_they_are_due(setting):
    params, info = run(setting, reset_every=3)
    assert info["reset"].tolist() == [False, False, False, True]
    check(jm.trees.at(params, 3), by_hand(setting, [3]))
    check(jm.trees.at(params, 2), by_hand(setting, [0, 1, 2]))


def test_a_fall_of_the_return_resets(setting):
    learner, meta_params, batches = setting
    reward = jnp.asarray([0.0, -1.0, -1.4, -1.2])  # per step
    batches = batches._replace(
        reward=jnp.broadcast_to(reward[:, None, None], batches.reward.shape)
    )
    params, info = run((learner, meta_params, batches), reset_drop=4.0)
    # Returns are 0, -5, -7, -6: the second falls by more than 4 below the best, the
    # others are compared with those since.
    assert info["reset"].tolist() == [False, True, False, False]
    check(jm.trees.at(params, 1), by_hand((learner, meta_params, batches), [1]))


def test_forgetting_draws_towards_the_meta_params_before_it_learns(setting):
    _, meta_params, _ = setting
    params, _ = run(setting, forgetting=0.25)
    first = by_hand(setting, [0])
    drawn = jax.tree.map(
        lambda start, now: start + 0.75 * (now - start), meta_params, first.params
    )
    # One update is counted, and 0.75 of one is rounded to one.
    check(jm.trees.at(params, 1), by_hand(setting, [1], first._replace(params=drawn)))


def test_it_is_compiled_once_and_mapped_over_users(setting):
    learner, meta_params, batches = setting
    stream = jm.continual(learner, forgetting=0.5)
    traces = []

    @jax.jit
    def update(key, state, batch):
        traces.append(1)
        return stream.update(key, meta_params, state, batch)

    state = stream.start(jax.random.key(0), meta_params)
    alone = []
    for n in range(3):
        state, _ = update(jax.random.key(n), state, jm.trees.at(batches, n))
        alone.append(stream.params(meta_params, state))
    assert len(traces) == 1
    users = jax.vmap(lambda key: stream.start(key, meta_params))(
        jax.random.split(jax.random.key(0), 3)
    )
    three = jax.tree.map(lambda leaf: leaf[:3], batches)
    keys = jax.random.split(jax.random.key(1), 3)
    users, _ = jax.vmap(stream.update, (0, None, 0, 0))(keys, meta_params, users, three)
    first = jax.vmap(stream.params, (None, 0))(meta_params, users)
    for ours, theirs in zip(
        jax.tree.leaves(first), jax.tree.leaves(alone[0]), strict=True
    ):
        np.testing.assert_allclose(ours[0], theirs, rtol=1e-4, atol=1e-6)


def test_examples_are_a_stream_too():
    tasks = jm.tasks.sinusoids()
    policy = jm.policies.mlp(tasks.environment, hidden=(4,))
    learner = jm.maml(
        tasks,
        policy,
        inner_optimizer=optax.sgd(0.01),
        outer_optimizer=optax.sgd(0.1),
        num_tasks=2,
        num_updates=1,
        num_episodes=3,
    )
    meta_params = policy.init(jax.random.key(0))
    batch = tasks.environment.examples(
        jax.random.key(1), tasks.sample(jax.random.key(2)), 3
    )
    stream = jm.continual(learner, window=2)
    state = stream.start(jax.random.key(0), meta_params, batch)
    state, info = stream.update(jax.random.key(1), meta_params, state, batch)
    key, fresh = jax.random.key(0), learner.inner.init(jax.random.key(0), meta_params)
    expected, _ = learner.inner.update(key, meta_params, fresh, batch)
    check(stream.params(meta_params, state), expected)
    assert "return" not in info
    with pytest.raises(ValueError, match=r"examples have no return"):
        jm.continual(learner, reset_drop=1.0)


def test_wrong_arguments_are_refused(setting):
    learner, meta_params, _ = setting
    with pytest.raises(ValueError, match=r"forgetting must lie in \[0, 1\], got 1.5"):
        jm.continual(learner, forgetting=1.5)
    with pytest.raises(ValueError, match=r"window must be at least 1"):
        jm.continual(learner, window=0)
    with pytest.raises(TypeError, match=r"reset_every must be an integer"):
        jm.continual(learner, reset_every=2.5)
    with pytest.raises(ValueError, match=r"reset_drop must be positive"):
        jm.continual(learner, reset_drop=0.0)
    with pytest.raises(ValueError, match=r"forgetting=0\.5 and window=2: choose one"):
        jm.continual(learner, forgetting=0.5, window=2)
    with pytest.raises(TypeError, match=r"learner must be a MetaLearner"):
        jm.continual(learner.policy)
    with pytest.raises(ValueError, match=r"a window of 2 batches needs one"):
        jm.continual(learner, window=2).start(jax.random.key(0), meta_params)
    tasks = jm.tasks.bernoulli_bandit(2, horizon=2)
    policy = jm.policies.recurrent(tasks.environment, core=jm.policies.gru(2))
    remembers = jm.rl2(
        tasks,
        policy,
        outer_optimizer=optax.sgd(0.1),
        num_tasks=2,
        num_minibatches=1,
    )
    with pytest.raises(ValueError, match=r"no inner updates; what adapts in its"):
        jm.continual(remembers)
