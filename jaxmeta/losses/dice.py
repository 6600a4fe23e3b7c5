"""Losses whose every derivative estimates that of the return.

With the magic box ``box(x) = exp(x - stop_gradient(x))``, which is one and has the
derivatives of a probability ratio, and ``W_t = sum_{s <= t} log pi(a_s|s_s)`` the
log-probability of all actions of the episode up to step ``t``, DiCE's objective is
``sum_t box(W_t) r_t``. Its mean Hessian is that of the return, which is not true of
``log pi A``, nor of ``pi / pi_old A`` where an episode has more than one step.
"""

import jax
import jax.numpy as jnp

from jaxmeta import checks
from jaxmeta.advantages import Advantage, Estimate
from jaxmeta.losses.advantage_loss import AdvantageLoss, Average, advantage_loss
from jaxmeta.returns import discounted_returns
from jaxmeta.types import Policy, Transition


def dice(
    policy: Policy,
    advantage: Advantage,
    *,
    control_variate: bool = False,
    average: Average = "step",
    entropy_coefficient: float = 0.0,
    value_coefficient: float = 0.5,
) -> AdvantageLoss:
    """DiCE: unbiased first and second derivatives of the return.

    ``-mean [sum_t box(W_t) r_t + (1 - box(log pi_t)) b_t]``, with the baseline ``b_t``
    of the advantage estimator in the first derivative only. The rewards (discounted, if
    the advantage has ``discount_steps=True``) are summed as ``(box(W_t) - box(W_{t-1}))
    G_t``, which has the same derivatives; its value is zero.

    Args:
        policy: the policy.
        advantage: the advantage estimator; ``A + b`` is the return ``G``.
        control_variate: subtract ``(1 - box(W_{t-1})) (1 - box(log pi_t)) b_t`` too,
            whose first derivative and whose mean second derivative are zero: the
            baseline then reduces the variance of the second derivative (TMAML). The
            product is over the steps *before* ``t``: with step ``t`` in it, the mean
            would not be zero. What results is :func:`loaded_dice` at ``trace_decay=1``.
        average: as in ``policy_gradient``, like the rest.
        entropy_coefficient: weight of the entropy bonus.
        value_coefficient: weight of the critic's squared error.

    Raises:
        ValueError: if ``average`` is neither.

    Source: Foerster, Farquhar, Al-Shedivat, Rocktaschel, Xing and Whiteson, "DiCE: The
    Infinitely Differentiable Monte Carlo Estimator", 2018; the baselines of Mao,
    Foerster, Rocktaschel, Al-Shedivat, Farquhar and Whiteson, "A Baseline for Any Order
    Gradient Estimation in Stochastic Computation Graphs", 2019; the control variate of
    Liu, Socher and Xiong, "Taming MAML: Efficient Unbiased Meta-Reinforcement
    Learning", 2019.
    """
    _check_episodes(advantage)

    def surrogate(log_prob, old_log_prob, estimate: Estimate, batch: Transition):
        del old_log_prob
        before, until = _boxes(log_prob, batch, 1.0)
        baselines, now = estimate.baselines, _box(log_prob)
        gains = (until - before) * (estimate.advantages + baselines)
        gains = gains + (1.0 - now) * baselines
        if control_variate:
            gains = gains - (1.0 - before) * (1.0 - now) * baselines
        return gains

    return advantage_loss(
        policy,
        advantage,
        surrogate,
        average=average,
        entropy_coefficient=entropy_coefficient,
        value_coefficient=value_coefficient,
        has_value=False,
    )


def loaded_dice(
    policy: Policy,
    advantage: Advantage,
    *,
    trace_decay: float = 1.0,
    average: Average = "step",
    entropy_coefficient: float = 0.0,
    value_coefficient: float = 0.5,
) -> AdvantageLoss:
    """Loaded DiCE: DiCE with any advantages, and a trace that trades bias for variance.

    ``-mean sum_t (box(W_t) - box(W_t - log pi_t)) A_t`` with ``W_t = trace_decay
    W_{t-1} + log pi_t``. At one it is DiCE with a baseline in every derivative; at zero
    it has the derivatives of ``likelihood_ratio``; between them, the dependence of an
    advantage on earlier actions fades with their distance.

    Args:
        policy: the policy.
        advantage: any advantage estimator.
        trace_decay: lambda in [0, 1].
        average: as in ``policy_gradient``, like the rest.
        entropy_coefficient: weight of the entropy bonus.
        value_coefficient: weight of the critic's squared error.

    Source: Farquhar, Whiteson and Foerster, "Loaded DiCE: Trading off Bias and Variance
    in Any-Order Score Function Gradient Estimators for Reinforcement Learning", 2019.

    Raises:
        ValueError: if ``trace_decay`` is outside [0, 1].
    """
    checks.unit_interval("trace_decay", trace_decay)

    _check_episodes(advantage)

    def surrogate(log_prob, old_log_prob, estimate: Estimate, batch: Transition):
        del old_log_prob
        before, until = _boxes(log_prob, batch, trace_decay)
        return (until - before) * estimate.advantages

    return advantage_loss(
        policy,
        advantage,
        surrogate,
        average=average,
        entropy_coefficient=entropy_coefficient,
        value_coefficient=value_coefficient,
        has_value=False,
    )


def _check_episodes(advantage: Advantage) -> None:
    """Check that the advantages are of single episodes, as the traces are.

    Raises:
        ValueError: if they are of trials.
    """
    if advantage.episodes_per_trial is not None:
        raise ValueError(
            "advantage: DiCE follows how an episode depends on its own actions, and "
            "episodes_per_trial credits later episodes too; leave it out"
        )


def _box(x: jax.Array) -> jax.Array:
    return jnp.exp(x - jax.lax.stop_gradient(x))


def _boxes(
    log_prob: jax.Array, batch: Transition, trace_decay: float
) -> tuple[jax.Array, jax.Array]:
    """``box`` of the traces ``[N, T]`` without and with each step's own action."""
    traces = traced(log_prob, batch.timestep.is_first, trace_decay)
    return _box(traces - log_prob), _box(traces)


def traced(values: jax.Array, is_first: jax.Array, trace_decay: float) -> jax.Array:
    """``W_t = values_t + trace_decay W_{t-1}`` ``[N, T]``, anew in each episode."""
    decays = jnp.where(is_first, 0.0, trace_decay).astype(values.dtype)

    def backwards(values, decays):
        return discounted_returns(values[::-1], decays[::-1])[::-1]

    return jax.vmap(backwards)(values, decays)
