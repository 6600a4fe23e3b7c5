"""A small PEARL, whole and in parts."""

import functools

import jax
import jax.numpy as jnp
import optax

import jaxmeta as jm
from jaxmeta.algorithms.latent_actor_critic import (
    Settings,
    Step,
)
from jaxmeta.algorithms.pearl import _networks
from jaxmeta.environments import TargetProbe

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
