"""PEARL: the posterior, what its losses train, what it refuses, what it learns."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmeta as jm
from jaxmeta import adaptation, inner
from jaxmeta.algorithms.latent_actor_critic import (
    Settings,
    Step,
    step_losses,
    steps_of,
    targets,
    task_loss,
)
from jaxmeta.algorithms.pearl import _networks
from jaxmeta.distributions import DiagonalGaussian
from jaxmeta.environments import TargetProbe
from jaxmeta.posterior import multiply, no_factors

TASKS = jm.tasks.from_gymnax(
    TargetProbe(), params={"target": jm.tasks.choice([-1.0, 1.0])}
)
OPTIONS = {
    "outer_optimizer": optax.adam(3e-3),
    "num_tasks": 4,
    "num_updates": 2,
    "capacity": 8,
    "num_gradient_steps": 3,
    "replayed_tasks": 5,
    "batch_size": 6,
    "critic_hidden": (8,),
    "encoder_hidden": (8,),
}


def conditioned(tasks=TASKS, *, make=jm.policies.squashed, hidden=(8,), size=2):
    make = functools.partial(make, hidden=hidden)
    return jm.policies.with_context(make, tasks.environment, size=size)


def learner(policy=None, *, tasks=TASKS, **options):
    return jm.pearl(tasks, policy or conditioned(), **{**OPTIONS, **options})


def gaussians(key, *shape):
    key_mean, key_std = jax.random.split(key)
    return DiagonalGaussian(
        jax.random.normal(key_mean, shape), 0.5 * jax.random.normal(key_std, shape)
    )


# The posterior.


def test_a_product_of_gaussians_is_the_normalised_product_of_densities(key):
    factors = gaussians(key, 4, 1)
    z = jnp.linspace(-10, 10, 20_001)
    logs = jax.vmap(lambda z: factors.log_prob(jnp.full((4, 1), z)).sum())(z)
    density = np.exp(logs - logs.max(), dtype=np.float64)
    density /= density.sum()
    mean = (density * z).sum()
    std = np.sqrt((density * (z - mean) ** 2).sum())
    found = multiply(no_factors(1), factors).gaussian()
    np.testing.assert_allclose(found.mean, [mean], rtol=1e-4)
    np.testing.assert_allclose(jnp.exp(found.log_std), [std], rtol=1e-4)


def test_the_order_and_the_grouping_of_factors_make_no_difference(key):
    factors = gaussians(key, 6, 3)
    together = multiply(no_factors(3), factors).gaussian()
    order = jax.random.permutation(key, 6)
    shuffled = jax.tree.map(lambda leaf: leaf[order], factors)
    product = no_factors(3)
    for part in (slice(0, 2), slice(2, 6)):
        product = multiply(product, jax.tree.map(lambda x, p=part: x[p], shuffled))
    for a, b in zip(product.gaussian(), together, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert int(product.num_factors) == 6


def test_factors_of_weight_zero_do_not_count_and_no_factors_are_the_prior(key):
    factors = gaussians(key, 2, 3, 4)
    weights = jnp.array([[1, 1, 1], [0, 0, 0]])
    some = multiply(no_factors(4), factors, weights).gaussian()
    first = jax.tree.map(lambda leaf: leaf[0], factors)
    for a, b in zip(some, multiply(no_factors(4), first).gaussian(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    for product in (no_factors(4), multiply(no_factors(4), factors, 0 * weights)):
        np.testing.assert_array_equal(product.gaussian().mean, np.zeros(4))
        np.testing.assert_array_equal(product.gaussian().log_std, np.zeros(4))


def test_an_agent_acts_on_draws_of_all_that_it_has_seen(key):
    """The latent after two batches is a draw from the product of both."""

    def encode(meta_params, batch):
        mean = jnp.stack([batch.reward, 2 * batch.reward], axis=-1)
        return DiagonalGaussian(mean + meta_params.actor, jnp.zeros_like(mean))

    learned = inner.posterior(encode, 2)
    made = learner()
    state = made.init(key)
    experience = jax.jit(made.collect)(key, state.meta_params, TASKS.sample(key))
    meta_params = state.meta_params._replace(actor=jnp.ones(()))

    def latents(key):
        keys = jax.random.split(key, 3)
        again = experience._replace(keys=keys)
        params, _ = adaptation.adaptation_path(meta_params, again, inner=learned)
        return params.context

    drawn = jax.jit(jax.vmap(latents))(jax.random.split(key, 4000))  # [4000, 3, 2]
    rewards = experience.support.reward.reshape(2, -1)
    one, both = rewards[0].mean(), rewards.mean()
    means = np.array([[0, 0], [1 + one, 1 + 2 * one], [1 + both, 1 + 2 * both]])
    count = np.array([1, 1, 2])[:, None]  # one step per episode, and the prior's
    error = 5 / np.sqrt(4000 * count)
    assert np.all(np.abs(drawn.mean(0) - means) < error)
    np.testing.assert_allclose(
        drawn.std(0), np.broadcast_to(1 / np.sqrt(count), (3, 2)), rtol=0.06
    )


def test_collect_acts_on_what_adapt_infers(key):
    made = learner()
    meta_params = made.init(key).meta_params
    experience = jax.jit(made.collect)(key, meta_params, TASKS.sample(key))
    params, _ = made.adapt(meta_params, experience)
    output, _ = made.policy.apply(
        params, (), jax.tree.map(lambda x: x[0, 0], experience.query.timestep)
    )
    acted = jax.tree.map(lambda leaf: leaf[0, 0], experience.query.distribution)
    for a, b in zip(output.distribution, acted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


# The losses.


SETTINGS = Settings(
    capacity=8,
    num_gradient_steps=1,
    replayed_tasks=4,
    batch_size=16,
    discount=0.9,
    target_rate=0.005,
    kl_coefficient=0.0,
    temperature=0.1,
    target_entropy=None,
)


@functools.cache
def parts():
    """Networks and params, target critics other than the critics, and a step."""
    networks, meta_init = _networks(
        conditioned(),
        TASKS.environment,
        2,
        critic_hidden=(8,),
        encoder_hidden=(8,),
        encode_next_observation=True,
        temperature=0.1,
    )
    params = meta_init(jax.random.key(1))
    others = meta_init(jax.random.key(2)).critics
    step = Step(
        observation=jnp.array([0.0, 1.0]),
        action=jnp.array([0.5]),
        reward=jnp.asarray(-0.3),
        next_observation=jnp.array([1.0, 0.0]),
        terminated=jnp.asarray(False),
    )
    return networks, params, others, step


def sizes(tree):
    return {name: float(jnp.abs(x).max()) for name, x in flat(tree).items()}


def flat(tree):
    return dict(zip(jm.trees.paths(tree), jax.tree.leaves(tree), strict=True))


def test_the_target_is_the_soft_value_of_what_follows(key):
    networks, params, others, step = parts()
    latent = jnp.array([0.3, -0.8])
    target = targets(key, networks, SETTINGS, params, others, step, latent)
    distribution = networks.act(params.actor, step.next_observation, latent)
    action, log_prob = distribution.sample_and_log_prob(key)
    values = [networks.value(c, step.next_observation, action, latent) for c in others]
    expected = -0.3 + 0.9 * (min(values) - 0.1 * log_prob)
    np.testing.assert_allclose(target, expected, rtol=1e-5)
    over = step._replace(terminated=jnp.asarray(True))
    target = targets(key, networks, SETTINGS, params, others, over, latent)
    np.testing.assert_allclose(target, -0.3, rtol=1e-6)


@pytest.mark.parametrize("loss", ["critic_loss", "actor_loss", "temperature_loss"])
def test_each_loss_trains_its_own_part_and_the_critics_alone_the_latent(loss, key):
    networks, params, others, step = parts()

    def value(params, others, latent):
        return step_losses(key, networks, SETTINGS, params, others, step, latent)[loss]

    latent = jnp.array([0.3, -0.8])
    of_params, of_targets, of_latent = jax.grad(value, (0, 1, 2))(
        params, others, latent
    )
    trained = {
        "critic_loss": "critics",
        "actor_loss": "actor",
        "temperature_loss": "log_temperature",
    }[loss]
    for name, size in sizes(of_params).items():
        assert (size > 0) == name.startswith(trained), name
    assert not any(sizes(of_targets).values())
    assert bool(np.any(of_latent)) == (loss == "critic_loss")


def test_the_temperature_rises_where_the_entropy_is_too_low(key):
    networks, params, others, step = parts()
    latent = jnp.zeros(2)

    def slope(target_entropy):
        settings = SETTINGS._replace(target_entropy=target_entropy)

        def value(log_temperature):
            changed = params._replace(log_temperature=log_temperature)
            losses = step_losses(key, networks, settings, changed, others, step, latent)
            return losses["temperature_loss"]

        return float(jax.grad(value)(params.log_temperature))

    assert slope(10.0) < 0 < slope(-10.0)
    # By default: a dimension with bounds -2 and 2 has log 2 - 1.
    np.testing.assert_allclose(slope(None), slope(float(np.log(2) - 1)), rtol=1e-5)


def test_the_encoder_learns_from_critics_and_divergence(key):
    networks, params, others, step = parts()
    item = jax.tree.map(lambda x: jnp.broadcast_to(x, (3, 4, *x.shape)), step)

    @jax.jit
    def gradient(params, kl_coefficient):
        settings = SETTINGS._replace(kl_coefficient=kl_coefficient)

        def loss(params):
            return task_loss(
                key, params, others, item, networks=networks, settings=settings
            )

        return jax.grad(loss, has_aux=True)(params)

    def kl(encoder, batches):
        factor = networks.encode(encoder, step)
        repeated = jax.tree.map(lambda x: jnp.tile(x, (4 * batches, 1)), factor)
        belief = multiply(no_factors(2), repeated).gaussian()
        return belief.kl(jax.tree.map(jnp.zeros_like, belief))

    critics_alone, info = gradient(params, 0.0)
    both, _ = gradient(params, 0.5)
    assert any(sizes(critics_alone.encoder).values())
    # The context is one to all three batches.
    possible = [float(kl(params.encoder, batches)) for batches in (1, 2, 3)]
    distance = np.abs(np.array(possible) - float(info["kl"]))
    assert distance.min() < 1e-4
    added = jax.tree.map(jnp.subtract, both.encoder, critics_alone.encoder)
    expected = jax.grad(kl)(params.encoder, int(np.argmin(distance)) + 1)
    for a, b in zip(jax.tree.leaves(added), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, 0.5 * b, rtol=1e-3, atol=1e-4)


def test_the_context_is_every_number_of_batches(key):
    networks, params, others, step = parts()
    item = jax.tree.map(lambda x: jnp.broadcast_to(x, (3, 4, *x.shape)), step)

    options = {"networks": networks, "settings": SETTINGS}

    def kl(key):
        return task_loss(key, params, others, item, **options)[1]["kl"]

    found = jax.jit(jax.vmap(kl))(jax.random.split(key, 300))
    values, counts = np.unique(np.round(found, 3), return_counts=True)
    assert len(values) == 3
    assert counts.min() > 100 - 5 * np.sqrt(300 * 2 / 9)


# The learner.


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
