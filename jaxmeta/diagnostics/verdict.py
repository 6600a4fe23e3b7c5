"""Whether meta-learning helped: a verdict from the returns on held-out tasks."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmeta import checks
from jaxmeta.evaluation import Interval, bootstrap_interval
from jaxmeta.types import Key

ADAPTATION_GAINS = "adaptation gains"
ONE_POLICY = "one policy already does"
TOO_LITTLE = "tasks share too little"
FINE_TUNING = "fine-tuning already does"
NOTHING = "nothing is learned"
UNDECIDED = "undecided"

VERDICTS = (
    ADAPTATION_GAINS,
    ONE_POLICY,
    TOO_LITTLE,
    FINE_TUNING,
    NOTHING,
    UNDECIDED,
)


class Arms(NamedTuple):
    """One value for each way to learn that is compared.

    Attributes:
        meta_learned: adapts from what was meta-learned.
        scratch: adapts from a fresh start, with nothing of other tasks.
        multitask: one policy for all tasks, which nothing adapts.
        fine_tuning: adapts from that policy.
    """

    meta_learned: Any
    scratch: Any
    multitask: Any
    fine_tuning: Any


NAMES = Arms("meta-learned", "learning from scratch", "one policy", "fine-tuning")


class Judgement(NamedTuple):
    """What the returns after the whole of adaptation say.

    Attributes:
        verdict: one of ``VERDICTS``.
        gain: what is meta-learned less the best of the others, an ``Interval``.
        gains: what is meta-learned less each; that over itself is zero.
        shortfalls: the best of all less each.
        improvements: each less an untrained policy.
        range: ``[]`` the best less the untrained policy, the unit of shares.
    """

    verdict: str
    gain: Interval
    gains: Arms
    shortfalls: Arms
    improvements: Arms
    range: jax.Array


def judge(
    key: Key,
    returns: Arms,
    untrained: jax.Array,
    *,
    optimum: float | None = None,
    share: float = 0.1,
    confidence: float = 0.95,
    num_resamples: int = 2000,
) -> Judgement:
    """Decide from the returns of the same held-out tasks whether meta-learning helps.

    Differences are those of the same task, and their intervals come from the bootstrap
    over tasks, all returns of a task being resampled together; the best of several is
    found anew in every resample. The *range* is the mean of the best less that of the
    untrained policy. In this order:

    1. *nothing is learned*: with an optimum, every way improves on the untrained policy
       by at most ``share`` of the optimum's improvement, its interval included.
    2. *undecided*, if no way has an improvement whose interval lies above zero: then
       there is no range to measure by.
    3. *adaptation gains*: the interval of what is meta-learned less the best of the
       other three lies above zero, and the difference is at least ``share`` of the
       range.
    4. A way is *as good as the best* if the best exceeds it by at most ``share`` of the
       range, its interval included. The first that is names the verdict: the one policy
       (*one policy already does*), learning from scratch (*tasks share too little*:
       nothing that came from other tasks was of use), fine-tuning (*fine-tuning already
       does*).
    5. *undecided*: intervals reach across what would matter; use more tasks.

    What is true by construction: on tasks that are all the same, one policy already
    does. Where an agent from scratch reaches the optimum within the budget and no
    policy does so unadapted, tasks share too little: nothing can exceed the optimum.
    Where what tells tasks apart cannot be met within the budget, nothing is learned.

    Args:
        key: consumed.
        returns: ``[num_tasks]`` of each way; of Datasets, scores.
        untrained: ``[num_tasks]`` of a policy that has learned nothing.
        optimum: the best possible mean return; None: not known.
        share: of the range, from which on a difference matters; in (0, 1).
        confidence: of the intervals, in (0, 1).
        num_resamples: of the bootstrap.

    Raises:
        TypeError: if ``key`` is not a typed key, or a number is none.
        ValueError: if a number is out of range, a return is not finite, or there are
            not as many of each, two or more.

    Source: Efron, "Bootstrap Methods: Another Look at the Jackknife", 1979; tests of
    equivalence within a margin: Schuirmann, "A Comparison of the Two One-Sided Tests
    Procedure and the Power Approach for Assessing the Equivalence of Average
    Bioavailability", 1987.
    """
    share = check_share(share)
    if optimum is not None:
        optimum = checks.finite("optimum", optimum)
    rows = jnp.stack([*_columns(returns, untrained)], axis=1)
    found = _intervals(key, rows, confidence, num_resamples)
    each = [Interval(*ends) for ends in zip(*found, strict=True)]
    gain, gains = each[0], Arms(*each[1:5])
    shortfalls, improvements = Arms(*each[5:9]), Arms(*each[9:13])
    span = found.mean[13]
    verdict = _decide(gain, shortfalls, improvements, span, share)
    if optimum is not None:
        within = share * (optimum - jnp.mean(rows[:, -1]))
        if all(bool(one.high <= within) for one in improvements):
            verdict = NOTHING
    return Judgement(verdict, gain, gains, shortfalls, improvements, span)


@partial(jax.jit, static_argnums=(2, 3))
def _intervals(
    key: Key, rows: jax.Array, confidence: float, num_resamples: int
) -> Interval:
    return bootstrap_interval(
        key,
        rows,
        confidence=confidence,
        num_resamples=num_resamples,
        statistic=_statistics,
    )


def check_share(share: Any) -> float:
    """``share`` as a float in (0, 1).

    Raises:
        TypeError: if it is no number.
        ValueError: if it is out of range.
    """
    share = checks.positive("share", share)
    if share >= 1.0:
        raise ValueError(f"share must lie in (0, 1), got {share}")
    return share


def _columns(returns: Arms, untrained: Any) -> list[jax.Array]:
    """The returns, once they are known to be good."""
    named = {**returns._asdict(), "untrained": untrained}
    columns = {name: jnp.asarray(value) for name, value in named.items()}
    count = columns["untrained"].size
    for name, column in columns.items():
        if column.shape != (count,) or count < 2:
            raise ValueError(
                f"{name} must be returns [num_tasks] of the same tasks, two or more, "
                f"got shapes { {k: v.shape for k, v in columns.items()} }"
            )
        if not bool(jnp.all(jnp.isfinite(column))):
            raise ValueError(f"{name} must be finite, got inf or nan")
    return list(columns.values())


def _statistics(rows: jax.Array) -> jax.Array:
    """All that intervals are made of, ``[14]``, from returns ``[num_tasks, 5]``.

    Means of differences and not differences of means, which would lose what is nearly
    the same in rounding errors of large returns.
    """
    arms, untrained = rows[:, :-1], rows[:, -1:]
    between = jnp.mean(arms[:, :, None] - arms[:, None, :], axis=0)  # [4, 4]
    improvements = jnp.mean(arms - untrained, axis=0)
    parts = (
        jnp.min(between[0, 1:])[None],
        between[0],
        jnp.max(between, axis=0),
        improvements,
        jnp.max(improvements)[None],
    )
    return jnp.concatenate(parts)


def _decide(
    gain: Interval, shortfalls: Arms, improvements: Arms, span: Any, share: float
) -> str:
    """The verdict, in the order of :func:`judge` from its second rule on."""
    if not any(bool(one.low > 0) for one in improvements):
        return UNDECIDED
    margin = share * span
    if bool(gain.low > 0) and bool(gain.mean >= margin):
        return ADAPTATION_GAINS
    as_good = partial(_within, margin)
    if as_good(shortfalls.multitask):
        return ONE_POLICY
    if as_good(shortfalls.scratch):
        return TOO_LITTLE
    if as_good(shortfalls.fine_tuning):
        return FINE_TUNING
    return UNDECIDED


def _within(margin: Any, shortfall: Interval) -> bool:
    return bool(shortfall.high <= margin)
