"""Discrete actions of which an observation says that some are not valid."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from gymnax.environments import spaces

from jaxmeta.distributions import Categorical
from jaxmeta.policies.adapters import check_policy, to_act_in
from jaxmeta.types import Dataset, Environment, Policy, PolicyOutput


class MaskedDiscrete(spaces.Discrete):
    """Actions ``0`` to ``n - 1``, not all of which are valid in every state.

    Attributes:
        n: the number of actions.
        valid: ``observation -> [n]`` bool, which actions are valid; the observation may
            have more entries behind those the environment gave it.
    """

    def __init__(self, n: int, valid: Callable[[jax.Array], jax.Array]):
        super().__init__(n)
        self.valid = valid


def masked(policy: Policy, environment: Environment | Dataset) -> Policy:
    """A policy that never takes an action that is not valid.

    The logits of such actions are the lowest number there is, so that their probability
    is zero and those of the others sum to one: log-probabilities, entropies, ratios and
    divergences are those of a choice among valid actions, and no gradient reaches the
    logits that were replaced.

    Args:
        policy: one over discrete actions, with memory or without.
        environment: what it acts in; its action space is a ``MaskedDiscrete``, as that
            of ``tasks.mixture`` is.

    Raises:
        TypeError: if ``environment`` is none, or ``policy`` no Policy.
        ValueError: if the action space has no mask, or the policy does not fit it.
    """
    environment = to_act_in(environment)
    space = environment.action
    if not isinstance(space, MaskedDiscrete):
        raise ValueError(
            f"environment: the actions of {environment.name} are {space}, which has no "
            "mask; policies.masked needs a policies.MaskedDiscrete"
        )
    found = check_policy(policy, environment).distribution
    if not isinstance(found, Categorical):
        raise ValueError(
            f"policy: masked needs a Categorical of logits, got {type(found).__name__}"
        )

    def mask(output: PolicyOutput, observation: jax.Array) -> PolicyOutput:
        logits = output.distribution.logits
        lowest = jnp.finfo(logits.dtype).min
        logits = jnp.where(space.valid(observation), logits, lowest)
        return output._replace(distribution=Categorical(logits))

    def apply(params, carry, timestep):
        output, carry = policy.apply(params, carry, timestep)
        return mask(output, timestep.observation), carry

    along = policy.sequence
    if along is None:
        return policy._replace(apply=apply)

    def sequence(params, timesteps):
        outputs = along(params, timesteps)
        return jax.vmap(mask)(outputs, timesteps.observation)

    return policy._replace(apply=apply, sequence=sequence)
