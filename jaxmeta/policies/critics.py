"""Critics: one beside a policy, and what their numbers stand for."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax

from jaxmeta import checks
from jaxmeta.policies.adapters import first_timestep, to_act_in
from jaxmeta.policies.networks import Perceptron
from jaxmeta.types import Dataset, Environment, Params, Policy, PolicyOutput


class CriticParams(NamedTuple):
    """Params of a policy, and of a critic that is none of its own."""

    policy: Params
    critic: Params


def with_critic(
    policy: Policy,
    environment: Environment | Dataset,
    *,
    hidden: Sequence[int] = (64,),
    bias: bool = True,
) -> Policy:
    """A policy whose values are those of another network.

    Its params are ``CriticParams``. What the policy itself makes of values, if it has a
    critic of its own, is left to it: this one is for whoever judges it.

    Args:
        policy: one without memory.
        environment: what it acts in.
        hidden: sizes of the hidden layers of the critic, a perceptron with ReLU that
            reads the observation.
        bias: whether its layers have one.

    Raises:
        TypeError: if ``environment`` is none.
        ValueError: if a size is below one, or the policy has memory.
    """
    environment = to_act_in(environment)
    network = Perceptron(1, checks.positive_ints("hidden", hidden), bias=bias)
    check_memoryless(policy, "with_critic")

    def init(key):
        key_policy, key_critic = jax.random.split(key)
        observation = first_timestep(environment).observation.reshape(-1)
        return CriticParams(
            policy.init(key_policy), network.init(key_critic, observation)
        )

    def apply(params, carry, timestep):
        output, carry = policy.apply(params.policy, carry, timestep)
        value: Any = network.apply(params.critic, timestep.observation.reshape(-1))
        return output._replace(value=value[0]), carry

    return Policy(init, policy.initial_carry, apply)


def check_memoryless(policy: Policy, needed_by: str) -> None:
    """Check that a policy has no memory.

    Raises:
        ValueError: if it has.
    """
    if jax.tree.leaves(policy.initial_carry()):
        raise ValueError(
            f"policy: it has a memory, and {needed_by} needs one without; use "
            "policies.mlp"
        )


def scale_values(policy: Policy, scale: float) -> Policy:
    """A policy whose critic speaks in units of ``scale``.

    The value is ``scale`` times what the network says. A network starts at outputs of
    about one and moves by about the learning rate, so where returns are 50 its critic
    is late, and its large errors drown what the policy learns in a memory both share.
    With ``scale`` near the spread of the returns the critic keeps up; the weight of its
    squared error, which is in units of the return, has to be smaller by ``scale**2``.

    Args:
        policy: one with a critic.
        scale: the unit, positive.

    Source: van Hasselt, Guez, Hessel, Mnih and Silver, "Learning values across many
    orders of magnitude", 2016, with a scale that is given and not tracked.

    Raises:
        TypeError: if ``scale`` is no number.
        ValueError: if it is not positive; from acting, if there is no critic.
    """
    scale = checks.positive("scale", scale)

    def scaled(output: PolicyOutput) -> PolicyOutput:
        if output.value is None:
            raise ValueError(
                "policy: it has no critic whose values could be scaled; make one with "
                "critic=True"
            )
        return output._replace(value=scale * output.value)

    def apply(params, carry, timestep):
        output, carry = policy.apply(params, carry, timestep)
        return scaled(output), carry

    along = policy.sequence
    if along is None:
        return policy._replace(apply=apply)
    return policy._replace(
        apply=apply, sequence=lambda params, steps: scaled(along(params, steps))
    )
