"""PEARL: its updates, what it refuses, what it learns."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small_pearl import SETTINGS, TASKS, conditioned, learner, parts

import jaxmeta as jm
from jaxmeta.algorithms.latent_actor_critic import (
    steps_of,
    targets,
)


@functools.cache
def updated():
    """A learner, the key of its second update, and the states around it."""
    made = learner(
        num_episodes=2,
        capacity=6,
        num_gradient_steps=1,
        target_rate=0.25,
        learn_temperature=False,
    )
    update = jax.jit(made.update)
    before, _ = update(jax.random.key(1), made.init(jax.random.key(0)))
    key = jax.random.key(2)
    after, info = update(key, before)
    return made, key, before, after, info


@pytest.mark.slow
def test_the_replay_holds_every_step_of_the_newest_tasks():
    made, key, before, after, _ = updated()
    ring = after.outer_state.replay
    assert ring.items.reward.shape == (6, 3, 2)
    assert ring.items.observation.shape == (6, 3, 2, 2)
    assert int(ring.size) == 6
    key_tasks, key_collect, _ = jax.random.split(key, 3)
    drawn = jax.vmap(TASKS.sample)(jax.random.split(key_tasks, 4))
    acted = jax.jit(jax.vmap(made.collect, in_axes=(0, None, 0)))(
        jax.random.split(key_collect, 4), before.meta_params, drawn
    )
    newest = jax.tree.map(lambda leaf: leaf[np.arange(4, 8) % 6], ring.items)
    np.testing.assert_allclose(
        newest.reward[:, :2], acted.support.reward[..., 0], rtol=1e-5
    )
    np.testing.assert_allclose(
        newest.action[:, 2], acted.query.action[:, :, 0], rtol=1e-5
    )


def test_target_critics_follow_slowly_and_a_fixed_temperature_stays():
    made, _, before, after, info = updated()
    start = made.init(jax.random.key(0))
    for a, b in zip(
        jax.tree.leaves(start.meta_params.critics),
        jax.tree.leaves(start.outer_state.target_critics),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
    followed = jax.tree.map(
        lambda old, new: 0.75 * old + 0.25 * new,
        before.outer_state.target_critics,
        after.meta_params.critics,
    )
    found = after.outer_state.target_critics
    for a, b in zip(jax.tree.leaves(followed), jax.tree.leaves(found), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert after.meta_params.log_temperature is None
    np.testing.assert_allclose(info["temperature"], 0.1)
    assert set(info) >= {"critic_loss", "actor_loss", "kl", "meta_gradient_norm"}


def test_an_end_cuts_the_target_and_a_time_limit_does_not(key):
    """All that the probe does ends by its time limit."""
    networks, params, others, _ = parts()
    made = learner()
    meta_params, task = made.init(key).meta_params, TASKS.sample(key)
    acted = jax.jit(made.collect)(key, meta_params, task).query
    assert np.all(acted.truncated)
    assert not np.any(acted.terminated)

    def target(transitions):
        step = jm.trees.at(steps_of(transitions), (0, 0))
        return targets(key, networks, SETTINGS, params, others, step, jnp.zeros(2))

    going_on = acted._replace(truncated=jnp.zeros_like(acted.truncated))
    ended = acted._replace(terminated=acted.truncated)
    np.testing.assert_array_equal(target(acted), target(going_on))
    np.testing.assert_allclose(target(ended), acted.reward[0, 0], rtol=1e-6)
    assert abs(target(acted) - acted.reward[0, 0]) > 0.01


@pytest.mark.slow
def test_it_learns_to_infer_the_target(key):
    """Not knowing it -1 is best, knowing it 0; with eight keys it got -0.1 or more."""
    made = learner(
        conditioned(hidden=(32,)),
        num_tasks=8,
        capacity=200,
        num_gradient_steps=30,
        replayed_tasks=32,
        batch_size=8,
        discount=0.0,
        kl_coefficient=0.001,
        target_entropy=-1.5,
        critic_hidden=(32,),
        encoder_hidden=(32,),
        outer_optimizer=optax.adam(1e-2),
    )
    key_init, key_train, key_test = jax.random.split(key, 3)
    state = made.init(key_init)
    state, _ = jax.jit(lambda key, state: jm.train(key, made, state, 100))(
        key_train, state
    )
    curve = jm.adaptation_curve(key_test, made, state.meta_params, TASKS, num_tasks=500)
    error = curve.std(0) / np.sqrt(500)
    assert curve[:, 0].mean() < -1.0 + 5 * error[0]
    assert np.all(curve[:, 1:].mean(0) > -0.3)
    assert np.all(error[1:] < 0.04)


# What it refuses.


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_updates": 0}, ValueError, "num_updates must be at least 1, got 0"),
        ({"capacity": 3}, ValueError, "capacity must be at least 4, got 3"),
        ({"num_gradient_steps": 0}, ValueError, "num_gradient_steps must be at least"),
        ({"replayed_tasks": 0}, ValueError, "replayed_tasks must be at least 1, got 0"),
        ({"batch_size": 1.5}, TypeError, r"batch_size must be an integer, got 1\.5"),
        ({"discount": 1.5}, ValueError, r"discount must lie in \[0, 1\], got 1\.5"),
        ({"discount": "a"}, TypeError, "discount must be a number, got 'a'"),
        ({"target_rate": 0}, ValueError, "target_rate must be positive"),
        ({"target_rate": 1.1}, ValueError, r"target_rate must lie in \[0, 1\]"),
        ({"target_entropy": "a"}, TypeError, "target_entropy must be a number"),
        ({"target_entropy": jnp.nan}, ValueError, "target_entropy must be finite"),
        ({"kl_coefficient": -1}, ValueError, "kl_coefficient must be .* got -1"),
        ({"temperature": 0}, ValueError, "temperature must be positive .* got 0"),
        ({"critic_hidden": 8}, TypeError, "critic_hidden must be a sequence"),
        ({"encoder_hidden": (0,)}, ValueError, "encoder_hidden must be at least 1"),
        ({"outer_optimizer": 0.1}, TypeError, "outer_optimizer must be an optax"),
    ],
)
def test_bad_arguments(options, error, message):
    with pytest.raises(error, match=message):
        learner(**options)


def with_value():
    def make(environment):
        policy = jm.policies.squashed(environment, hidden=(8,))

        def apply(params, carry, timestep):
            output, carry = policy.apply(params, carry, timestep)
            return output._replace(value=jnp.zeros(())), carry

        return policy._replace(apply=apply)

    return jm.policies.with_context(make, TASKS.environment, size=2)


def with_memory():
    policy = conditioned()
    return policy._replace(initial_carry=lambda: jnp.zeros(1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: jm.policies.squashed(TASKS.environment), "this policy has no context"),
        (
            lambda: conditioned(make=jm.policies.mlp),
            "needs a TanhGaussian over bounded actions, got DiagonalGaussian",
        ),
        (with_memory, "this one has memory"),
        (with_value, "it has a critic, which pearl would not train"),
    ],
)
def test_policies_it_cannot_train_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        learner(make())


@pytest.mark.slow
def test_the_whole_state_can_be_donated(key):
    made = learner()
    update = jax.jit(made.update, donate_argnums=1)
    for _ in range(2):
        state, _ = update(key, made.init(key))
        state, _ = update(key, state)
    assert int(state.step) == 2


def test_a_dataset_is_refused():
    with pytest.raises(ValueError, match="they are those of a Dataset"):
        learner(tasks=jm.tasks.sinusoids())
