"""Evolution strategies: a meta-gradient from the values of the objective alone."""

import jax
import jax.numpy as jnp
import optax

from jaxmeta import trees
from jaxmeta.outer.gradient import Objective
from jaxmeta.types import Key, Outer, Params


def evolution(
    objective: Objective, optimizer: optax.GradientTransformation, *, sigma: float
) -> Outer:
    """Antithetic evolution strategies, one pair of perturbations for each task.

    ``g = (1/M) sum_m (L_m(theta + sigma e_m) - L_m(theta - sigma e_m)) e_m / (2
    sigma)`` with ``e_m ~ N(0, I)``, an unbiased estimate of the gradient of the
    objective smoothed by a Gaussian of that width. Both of a pair see the same random
    numbers.

    Args:
        objective: what to minimise, on the experience of one agent in one task.
        optimizer: an optax transform for the meta-params.
        sigma: the standard deviation of the perturbations; positive.

    Source: Salimans, Ho, Chen, Sidor and Sutskever, "Evolution Strategies as a Scalable
    Alternative to Reinforcement Learning", 2017.

    Raises:
        ValueError: if ``sigma`` is not positive.
    """
    if not sigma > 0:
        raise ValueError(f"sigma must be positive, got {sigma}")

    def init(meta_params):
        return trees.strong_types(optimizer.init(meta_params))

    def propose(key: Key, meta_params: Params) -> Params:
        noise = trees.normal_like(key, meta_params)
        return jax.tree.map(
            lambda p, e: jnp.stack([p + sigma * e, p - sigma * e]), meta_params, noise
        )

    def update(key, meta_params, state, experience):
        num_tasks = jax.tree.leaves(experience)[0].shape[0]
        keys = jax.random.split(key, num_tasks)
        noise = jax.vmap(trees.normal_like, in_axes=(0, None))(keys, meta_params)
        proposals = jax.vmap(propose, in_axes=(0, None))(keys, meta_params)
        losses, info = jax.vmap(jax.vmap(objective))(proposals, experience)
        slopes = (losses[:, 0] - losses[:, 1]) / (2.0 * sigma * num_tasks)
        gradients = jax.tree.map(lambda e: jnp.tensordot(slopes, e, axes=1), noise)
        updates, state = optimizer.update(gradients, state, meta_params)
        info = {
            **jax.tree.map(jnp.mean, info),
            "meta_loss": jnp.mean(losses),
            "meta_gradient_norm": trees.safe_norm(gradients),
        }
        return optax.apply_updates(meta_params, updates), state, info

    return Outer(init, update, propose)
