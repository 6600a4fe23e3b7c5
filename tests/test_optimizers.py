import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxmeta import optimizers

PARAMS = {"w": jnp.zeros((2, 3)), "b": jnp.zeros(3)}
SAFE = {
    "sgd": optax.sgd(0.1),
    "momentum": optax.sgd(0.1, momentum=0.9),
    "adam": optimizers.adam(0.1),
    "clip": optax.chain(optimizers.clip_by_global_norm(1.0), optax.sgd(0.1)),
    "schedule": optax.sgd(optax.piecewise_constant_schedule(0.1, {1: 0.5})),
    "masked": optax.masked(optax.sgd(0.1), {"w": True, "b": False}),
}
UNSAFE = {
    "adam": optax.adam(0.1),
    "clip": optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1)),
}


def meta_gradient_at_zero(optimizer):
    def end(gradients):
        updates, _ = optimizer.update(gradients, optimizer.init(PARAMS), PARAMS)
        return sum(jnp.sum(u) for u in jax.tree.leaves(updates))

    return jax.grad(end)(jax.tree.map(jnp.zeros_like, PARAMS))


@pytest.mark.parametrize("name", SAFE)
def test_safe_transforms_pass(name):
    optimizers.check_meta_differentiable(SAFE[name], PARAMS, argument="x")
    gradient = meta_gradient_at_zero(SAFE[name])
    assert all(np.all(np.isfinite(g)) for g in jax.tree.leaves(gradient))


@pytest.mark.parametrize("name", UNSAFE)
def test_unsafe_transforms_are_refused_and_the_safe_one_is_named(name):
    with pytest.raises(ValueError, match=r"my_argument.*jaxmeta\.optimizers"):
        optimizers.check_meta_differentiable(
            UNSAFE[name], PARAMS, argument="my_argument"
        )


@pytest.mark.parametrize("scale", [1e-3, 0.3, 100.0])
def test_safe_transforms_make_the_updates_of_optax(scale):
    gradients = {"w": scale * jnp.ones((2, 3)), "b": -scale * jnp.arange(3.0)}
    pairs = [
        (optimizers.clip_by_global_norm(2.0), optax.clip_by_global_norm(2.0)),
        (optimizers.adam(0.1, eps_root=1e-16), optax.adam(0.1)),
    ]
    for ours, theirs in pairs:
        got, _ = ours.update(gradients, ours.init(PARAMS), PARAMS)
        want, _ = theirs.update(gradients, theirs.init(PARAMS), PARAMS)
        for name in PARAMS:
            np.testing.assert_allclose(got[name], want[name], rtol=1e-4, atol=1e-7)


def test_bad_arguments():
    with pytest.raises(ValueError, match="eps_root must be positive, got 0"):
        optimizers.adam(0.1, eps_root=0)
    with pytest.raises(ValueError, match="max_norm must be positive, got -1"):
        optimizers.clip_by_global_norm(-1)
