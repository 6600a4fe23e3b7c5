"""Pictures of runs: how meta-training went, and how fast the result adapts."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxmeta.plots import parts
from jaxmeta.plots.curves import draw_traces
from jaxmeta.plots.parts import Picture

_CONFIDENCE = 0.95
_STEPS = "environment steps"

# What the first and the last of the returns of an update are after, by unit.
_ENDS = {
    "inner update": ("before adaptation", "after"),
    "episode": ("first episode of a trial", "last"),
}
_WINDOW_ENDS = ("at the start of a window", "at its end")


class Run(NamedTuple):
    """A finished run.

    Attributes:
        recipe: its name.
        metrics: its rows of ``metrics.jsonl``.
        result: what ``result.json`` holds.
        seed: of everything random in it.
        settings: all else that it depends on; runs that differ in their seed alone are
            one curve.
    """

    recipe: str
    metrics: Sequence[Mapping[str, Any]]
    result: Mapping[str, Any]
    seed: int = 0
    settings: Mapping[str, Any] = {}


def picture(runs: Sequence[Run]) -> Picture:
    """Learning and adaptation of one run, or of several in the same axes.

    Runs of the same recipe and settings are one curve: the interquartile mean over
    their seeds, with the percentile-bootstrap interval of 95%. The adaptation curve of
    a single run has its interval over held-out tasks.

    Args:
        runs: at least one.

    Returns:
        The picture; ``data["groups"]`` holds, for each label, ``seeds``, ``learning``
        (and ``before``, at the other end of adaptation), ``adaptation``, ``mode`` and
        ``traces``.

    Raises:
        ValueError: if there is no run, if two have the same seed and settings, or if
            runs of the same settings have curves of other lengths.
    """
    if not runs:
        raise ValueError("runs must hold at least one run, got none")
    groups = {
        label: _described(label, group) for label, group in _grouped(runs).items()
    }
    optima = [run.result["optimum"] for run in runs if run.result["optimum"]]
    data = {
        "picture": "runs",
        "statistic": "interquartile mean over seeds",
        "confidence": _CONFIDENCE,
        "groups": groups,
        "published": _published(runs),
        "optima": [list(row) for row in dict.fromkeys(map(tuple, optima))],
    }
    return Picture(_drawn(data), data)


def _grouped(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs that differ in their seed alone, by what tells them from the others."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        key = json.dumps([run.recipe, run.settings], sort_keys=True)
        groups.setdefault(key, []).append(run)
    for group in groups.values():
        seeds = [run.seed for run in group]
        if len(set(seeds)) < len(seeds):
            raise ValueError(
                f"runs: two of {group[0].recipe} have the same settings and the same "
                f"seed, of {sorted(seeds)}; give each once"
            )
    firsts = [group[0] for group in groups.values()]
    return {_label(group, firsts): group for group in groups.values()}


def _label(group: list[Run], others: list[Run]) -> str:
    """The recipe, the settings that differ from its other groups, the seeds."""
    one = group[0]
    same = [run.settings for run in others if run.recipe == one.recipe]
    differ = [
        f"{name}={_short(value)}"
        for name, value in one.settings.items()
        if any(name not in s or s[name] != value for s in same)
    ]
    seeds = f"seed {one.seed}" if len(group) == 1 else f"{len(group)} seeds"
    return f"{', '.join([one.recipe, *differ])} ({seeds})"


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).replace(" ", "")


def _published(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """Published rows; the recipe tells those apart that have the same label."""
    found: dict[str, list[Any]] = {}
    for run in runs:
        for label, row in run.result["published"].items():
            if found.get(label, row) != row:
                label = f"{label}, {run.recipe}"
            found[label] = list(row)
    return found


def _described(label: str, group: list[Run]) -> dict[str, Any]:
    """All that is drawn of runs that differ in their seed."""
    result = group[0].result
    adaptation = _tested(label, group, "adaptation_curve")
    mode = _tested(label, group, "mode_adaptation_curve")
    learning = _over_seeds(group, "returns")
    described = {
        "seeds": [run.seed for run in group],
        "unit": result.get("unit", "inner update"),
        "learning": _column(learning, -1),
        "before": None,
        "adaptation": adaptation,
        "mode": mode,
        "traces": {
            name: _column(_over_seeds(group, name), None)
            for name in result.get("traces") or []
        },
    }
    if learning is not None and len(learning["value"][0]) > 1:
        described["before"] = _column(learning, 0)
    return described


def _over_seeds(group: list[Run], name: str) -> dict[str, Any] | None:
    """A metric ``[U, ...]`` where all runs of a group have it, over their seeds.

    A chunk of updates that were all skipped has none; without any there is no curve.
    """
    rows = [
        {
            row["environment_steps"]: row[name]
            for row in run.metrics
            if row.get(name) is not None
        }
        for run in group
    ]
    steps = [at for at in rows[0] if all(at in other for other in rows)]
    if not steps:
        return None
    values = np.asarray([[row[at] for at in steps] for row in rows], np.float64)
    found = parts.interval(values, confidence=_CONFIDENCE, interquartile=True)
    return {"steps": steps, **found}


def _column(curve: dict[str, Any] | None, column: int | None) -> dict[str, Any] | None:
    """One column of a curve ``[U, C]``, or one of numbers ``[U]`` as it is."""
    if curve is None or column is None:
        return curve
    ends = {
        end: [row[column] for row in curve[end]] for end in ("value", "low", "high")
    }
    return {"steps": curve["steps"], **ends}


def _tested(label: str, group: list[Run], name: str) -> dict[str, list[float]]:
    """An adaptation curve: of one run over its tasks, or of several over seeds."""
    curves = [run.result[name] for run in group]
    if len(curves) == 1:
        (curve,) = curves
        return {"value": curve["mean"], "low": curve["low"], "high": curve["high"]}
    means = [curve["mean"] for curve in curves]
    if len(set(map(len, means))) > 1:
        raise ValueError(
            f"runs: the adaptation curves of {label} have different lengths, "
            f"{sorted(map(len, means))}; draw them apart"
        )
    means = np.asarray(means)
    return parts.interval(means, confidence=_CONFIDENCE, interquartile=True)


def _drawn(data: dict[str, Any]) -> Figure:
    """The figure of what :func:`picture` gathered."""
    groups = data["groups"]
    alone = len(groups) == 1
    names = sorted({name for group in groups.values() for name in group["traces"]})
    rows, columns = (2, len(names)) if names else (1, 1)
    figure = Figure(
        figsize=(max(10.0, 3.2 * columns), 4.0 * rows), layout="constrained"
    )
    cells = figure.add_gridspec(rows, 2 * columns)
    learning = figure.add_subplot(cells[0, :columns])
    adaptation = figure.add_subplot(cells[0, columns:])
    for i, (label, group) in enumerate(groups.items()):
        _draw_learning(learning, group, i, None if alone else label)
        _draw_adaptation(adaptation, group, i, None if alone else label)
    parts.references(adaptation, data["published"], data["optima"])
    learning.set(xlabel=_STEPS, ylabel=_ylabel(groups))
    units = sorted({f"{group['unit']}s" for group in groups.values()})
    living = all(group["unit"] == "window" for group in groups.values())
    tested = "return of agents that live" if living else "return in held-out tasks"
    # Both count from zero: what an agent did in its task before.
    adaptation.set(xlabel=f"after ... {' or '.join(units)}", ylabel=tested)
    parts.tidy(learning, large_steps=True)
    longest = max(len(group["adaptation"]["value"]) for group in groups.values())
    parts.tidy(adaptation, columns=longest)
    panels = [
        figure.add_subplot(cells[1, 2 * i : 2 * i + 2]) for i in range(len(names))
    ]
    traces = {
        name: {
            label: group["traces"][name]
            for label, group in groups.items()
            if group["traces"].get(name)
        }
        for name in names
    }
    draw_traces(panels, traces, _STEPS, list(groups))
    parts.legend(figure, apart=(learning, adaptation) if alone else ())
    return figure


def _draw_learning(
    axes: Axes, group: dict[str, Any], i: int, label: str | None
) -> None:
    """The end of adaptation over training; of a single group its start too."""
    after, before = group["learning"], group["before"]
    if after is None:
        return
    names = _ENDS.get(group["unit"], _WINDOW_ENDS)
    if before is None:
        names = (None, "only episode of a trial")
    elif label is None:
        parts.band(axes, before["steps"], before, i + 1, names[0])
    parts.band(axes, after["steps"], after, i, label or names[1])


def _draw_adaptation(
    axes: Axes, group: dict[str, Any], i: int, label: str | None
) -> None:
    """Return by what came before; of a single group also that of the mode."""
    curve = group["adaptation"]
    count = len(group["seeds"])
    over = "held-out tasks" if count == 1 else f"{count} seeds"
    alone = f"sampled actions, {_CONFIDENCE:.0%} interval over {over}"
    parts.band(axes, parts.columns(curve, i), curve, i, label or alone)
    if label is None:
        mode = group["mode"]
        parts.band(axes, parts.columns(mode, 1), mode, 2, "mode of the policy")


def _ylabel(groups: dict[str, Any]) -> str:
    """What is drawn over training."""
    if len(groups) == 1:
        return "return in training"
    units = {group["unit"] for group in groups.values()}
    if units == {"episode"}:
        return "return in training, last episode"
    if units == {"inner update"}:
        return "return in training, after adaptation"
    return "return in training, at its end"
