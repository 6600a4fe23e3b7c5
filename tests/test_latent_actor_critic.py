"""PEARL's losses: targets, what each trains, and the context they see."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_pearl import SETTINGS, parts, sizes

from jaxmeta.algorithms.latent_actor_critic import (
    step_losses,
    targets,
    task_loss,
)
from jaxmeta.posterior import multiply, no_factors


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


@pytest.mark.slow
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
