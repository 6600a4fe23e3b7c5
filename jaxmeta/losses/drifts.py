"""Mirror learning: surrogates that hold a policy back by a drift, given or learned."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen

from jaxmeta import checks
from jaxmeta.advantages import Advantage
from jaxmeta.losses.advantage_loss import AdvantageLoss, Average, advantage_loss
from jaxmeta.types import Key, Params, Policy

Drift = Callable[[jax.Array, jax.Array], jax.Array]
"""``(log_ratio, advantage) -> drift``, all of one shape."""


class LearnedDrift(NamedTuple):
    """A drift with params.

    Attributes:
        init: ``key -> params``.
        apply: ``(params, log_ratio, advantage) -> drift``.
    """

    init: Callable[[Key], Params]
    apply: Callable[[Params, jax.Array, jax.Array], jax.Array]


def mirror_learning(
    policy: Policy,
    advantage: Advantage,
    *,
    drift: Drift,
    average: Average = "step",
    entropy_coefficient: float = 0.0,
    value_coefficient: float = 0.5,
) -> AdvantageLoss:
    """The surrogate of mirror learning, ``-mean [r A - D(r, A)]``.

    ``r = pi(a|s) / pi_old(a|s)``. A drift is never negative, and zero with a zero
    gradient at ``r = 1``; every such drift has the guarantees of mirror learning, that
    policies improve and converge to an optimal one. ``clipping_drift`` makes this
    :func:`clipped_surrogate`, ``discovered_drift`` DPO.

    Args:
        policy: as in :func:`policy_gradient`, like the others.
        advantage: the advantage estimator. The drifts that were discovered and learned
            have advantages of a certain size in mind, normalized ones.
        drift: ``(log r, A) -> D``; of a ``LearnedDrift``, ``partial(apply, params)``.
        average: over steps or episodes.
        entropy_coefficient: weight of the entropy bonus.
        value_coefficient: weight of the critic's squared error.

    Source: Kuba, Schroeder de Witt and Foerster, "Mirror Learning: A Unifying Framework
    of Policy Optimisation", 2022.

    Raises:
        TypeError: if ``drift`` is no function.
        ValueError: if ``average`` is neither.
    """
    if isinstance(drift, LearnedDrift) or not callable(drift):
        raise TypeError(
            "drift must be a function (log_ratio, advantage) -> drift, such as "
            f"losses.discovered_drift(), got {drift!r}; of a LearnedDrift, "
            "functools.partial(learned.apply, params)"
        )

    def surrogate(log_prob, old_log_prob, estimate, batch):
        del batch
        log_ratio = log_prob - old_log_prob
        gains = jnp.exp(log_ratio) * estimate.advantages
        return gains - drift(log_ratio, estimate.advantages)

    return advantage_loss(
        policy,
        advantage,
        surrogate,
        average=average,
        entropy_coefficient=entropy_coefficient,
        value_coefficient=value_coefficient,
    )


def clipping_drift(clip: float = 0.2) -> Drift:
    """PPO's drift, ``relu([r - clip(r, 1 - clip, 1 + clip)] A)``.

    Args:
        clip: how far the ratio may move.

    Source: as :func:`mirror_learning`.

    Raises:
        ValueError: if ``clip`` is not positive.
    """
    clip = checks.positive("clip", clip)

    def drift(log_ratio, advantage):
        ratio = jnp.exp(log_ratio)
        beyond = ratio - jnp.clip(ratio, 1.0 - clip, 1.0 + clip)
        return jax.nn.relu(beyond * advantage)

    return drift


def discovered_drift(alpha: float = 2.0, beta: float = 0.6) -> Drift:
    """DPO's drift, the closed form of what was learned.

    ``relu(x - c tanh(x / c))`` with ``x = (r - 1) A`` and ``c = alpha`` where ``A >=
    0``, ``x = A log r`` and ``c = beta`` where ``A < 0``.

    Args:
        alpha: how far a good action may become likelier before it is held back.
        beta: how far a bad one may become less likely.

    Source: Lu, Kuba, Letcher, Metz, Schroeder de Witt and Foerster, "Discovered Policy
    Optimisation", 2022.

    Raises:
        ValueError: if a number is not positive.
    """
    alpha = checks.positive("alpha", alpha)
    beta = checks.positive("beta", beta)

    def drift(log_ratio, advantage):
        good, bad = jnp.expm1(log_ratio) * advantage, log_ratio * advantage
        return jnp.where(
            advantage >= 0,
            jax.nn.relu(good - alpha * jnp.tanh(good / alpha)),
            jax.nn.relu(bad - beta * jnp.tanh(bad / beta)),
        )

    return drift


def learned_drift(*, size: int = 128, margin: float = 1e-6) -> LearnedDrift:
    """LPO's drift: a network that can be nothing but a drift.

    ``D = relu(w . tanh(W x) - margin)`` of the features ``x = [1 - r, (1 - r)^2, log r,
    (log r)^2]`` and these times ``A``. All features are zero at ``r = 1``, and there
    are no biases, so that the margin makes the drift and its gradient zero there,
    whatever the weights.

    Args:
        size: of the hidden layer.
        margin: positive.

    Source: as :func:`discovered_drift`.

    Raises:
        TypeError: if ``size`` is no integer.
        ValueError: if a number is out of range.
    """
    size = checks.positive_int("size", size)
    margin = checks.positive("margin", margin)
    hidden = linen.Dense(size, use_bias=False)
    out = linen.Dense(1, use_bias=False)

    def init(key):
        key_hidden, key_out = jax.random.split(key)
        return {
            "hidden": hidden.init(key_hidden, jnp.zeros(8)),
            "out": out.init(key_out, jnp.zeros(size)),
        }

    def apply(params, log_ratio, advantage):
        less = -jnp.expm1(log_ratio)  # 1 - r
        alone = jnp.stack([less, less**2, log_ratio, log_ratio**2], axis=-1)
        features = jnp.concatenate([alone, alone * advantage[..., None]], axis=-1)
        units: Any = hidden.apply(params["hidden"], features)
        output: Any = out.apply(params["out"], jnp.tanh(units))
        return jax.nn.relu(output[..., 0] - margin)

    return LearnedDrift(init, apply)
