"""Evolution strategies: a meta-gradient from the values of the objective alone."""

import jax
import jax.numpy as jnp
import optax

from jaxmeta import trees
from jaxmeta.outer.gradient import Objective
from jaxmeta.types import Experience, Key, Outer, Params


def evolution(
    objective: Objective,
    optimizer: optax.GradientTransformation,
    *,
    sigma: float,
    ranked: bool = False,
) -> Outer:
    """Antithetic evolution strategies, one pair of perturbations for each task.

    ``g = (1/M) sum_m (L_m(theta + sigma e_m) - L_m(theta - sigma e_m)) e_m / (2
    sigma)`` with ``e_m ~ N(0, I)``, an unbiased estimate of the gradient of the
    objective smoothed by a Gaussian of that width. Both of a pair see the same random
    numbers.

    Where agents live on by proposals for life, ``e_m`` is the sum of the perturbations
    of all windows of that life so far (persistent evolution strategies): then what an
    early window does to a later one is not missed.

    Args:
        objective: what to minimise, on the experience of one agent in one task.
        optimizer: an optax transform for the meta-params.
        sigma: the standard deviation of the perturbations; positive.
        ranked: only which of a pair is better counts, not by how much, so that no task
            weighs more than another: the difference of losses is replaced by its sign.

    Source: Salimans, Ho, Chen, Sidor and Sutskever, "Evolution Strategies as a Scalable
    Alternative to Reinforcement Learning", 2017; persistent ones: Vicol, Metz and
    Sohl-Dickstein, "Unbiased Gradient Estimation in Unrolled Computation Graphs with
    Persistent Evolution Strategies", 2021.

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

    def perturbations(keys: Key, meta_params: Params, experience: Experience):
        """``sigma e_m``, ``[M]``."""
        window = experience.window
        if window is not None and window.perturbation is not None:
            return window.perturbation
        noise = jax.vmap(trees.normal_like, in_axes=(0, None))(keys, meta_params)
        return jax.tree.map(lambda e: sigma * e, noise)

    def update(key, meta_params, state, experience):
        num_tasks = jax.tree.leaves(experience)[0].shape[0]
        keys = jax.random.split(key, num_tasks)
        proposals = jax.vmap(propose, in_axes=(0, None))(keys, meta_params)
        seen = experience
        if experience.window is not None:
            seen = experience._replace(
                window=experience.window._replace(perturbation=None)
            )
        losses, info = jax.vmap(jax.vmap(objective))(proposals, seen)
        differences = losses[:, 0] - losses[:, 1]
        if ranked:
            differences = jnp.sign(differences)
        slopes = differences / (2.0 * sigma**2 * num_tasks)
        gradients = jax.tree.map(
            lambda e: jnp.tensordot(slopes, e, axes=1),
            perturbations(keys, meta_params, experience),
        )
        updates, state = optimizer.update(gradients, state, meta_params)
        info = {
            **jax.tree.map(jnp.mean, info),
            "meta_loss": jnp.mean(losses),
            "meta_gradient_norm": trees.safe_norm(gradients),
        }
        return optax.apply_updates(meta_params, updates), state, info

    return Outer(init, update, propose)
