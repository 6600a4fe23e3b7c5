"""What losses with advantages are made of: a surrogate, an entropy bonus, a critic."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

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
        judged_by: ``(params, batch, critic_params) -> (scalar, info)``, the same with
            advantages and targets from the values of ``critic_params``, in which it is
            differentiable. ``function`` takes those of ``params``, without gradient.
            None: it cannot be told apart.
    """

    function: Loss
    policy: Policy
    advantage: Advantage
    average: Average
    has_sampling_curvature: bool
    has_value: bool
    judged_by: Callable[[Params, Any, Params], tuple[jax.Array, Info]] | None = None

    def __call__(self, params: Params, batch: Transition) -> tuple[jax.Array, Info]:
        """The loss and its info."""
        return self.function(params, batch)

    def num_averaged(self, weights: jax.Array) -> jax.Array:
        """What sums over steps of weights ``[N, T]`` are divided by."""
        if self.average == "step":
            return jnp.sum(weights)
        return jnp.asarray(weights.shape[0], weights.dtype)


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


def check_same_policy(policy: Policy, **given: Any) -> None:
    """Check that losses with advantages are those of the policy that acts.

    Another one of the same shapes would run, and learn something else.

    Args:
        policy: who acts.
        **given: losses by the name of their argument; a function of your own is not
            asked for its policy.

    Raises:
        ValueError: if one is of another policy, naming it.
    """
    for name, loss in given.items():
        if isinstance(loss, AdvantageLoss) and loss.policy != policy:
            raise ValueError(
                f"{name}: it is the loss of another policy than the one given as "
                "policy; make it of that very object, wrappers such as scale_values "
                "included"
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

    def judged_by(params, batch, critic_params) -> tuple[jax.Array, Info]:
        if isinstance(batch, Examples):
            raise TypeError(
                "loss: it is one of reinforcement learning, and these are examples of "
                "a Dataset; use losses.squared_error or negative_log_likelihood"
            )
        output, estimate = evaluate(policy, advantage, params, batch, critic_params)
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
        lambda params, batch: judged_by(params, batch, None),
        policy,
        advantage,
        average,
        has_sampling_curvature,
        has_value,
        judged_by,
    )
    return loss


def evaluate(
    policy: Policy,
    advantage: Advantage,
    params: Params,
    batch: Transition,
    critic_params: Params | None = None,
) -> tuple[PolicyOutput, Estimate]:
    """The policy's outputs ``[N, T]`` on a batch, and the advantages of its actions.

    Args:
        policy: who acted.
        advantage: the advantage estimator.
        params: of the policy.
        batch: what it did.
        critic_params: whose values the advantages are made of, differentiable in them;
            None: those of ``params``, without gradient.

    Raises:
        ValueError: if the policy has a critic the estimator has no use for.
    """

    def along(params: Params):
        wanted = advantage.needs_next_values
        return jax.vmap(lambda one: unroll(policy, params, one, next_values=wanted))(
            batch
        )

    output, next_values = along(params)
    if critic_params is None:
        values, next_values = jax.lax.stop_gradient((output.value, next_values))
    else:
        judge, next_values = along(critic_params)
        values = judge.value
    if output.value is not None and not advantage.needs_critic:
        raise ValueError(
            "policy: it has a critic, which this advantage estimator would never "
            "train; use value_baseline, or a policy without a critic"
        )
    return output, advantage.estimate(batch, values, next_values)
