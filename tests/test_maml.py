"""MAML in particular, and what it learns on tasks of known optimum."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from test_algorithms import TASKS, gradient_based

import jaxmeta as jm
from jaxmeta.environments import DelayedProbe, MatchProbe, TargetProbe


def test_maml_names_what_is_no_optimizer():
    with pytest.raises(TypeError, match=r"inner_optimizer .*optax\.sgd.* got 0\.1"):
        gradient_based(jm.maml, inner_optimizer=0.1)


def test_maml_refuses_an_advantage_nothing_would_use():
    policy = jm.policies.mlp(TASKS.environment)
    loss = jm.losses.policy_gradient(policy, jm.advantages.reward_to_go())
    with pytest.raises(ValueError, match="both losses are given"):
        gradient_based(
            jm.maml,
            advantage=jm.advantages.reward_to_go(),
            inner_loss=loss,
            outer_loss=loss,
        )


@pytest.mark.parametrize("optimizer", [optax.adam(0.1), optax.adamw(0.1)])
def test_maml_names_the_safe_optimizer_when_the_inner_one_is_not(optimizer):
    with pytest.raises(ValueError, match=r"inner optimizer.*jaxmeta\.optimizers\.adam"):
        gradient_based(jm.maml, inner_optimizer=optimizer)
    gradient_based(jm.maml, inner_optimizer=optimizer, estimator="first_order")


def test_maml_without_inner_updates_is_policy_gradient(key):
    learner = gradient_based(jm.maml, num_updates=0, outer_optimizer=optax.sgd(1.0))
    state = learner.init(key)
    after, info = jax.jit(learner.update)(key, state)
    assert info["returns"].shape == (1,)
    key_tasks, key_collect, _ = jax.random.split(key, 3)
    tasks = jax.vmap(TASKS.sample)(jax.random.split(key_tasks, 4))
    collect = jax.jit(jax.vmap(learner.collect, in_axes=(0, None, 0)))
    experience = collect(jax.random.split(key_collect, 4), state.meta_params, tasks)
    loss = jm.losses.policy_gradient(learner.policy, jm.advantages.linear_baseline())

    def mean_loss(params):
        return jnp.mean(
            jax.vmap(lambda batch: loss(params, batch)[0])(experience.query)
        )

    expected = jax.tree.map(
        lambda p, g: p - g, state.meta_params, jax.grad(mean_loss)(state.meta_params)
    )
    for a, b in zip(
        jax.tree.leaves(after.meta_params), jax.tree.leaves(expected), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_rollouts_may_be_short_only_where_no_loss_needs_an_episode():
    """Whichever way the losses are given."""
    policy = jm.policies.mlp(TASKS.environment, hidden=(8,), critic=True)
    bootstrapped = jm.losses.policy_gradient(policy, jm.advantages.value_baseline())
    complete = jm.losses.policy_gradient(policy, jm.advantages.reward_to_go())

    def make(inner_loss, outer_loss):
        return jm.maml(
            TASKS,
            policy,
            inner_optimizer=optax.sgd(0.1),
            outer_optimizer=optax.sgd(0.1),
            num_tasks=1,
            num_updates=1,
            num_episodes=1,
            length=2,
            inner_loss=inner_loss,
            outer_loss=outer_loss,
        )

    make(bootstrapped, bootstrapped)
    make(bootstrapped, lambda params, batch: bootstrapped(params, batch))
    for losses in ((complete, bootstrapped), (bootstrapped, complete)):
        with pytest.raises(ValueError, match="length must be at least the horizon"):
            make(*losses)


@pytest.mark.slow
def test_weights_on_every_step_add_up_the_losses_after_each(key):
    """The meta-gradient of each weighting is that of losses written out here."""
    weights = jnp.array([0.25, 2.0])
    learner = gradient_based(
        jm.maml, outer_loss_weights=(0.25, 2.0), outer_optimizer=optax.sgd(1.0)
    )
    state = learner.init(key)
    after, info = jax.jit(learner.update)(key, state)
    key_tasks, key_collect, _ = jax.random.split(key, 3)
    tasks = jax.vmap(TASKS.sample)(jax.random.split(key_tasks, 4))
    collect = jax.jit(jax.vmap(learner.collect, in_axes=(0, None, 0)))
    experience = collect(jax.random.split(key_collect, 4), state.meta_params, tasks)
    loss = jm.losses.policy_gradient(learner.policy, jm.advantages.linear_baseline())

    def total(meta_params, one):
        first = one._replace(
            keys=one.keys[:2], support=jax.tree.map(lambda leaf: leaf[:1], one.support)
        )
        second_batch = jax.tree.map(lambda leaf: leaf[1], one.support)
        once, twice = (
            learner.adapt(meta_params, first)[0],
            learner.adapt(meta_params, one)[0],
        )
        return weights @ jnp.stack(
            [loss(once, second_batch)[0], loss(twice, one.query)[0]]
        )

    def mean_total(meta_params):
        return jnp.mean(jax.vmap(total, in_axes=(None, 0))(meta_params, experience))

    value, gradient = jax.jit(jax.value_and_grad(mean_total))(state.meta_params)
    np.testing.assert_allclose(info["meta_loss"], value, rtol=1e-4, atol=1e-6)
    expected = jax.tree.map(lambda p, g: p - g, state.meta_params, gradient)
    for a, b in zip(
        jax.tree.leaves(after.meta_params), jax.tree.leaves(expected), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_all_the_weight_on_the_last_step_is_the_default(key):
    last = gradient_based(jm.maml, outer_loss_weights=(0.0, 1.0))
    plain = gradient_based(jm.maml)
    one, _ = jax.jit(last.update)(key, last.init(key))
    other, _ = jax.jit(plain.update)(key, plain.init(key))
    for a, b in zip(
        jax.tree.leaves(one.meta_params),
        jax.tree.leaves(other.meta_params),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_no_more_weights_than_updates():
    for weights in ((), (1.0, 1.0, 1.0)):
        with pytest.raises(ValueError, match="one to num_updates=2 weights, got"):
            gradient_based(jm.maml, outer_loss_weights=weights)


@pytest.mark.slow
def test_a_critic_is_trained_by_maml(key):
    """With a critic that bootstraps, rollouts may be shorter than an episode."""
    policy = jm.policies.mlp(TASKS.environment, hidden=(8,), critic=True)
    learner = jm.maml(
        TASKS,
        policy,
        inner_optimizer=optax.sgd(0.1),
        outer_optimizer=optax.sgd(0.1),
        num_tasks=2,
        num_updates=1,
        num_episodes=3,
        length=3,
        advantage=jm.advantages.value_baseline(),
    )
    state = learner.init(key)
    after, info = jax.jit(learner.update)(key, state)
    assert info["value_loss"] > 0
    moved = jax.tree.map(
        lambda a, b: bool(np.any(a != b)), state.meta_params, after.meta_params
    )
    assert all(jax.tree.leaves(moved))


class Probe(NamedTuple):
    """A probe, its task field, and its best returns before and after adaptation."""

    environment: object
    params: dict
    agnostic: float
    adapted: float
    tolerance: float
    inner_rate: float


PROBES = {
    "match": Probe(MatchProbe(), {"bit": jm.tasks.choice([0, 1])}, 2.5, 5.0, 0.2, 2.0),
    "delayed": Probe(
        DelayedProbe(), {"bit": jm.tasks.choice([0, 1])}, 0.5, 1.0, 0.05, 10.0
    ),
    "target": Probe(
        TargetProbe(), {"target": jm.tasks.choice([-1.0, 1.0])}, -1.0, 0.0, 0.15, 0.2
    ),
}


@pytest.mark.parametrize(
    ("name", "estimator"),
    [
        ("match", "lvc"),
        pytest.param("match", "first_order", marks=pytest.mark.slow),
        pytest.param("delayed", "lvc", marks=pytest.mark.slow),
        ("target", "lvc"),
    ],
)
def test_maml_reaches_the_known_optimum_after_adaptation(name, estimator, key):
    probe = PROBES[name]
    tasks = jm.tasks.from_gymnax(probe.environment, params=probe.params)
    policy = jm.policies.mlp(tasks.environment, hidden=(16,), initial_std=0.5)
    learner = jm.maml(
        tasks,
        policy,
        inner_optimizer=optax.sgd(probe.inner_rate),
        outer_optimizer=optax.adam(1e-2),
        num_tasks=10,
        num_updates=1,
        num_episodes=20,
        estimator=estimator,
    )
    key_init, key_train, key_test = jax.random.split(key, 3)
    run = jax.jit(lambda state: jm.train(key_train, learner, state, 300))
    state, _ = run(learner.init(key_init))
    curve = jm.adaptation_curve(
        key_test, learner, state.meta_params, tasks, num_tasks=500
    )
    after = np.asarray(curve[:, -1])
    assert after.mean() > probe.adapted - probe.tolerance
    # Nothing may beat an optimum: not the adapted one, nor the task-agnostic one.
    error = np.asarray(curve).std(0) / 500**0.5
    assert after.mean() <= probe.adapted + 3 * error[-1] + 1e-6
    assert curve[:, 0].mean() <= probe.agnostic + 4 * error[0] + 1e-6
