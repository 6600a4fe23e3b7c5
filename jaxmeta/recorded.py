"""What was recorded of steps, as transitions, and as acted by a policy."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from gymnax.environments import spaces

from jaxmeta import rollouts
from jaxmeta.types import (
    Environment,
    Params,
    Policy,
    Timestep,
    Transition,
)

# What a row of steps needs.
FIELDS = (
    "observation",
    "action",
    "reward",
    "terminated",
    "truncated",
    "next_observation",
)


def as_transitions(
    steps: Mapping[str, jax.typing.ArrayLike], environment: Environment
) -> Transition:
    """Steps of one episode after the other, as acting in them would record them.

    What came before a step is known at the start of an episode too, but for the first.

    Args:
        steps: what ``FIELDS`` names, ``[T, ...]``, from the start of an episode.
        environment: of which they are.

    Returns:
        Transitions ``[T]`` without a distribution.
    """
    discrete = isinstance(environment.action, spaces.Discrete)
    actions = jnp.asarray(steps["action"], jnp.int32 if discrete else jnp.float32)
    rewards = jnp.asarray(steps["reward"], jnp.float32)
    terminated, truncated = (
        jnp.asarray(steps[field], bool) for field in ("terminated", "truncated")
    )
    dtype = environment.observation.dtype
    return Transition(
        timestep=Timestep(
            observation=jnp.asarray(steps["observation"], dtype),
            previous_action=_after(actions, -1 if discrete else 0),
            previous_reward=_after(rewards, 0),
            is_first=_after(terminated | truncated, True),
        ),
        action=actions,
        distribution=None,
        reward=rewards,
        terminated=terminated,
        truncated=truncated,
        next_observation=jnp.asarray(steps["next_observation"], dtype),
    )


def _after(values: jax.Array, first: Any) -> jax.Array:
    """Those of the step before, ``[T, ...]``."""
    return jnp.concatenate([jnp.full_like(values[:1], first), values[:-1]])


def as_acted(policy: Policy, params: Params, batch: Transition) -> Transition:
    """Transitions ``[N, T]`` with the distributions of a policy, as if it had acted."""

    def distribution(row):
        output, _ = rollouts.unroll(policy, params, row, next_values=False)
        return output.distribution

    return batch._replace(distribution=jax.vmap(distribution)(batch))
