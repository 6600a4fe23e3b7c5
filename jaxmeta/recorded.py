"""What was recorded of steps, as transitions, and as experience of a policy."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from gymnax.environments import spaces

from jaxmeta import rollouts, trees
from jaxmeta.types import (
    Environment,
    Experience,
    MetaLearner,
    Params,
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
    is_first = _after(terminated | truncated, True)

    def previous(values, nothing):
        first = is_first.reshape(-1, *(1,) * (values.ndim - 1))
        return jnp.where(first, nothing, _after(values, nothing))

    dtype = environment.observation.dtype
    return Transition(
        timestep=Timestep(
            observation=jnp.asarray(steps["observation"], dtype),
            previous_action=previous(actions, -1 if discrete else 0),
            previous_reward=previous(rewards, 0),
            is_first=is_first,
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


def as_acted(
    learner: MetaLearner, meta_params: Params, experience: Experience
) -> Experience:
    """With the distributions of the policy that each inner update finds."""
    inner, found = learner.inner, []
    state = inner.init(experience.keys[0], meta_params)
    for update in range(learner.num_updates):
        params = inner.params(meta_params, state)
        batch = trees.at(experience.support, update)
        output, _ = jax.vmap(
            lambda row, params=params: rollouts.unroll(
                learner.policy, params, row, next_values=False
            )
        )(batch)
        batch = batch._replace(distribution=output.distribution)
        found.append(batch)
        state, _ = inner.update(experience.keys[update + 1], meta_params, state, batch)
    support = jax.tree.map(lambda *leaves: jnp.stack(leaves), *found)
    return experience._replace(support=support)
