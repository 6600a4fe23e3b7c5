"""A verdict on meta-learning in sentences, with the numbers it rests on."""

from jaxmeta.diagnostics import verdict
from jaxmeta.diagnostics.agreement import Agreement
from jaxmeta.diagnostics.verdict import NAMES, Arms, Judgement
from jaxmeta.evaluation import Interval

# Who is as good as the best, among the four ways and in words.
_AS_GOOD = {
    verdict.ONE_POLICY: (
        NAMES.index("one policy"),
        "one policy for all tasks, without adaptation,",
    ),
    verdict.TOO_LITTLE: (
        NAMES.index("learning from scratch"),
        "learning from scratch, with nothing from other tasks,",
    ),
    verdict.FINE_TUNING: (
        NAMES.index("fine-tuning"),
        "fine-tuning one policy, by ordinary updates,",
    ),
}


def in_words(
    judgement: Judgement,
    curves: Arms,
    untrained: float,
    *,
    optimum: float | None,
    unit: str,
    agreement: Agreement | None = None,
    meta_agreement: Agreement | None = None,
) -> tuple[str, ...]:
    """Sentences: the verdict, what each way to learn reaches, what adaptation gains.

    Args:
        judgement: by ``verdict.judge``.
        curves: intervals of the returns ``[columns]`` of each.
        untrained: mean return of a policy that has learned nothing.
        optimum: the best possible, or None.
        unit: of adaptation.
        agreement: of gradients of one policy.
        meta_agreement: of meta-gradients.
    """
    num_units = len(curves.meta_learned.mean) - 1
    after = "in the only episode of a trial"
    if num_units:
        after = f"after {num_units} {unit}{'s' if num_units > 1 else ''}"
    reached = ", ".join(
        f"{name} {_number(curve.mean[-1])}"
        for name, curve in zip(NAMES, curves, strict=True)
    )
    known = "" if optimum is None else f", the optimum {_number(optimum)}"
    gains = ", ".join(
        f"{interval_in_words(gain)} over {name}"
        for name, gain in list(zip(NAMES, judgement.gains, strict=True))[1:]
    )
    before = _number(curves.meta_learned.mean[0])
    sentences = [
        f"{judgement.verdict}: {_reason(judgement, curves, optimum)}.",
        f"Return {after}: {reached}; an untrained policy has "
        f"{_number(untrained)}{known}.",
        f"What was meta-learned gains {gains}"
        + (f"; before it adapts it has {before}." if num_units else "."),
    ]
    if agreement is not None:
        sentences.append(_agreement(agreement, meta_agreement))
    return tuple(sentences)


def interval_in_words(found: Interval) -> str:
    """``1.2 [0.9, 1.5]``."""
    ends = f"[{_number(found.low)}, {_number(found.high)}]"
    return f"{_number(found.mean)} {ends}"


def _reason(judgement: Judgement, curves: Arms, optimum: float | None) -> str:
    """What the verdict says of the numbers."""
    final = [float(curve.mean[-1]) for curve in curves]
    others = final[1:]
    best_other = NAMES[1 + others.index(max(others))]
    best = NAMES[final.index(max(final))]
    if judgement.verdict == verdict.ADAPTATION_GAINS:
        share = 100 * float(judgement.gain.mean) / float(judgement.range)
        return (
            f"{interval_in_words(judgement.gain)} over the best alternative, "
            f"{best_other}, {share:.0f}% of the range from an untrained policy to the "
            "best"
        )
    if judgement.verdict in _AS_GOOD:
        at, who = _AS_GOOD[judgement.verdict]
        shortfall = judgement.shortfalls[at]
        if NAMES[at] == best:
            return f"{who} does best"
        share = 100 * float(shortfall.high) / float(judgement.range)
        return (
            f"{who} is as good as the best, {best}: it falls short by "
            f"{interval_in_words(shortfall)}, at most {max(share, 0.0):.0f}% of the "
            "range from an untrained policy to the best"
        )
    if judgement.verdict == verdict.NOTHING:
        highest = max(float(one.high) for one in judgement.improvements)
        return (
            "no way to learn improves on an untrained policy by more than "
            f"{_number(highest)}, and the optimum is {_number(optimum)}; tasks share "
            "too little that can be used within this budget, or training was too short"
        )
    if not any(bool(one.low > 0) for one in judgement.improvements):
        return (
            "nothing is better than an untrained policy for sure; train for longer, or "
            "say what the optimum is"
        )
    share = 100 * float(judgement.gain.mean) / float(judgement.range)
    return (
        "intervals reach across what would matter, use more tasks; what was "
        f"meta-learned exceeds the best alternative, {best_other}, by "
        f"{interval_in_words(judgement.gain)}, {share:.0f}% of the range from an "
        "untrained policy to the best"
    )


def _agreement(agreement: Agreement, meta_agreement: Agreement | None) -> str:
    """How far gradients of different tasks agree."""
    words = (
        "Where learning starts, gradients of two tasks for one policy have a cosine of "
        f"{interval_in_words(agreement.cosine)}"
    )
    if meta_agreement is not None:
        words += f", their meta-gradients {interval_in_words(meta_agreement.cosine)}"
    return f"{words}."


def _number(value) -> str:
    value = float(value)
    digits = 2 if abs(value) < 100 else 1
    rounded = f"{value:.{digits}f}"
    return rounded.lstrip("-") if not float(rounded) else rounded
