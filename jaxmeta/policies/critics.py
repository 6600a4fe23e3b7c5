"""What a critic's numbers stand for."""

from jaxmeta import checks
from jaxmeta.types import Policy, PolicyOutput


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
