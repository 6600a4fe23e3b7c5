"""Losses on a batch of episodes ``[N, T]``, whose gradient is a policy gradient.

Each is a surrogate whose gradient is minus a policy-gradient estimate, so a learner
*descends* it:

| loss                 | surrogate per step                        |
|----------------------|-------------------------------------------|
| policy_gradient      | log pi(a) A                               |
| likelihood_ratio     | pi(a) / pi_old(a) A                       |
| clipped_surrogate    | min(ratio A, clip(ratio, 1 -+ epsilon) A) |

At the parameters that acted all three have the same gradient, as have those of
``losses.dice``; they differ in the second derivative, so in the meta-gradient when used
as inner loss, and away from those parameters. ``pi_old`` is the recorded distribution,
never a re-evaluation.
"""

import jax.numpy as jnp

from jaxmeta import checks
from jaxmeta.advantages import Advantage
from jaxmeta.losses.advantage_loss import AdvantageLoss, Average, advantage_loss
from jaxmeta.types import Policy


def policy_gradient(
    policy: Policy,
    advantage: Advantage,
    *,
    average: Average = "step",
    entropy_coefficient: float = 0.0,
    value_coefficient: float = 0.5,
) -> AdvantageLoss:
    """The score-function surrogate, ``-mean log pi(a|s) A``.

    As an inner loss this is what most published code differentiates through: its
    second derivative is that of the sampled update with the sample held fixed, and says
    nothing about how the sample depends on the params.

    Args:
        policy: the policy.
        advantage: the advantage estimator.
        average: ``"step"`` averages over all steps that count, as most published code
            does; ``"episode"`` sums over the steps of an episode and averages over
            episodes, which makes the gradient an estimate of that of the return.
        entropy_coefficient: weight of the entropy bonus.
        value_coefficient: weight of the critic's squared error, if there is a critic.

    Source: Williams, "Simple Statistical Gradient-Following Algorithms for
    Connectionist Reinforcement Learning", 1992.
    """

    def surrogate(log_prob, old_log_prob, estimate, batch):
        del old_log_prob, batch
        return log_prob * estimate.advantages

    return advantage_loss(
        policy,
        advantage,
        surrogate,
        average=average,
        entropy_coefficient=entropy_coefficient,
        value_coefficient=value_coefficient,
        has_sampling_curvature=False,
    )


def likelihood_ratio(
    policy: Policy,
    advantage: Advantage,
    *,
    average: Average = "step",
    entropy_coefficient: float = 0.0,
    value_coefficient: float = 0.5,
) -> AdvantageLoss:
    """The importance-weighted surrogate, ``-mean pi(a|s) / pi_old(a|s) A``.

    As an inner loss this is ProMP's low-variance-curvature estimator: its second
    derivative keeps the terms plain autodiff of ``log pi A`` drops, save those across
    time steps. Arguments as in :func:`policy_gradient`.

    Source: Rothfuss, Lee, Clavera, Asfour and Abbeel, "ProMP: Proximal Meta-Policy
    Search", 2019.
    """

    def surrogate(log_prob, old_log_prob, estimate, batch):
        del batch
        return jnp.exp(log_prob - old_log_prob) * estimate.advantages

    return advantage_loss(
        policy,
        advantage,
        surrogate,
        average=average,
        entropy_coefficient=entropy_coefficient,
        value_coefficient=value_coefficient,
    )


def clipped_surrogate(
    policy: Policy,
    advantage: Advantage,
    *,
    clip: float = 0.2,
    average: Average = "step",
    entropy_coefficient: float = 0.0,
    value_coefficient: float = 0.5,
) -> AdvantageLoss:
    """PPO's pessimistic surrogate, ``-mean min(r A, clip(r, 1 - clip, 1 + clip) A)``.

    Args:
        policy: as in :func:`policy_gradient`, like the others.
        advantage: the advantage estimator.
        clip: how far the ratio may move.
        average: over steps or episodes.
        entropy_coefficient: weight of the entropy bonus.
        value_coefficient: weight of the critic's squared error.

    Source: Schulman, Wolski, Dhariwal, Radford and Klimov, "Proximal Policy
    Optimization Algorithms", 2017.

    Raises:
        ValueError: if ``clip`` is not positive.
    """
    clip = checks.positive("clip", clip)

    def surrogate(log_prob, old_log_prob, estimate, batch):
        del batch
        ratio = jnp.exp(log_prob - old_log_prob)
        clipped = jnp.clip(ratio, 1.0 - clip, 1.0 + clip)
        return jnp.minimum(ratio * estimate.advantages, clipped * estimate.advantages)

    return advantage_loss(
        policy,
        advantage,
        surrogate,
        average=average,
        entropy_coefficient=entropy_coefficient,
        value_coefficient=value_coefficient,
    )
