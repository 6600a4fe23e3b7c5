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

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxmeta import checks
from jaxmeta.advantages import Advantage, Estimate
from jaxmeta.rollouts import unroll
from jaxmeta.types import (
    Dataset,
    Environment,
    Examples,
    Info,
    Params,
    Policy,
    PolicyOutput,
    Transition,
)

Loss = Callable[[Params, Any], tuple[jax.Array, Info]]
"""``(params, batch [N, T]) -> (scalar to minimise, info)``; any function will do."""

Average = Literal["step", "episode"]

Surrogate = Callable[[jax.Array, jax.Array, Estimate, Transition], jax.Array]
"""``(log_prob, old_log_prob, estimate, batch) -> gains``, all of them ``[N, T]``."""


class AdvantageLoss(NamedTuple):
    """A loss that weighs actions by their advantages; call it like a function.

    Attributes:
        function: ``(params, batch [N, T]) -> (scalar, info)``.
        policy: whose actions it weighs.
        advantage: what it weighs them with.
        average: over all steps, or over episodes.
        has_sampling_curvature: whether its second derivative estimates how the batch
            itself would change with the params; that of ``log pi A`` does not.
        has_value: whether its value, and not only its derivatives, says how good
            params are, so that it can be compared between params.
    """

    function: Loss
    policy: Policy
    advantage: Advantage
    average: Average
    has_sampling_curvature: bool
    has_value: bool

    def __call__(self, params: Params, batch: Transition) -> tuple[jax.Array, Info]:
        """The loss and its info."""
        return self.function(params, batch)

    def num_averaged(self, weights: jax.Array) -> jax.Array:
        """What sums over steps of weights ``[N, T]`` are divided by."""
        if self.average == "step":
            return jnp.sum(weights)
        return jnp.asarray(weights.shape[0], weights.dtype)


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


def check_length(
    loss: Loss, length: int | None, environment: Environment | Dataset
) -> None:
    """Check that rollouts are as long as ``loss`` needs them.

    Args:
        loss: the loss; a function of your own is taken to need nothing.
        length: steps per rollout; None for the horizon.
        environment: where they are acted.

    Raises:
        ValueError: if the loss needs complete episodes and ``length`` may cut one.
    """
    needs_all = (
        isinstance(loss, AdvantageLoss) and loss.advantage.needs_complete_episodes
    )
    if needs_all and length is not None and length < environment.horizon:
        raise ValueError(
            f"length must be at least the horizon of {environment.name}, "
            f"{environment.horizon} steps, got {length}: the advantage estimator needs "
            "complete episodes. Use value_baseline with a critic, or a shorter horizon"
        )


def advantage_loss(
    policy: Policy,
    advantage: Advantage,
    surrogate: Surrogate,
    *,
    average: Average,
    entropy_coefficient: float,
    value_coefficient: float,
    has_sampling_curvature: bool = True,
    has_value: bool = True,
) -> AdvantageLoss:
    """Minus the mean gain of a surrogate, with entropy bonus and critic's error.

    Args:
        policy: the policy.
        advantage: the advantage estimator.
        surrogate: what each step gains.
        average: as in :func:`policy_gradient`.
        entropy_coefficient: as in :func:`policy_gradient`.
        value_coefficient: as in :func:`policy_gradient`.
        has_sampling_curvature: as in :class:`AdvantageLoss`.
        has_value: as in :class:`AdvantageLoss`.

    Raises:
        ValueError: if ``average`` is neither.
    """
    if average not in ("step", "episode"):
        raise ValueError(f"average must be 'step' or 'episode', got {average!r}")

    def function(params: Params, batch: Transition) -> tuple[jax.Array, Info]:
        if isinstance(batch, Examples):
            raise TypeError(
                "loss: it is one of reinforcement learning, and these are examples of "
                "a Dataset; use losses.squared_error or negative_log_likelihood"
            )
        output, estimate = evaluate(policy, advantage, params, batch)
        weights, count = estimate.weights, loss.num_averaged(estimate.weights)
        log_prob = output.distribution.log_prob(batch.action)
        old_log_prob = batch.distribution.log_prob(batch.action)
        gains = surrogate(log_prob, old_log_prob, estimate, batch)
        total = -jnp.sum(gains * weights) / count
        entropy = jnp.sum(output.distribution.entropy() * weights)
        if isinstance(entropy_coefficient, jax.Array) or entropy_coefficient:
            total = total - entropy_coefficient * entropy / count
        info = {"entropy": entropy / jnp.sum(weights)}
        if estimate.targets is not None and output.value is not None:
            errors = estimate.targets - output.value
            value_loss = 0.5 * jnp.sum(weights * errors**2) / count
            total = total + value_coefficient * value_loss
            info["value_loss"] = value_loss
        return total, {"loss": total, **info}

    loss = AdvantageLoss(
        function, policy, advantage, average, has_sampling_curvature, has_value
    )
    return loss


def evaluate(
    policy: Policy, advantage: Advantage, params: Params, batch: Transition
) -> tuple[PolicyOutput, Estimate]:
    """The policy's outputs ``[N, T]`` on a batch, and the advantages of its actions.

    Raises:
        ValueError: if the policy has a critic the estimator has no use for.
    """

    def along(trajectory: Transition):
        wanted = advantage.needs_next_values
        return unroll(policy, params, trajectory, next_values=wanted)

    output, next_values = jax.vmap(along)(batch)
    if output.value is not None and not advantage.needs_critic:
        raise ValueError(
            "policy: it has a critic, which this advantage estimator would never "
            "train; use value_baseline, or a policy without a critic"
        )
    return output, advantage.estimate(batch, output.value, next_values)
