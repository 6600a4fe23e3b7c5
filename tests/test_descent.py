"""Agents of their own that learn by a known rule: steps, epochs and minibatches."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmeta as jm
from jaxmeta import advantages, inner, lifetimes, losses, minibatches, policies
from jaxmeta.environments import MatchProbe

TASKS = jm.tasks.from_gymnax(MatchProbe(), params={"bit": jm.tasks.choice([0, 1])})
POLICY = policies.mlp(TASKS.environment, hidden=(6,), critic=True)
ADVANTAGE = advantages.value_baseline(discount=0.9, trace_decay=0.8)
PARTS = {"environment": TASKS.environment, "policy": POLICY}


def batch_of(key, agent, num_environments=4):
    key_born, key_live = jax.random.split(key)
    life = lifetimes.born(
        key_born,
        (),
        TASKS.sample(key),
        inner=agent,
        num_environments=num_environments,
        **PARTS,
    )
    _, experience = lifetimes.live(
        key_live, (), life, inner=agent, num_updates=1, length=6, judged=False, **PARTS
    )
    return experience.initial, jm.trees.at(experience.support, 0)


def proximal(**options):
    loss = losses.clipped_surrogate(POLICY, ADVANTAGE, entropy_coefficient=0.01)
    return inner.descent(POLICY.init, lambda _: loss, optax.adam(0.1), **options)


@pytest.mark.slow
def test_epochs_are_steps_on_the_same_batch(key):
    """PPO without minibatches, against optax in a loop."""
    agent = proximal(num_epochs=3)
    state, batch = batch_of(key, agent)
    learned, info = jax.jit(agent.update)(key, (), state, batch)
    loss = losses.clipped_surrogate(POLICY, ADVANTAGE, entropy_coefficient=0.01)
    optimizer = optax.adam(0.1)
    params, memory = state.params, optimizer.init(state.params)
    for _ in range(3):
        gradients = jax.jit(jax.grad(lambda p: loss(p, batch)[0]))(params)
        updates, memory = optimizer.update(gradients, memory, params)
        params = optax.apply_updates(params, updates)
    for ours, theirs in zip(
        jax.tree.leaves(learned.params), jax.tree.leaves(params), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        info["gradient_norm"], jm.trees.safe_norm(gradients), rtol=1e-4
    )


def test_every_trajectory_is_in_one_minibatch_of_each_epoch(key):
    """Each is told to be counted; in the end every count is the number of epochs."""

    def learn(counts, chosen):
        return counts.at[chosen].add(1), {"steps": jnp.ones(()), "size": chosen.size}

    counts, info = minibatches.scan(
        key,
        learn,
        jnp.zeros(12, int),
        jnp.arange(12),
        num_epochs=5,
        num_minibatches=4,
    )
    np.testing.assert_array_equal(counts, 5)
    assert info["size"] == 3


def test_epochs_differ_in_their_order(key):
    def learn(seen, chosen):
        return seen, {"first": chosen[0]}

    def firsts(key):
        return minibatches.scan(
            key, learn, (), jnp.arange(64), num_epochs=2, num_minibatches=64
        )[1]["first"]

    # The info is of the last epoch: the same for one key, another for another.
    assert firsts(key) == firsts(key)

    def remember(state, chosen):
        return state.at[state[-1]].set(chosen[0]).at[-1].add(1), {}

    seen, _ = minibatches.scan(
        key,
        remember,
        jnp.zeros(129, int),
        jnp.arange(64),
        num_epochs=2,
        num_minibatches=64,
    )
    orders = np.asarray(seen[:128]).reshape(2, 64)
    assert not np.array_equal(orders[0], orders[1])
    np.testing.assert_array_equal(np.sort(orders, axis=1), [np.arange(64)] * 2)


def test_a_loss_and_an_optimizer_may_depend_on_the_meta_params(key):
    """One gradient step of a rate that is meta-learned, differentiated by it."""

    def loss(meta_params):
        return lambda params, batch: (
            meta_params["slope"] * jnp.sum(params["w"]) + 0.0 * jnp.sum(batch.reward),
            {},
        )

    agent = inner.descent(
        lambda key: {"w": jnp.zeros(3)},
        loss,
        lambda meta_params: optax.sgd(meta_params["rate"]),
    )
    _, batch = batch_of(key, proximal())
    meta_params = {"slope": jnp.asarray(2.0), "rate": jnp.asarray(0.3)}

    def total(meta_params):
        state = agent.init(key, meta_params)
        state, _ = agent.update(key, meta_params, state, batch)
        return jnp.sum(agent.params(meta_params, state)["w"])

    value, slopes = jax.value_and_grad(total)(meta_params)
    np.testing.assert_allclose(value, -1.8, rtol=1e-6)
    np.testing.assert_allclose(slopes["slope"], -0.9, rtol=1e-6)
    np.testing.assert_allclose(slopes["rate"], -6.0, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_epochs": 0}, ValueError, "num_epochs must be at least 1, got 0"),
        ({"num_minibatches": 1.5}, TypeError, "num_minibatches must be an integer"),
    ],
)
def test_numbers_are_checked(options, error, message):
    with pytest.raises(error, match=message):
        proximal(**options)


def test_minibatches_have_one_size(key):
    agent = proximal(num_minibatches=3)
    state, batch = batch_of(key, proximal())
    with pytest.raises(ValueError, match="must divide the number of trials, 4, got 3"):
        agent.update(key, (), state, batch)
