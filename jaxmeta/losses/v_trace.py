"""The V-trace actor-critic, which learns from what an older policy did."""

import jax
import jax.numpy as jnp

from jaxmeta import advantages, bootstrapping, returns
from jaxmeta.losses.advantage_loss import AdvantageLoss
from jaxmeta.rollouts import unroll
from jaxmeta.types import Params, Policy, Transition


def v_trace(
    policy: Policy,
    *,
    discount: float = 0.99,
    trace_decay: float = 1.0,
    clip_ratio: float = 1.0,
    clip_trace: float = 1.0,
    entropy_coefficient: float = 0.0,
    value_coefficient: float = 0.5,
    normalize: bool = False,
    episodes_per_trial: int | None = None,
) -> AdvantageLoss:
    """The loss of an actor-critic with V-trace targets, see ``returns.v_trace``.

    ::

        -mean log pi(a|s) A + value_coefficient mean (v - V)^2 / 2
        - entropy_coefficient mean entropy

    Args:
        policy: the policy, with a critic.
        discount: in [0, 1].
        trace_decay: lambda in [0, 1].
        clip_ratio: bounds the probability ratio of a step.
        clip_trace: bounds the ratios that carry a change to earlier steps.
        entropy_coefficient: weight of the entropy bonus.
        value_coefficient: weight of the critic's squared error.
        normalize: shift and scale the advantages of a batch to mean zero, variance one.
        episodes_per_trial: as in ``advantages.value_baseline``.

    Source: Espeholt et al., "IMPALA: Scalable Distributed Deep-RL with Importance
    Weighted Actor-Learner Architectures", 2018.

    Raises:
        ValueError: if a number is out of range.
    """
    for name, value in {"clip_ratio": clip_ratio, "clip_trace": clip_trace}.items():
        if not value > 0:
            raise ValueError(f"{name} must be positive, got {value}")

    def targets_of(batch, values, next_values, ratios):
        steps = bootstrapping.steps_of(
            batch, values, next_values, discount, episodes_per_trial
        )

        def of_one(reward, value, ratio, discounts, next_value, is_last):
            return returns.v_trace(
                reward,
                discounts,
                value,
                next_value,
                ratio,
                is_last,
                trace_decay,
                clip_ratio=clip_ratio,
                clip_trace=clip_trace,
            )

        found = jax.vmap(of_one)(
            batch.reward,
            values,
            ratios,
            steps.discounts,
            steps.next_values,
            steps.is_last,
        )
        return *found, steps.weights

    def loss(params: Params, batch: Transition):
        wanted = episodes_per_trial is None
        output, next_values = jax.vmap(
            lambda one: unroll(policy, params, one, next_values=wanted)
        )(batch)
        if output.value is None:
            raise ValueError("policy: v_trace needs one with a critic (critic=True)")
        log_prob = output.distribution.log_prob(batch.action)
        ratios = jnp.exp(log_prob - batch.distribution.log_prob(batch.action))
        targets, gains, weights = jax.lax.stop_gradient(
            targets_of(batch, output.value, next_values, ratios)
        )
        count = jnp.sum(weights)

        def mean(values):
            return jnp.sum(values * weights) / count

        if normalize:
            centered = gains - mean(gains)
            gains = centered / (jnp.sqrt(mean(centered**2)) + 1e-8)
        entropy = mean(output.distribution.entropy())
        value_loss = 0.5 * mean((targets - output.value) ** 2)
        total = (
            -mean(log_prob * gains)
            + value_coefficient * value_loss
            - entropy_coefficient * entropy
        )
        info = {"loss": total, "entropy": entropy, "value_loss": value_loss}
        return total, info

    # What it is where the policy is the one that acted.
    on_policy = advantages.value_baseline(
        discount=discount,
        trace_decay=trace_decay,
        normalize=normalize,
        episodes_per_trial=episodes_per_trial,
    )
    return AdvantageLoss(
        loss,
        policy,
        on_policy,
        "step",
        has_sampling_curvature=False,
        has_value=False,
    )
