"""Pictures of runs: how meta-training went, and how fast the result adapts."""

import io
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

# Open, so that several of the same value can be told apart.
_MARKERS = ("s", "D", "^", "v", "P", "X", "<", ">", "h", "*")

# What the first and the last of the returns of an update are after, by unit.
_ENDS = {
    "inner update": ("before adaptation", "after"),
    "episode": ("first episode of a trial", "last"),
}
_WINDOW_ENDS = ("at the start of a window", "at its end")


class Run(NamedTuple):
    """A finished run: its label, its rows of metrics, its result."""

    label: str
    metrics: list[dict[str, Any]]
    result: dict[str, Any]


def draw(runs: list[Run]) -> bytes:
    """Learning and adaptation of one run, or of several in the same axes.

    Returns:
        A PNG file.
    """
    file = io.BytesIO()
    picture(runs).savefig(file, format="png", dpi=150)
    return file.getvalue()


def picture(runs: list[Run]) -> Figure:
    """What :func:`draw` draws, as a figure."""
    traces = sorted({name for run in runs for name in run.result.get("traces", [])})
    rows = 2 if traces else 1
    figure = Figure(figsize=(11, 4.2 * rows), layout="constrained")
    parts = np.atleast_1d(np.asarray(figure.subfigures(rows, 1), object))
    learning, adaptation = parts[0].subplots(1, 2)
    if traces:
        _draw_traces(parts[1].subplots(1, len(traces), squeeze=False)[0], runs, traces)
    for i, run in enumerate(runs):
        _draw_learning(learning, run, f"C{i}", alone=len(runs) == 1)
        _draw_adaptation(adaptation, run, f"C{i}", alone=len(runs) == 1)
    _draw_references(adaptation, runs)
    learning.set(title="Meta-training", xlabel="environment steps", ylabel="return")
    units = sorted({f"{_unit(run)}s" for run in runs})
    # Both count from zero: what an agent did in its task before.
    unit = f"{' or '.join(units)} before"
    living = all(_unit(run) == "window" for run in runs)
    title = "Agents that live" if living else "Adaptation to held-out tasks"
    adaptation.set(title=title, xlabel=unit)
    adaptation.set_ylabel("return")
    if all(len(run.result["adaptation_curve"]["mean"]) == 1 for run in runs):
        adaptation.set_xticks([0])
    else:
        adaptation.xaxis.get_major_locator().set_params(integer=True)
    learning.xaxis.set_major_formatter(EngFormatter(sep=""))
    for axes in (learning, adaptation):
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        if axes.lines:
            axes.legend(fontsize="small", loc="best")
    return figure


def _draw_references(axes: Axes, runs: list[Run]) -> None:
    """What was published, and the optimum."""
    references: dict[str, Any] = {}
    for run in runs:
        references.update(run.result["published"])
    for i, (label, row) in enumerate(references.items()):
        known = np.asarray(row, float)  # None becomes NaN, which is not drawn
        axes.plot(
            range(len(row)),
            known,
            label=f"published: {label}",
            color="0.35",
            linestyle="--",
            linewidth=1,
            marker=_MARKERS[i % len(_MARKERS)],
            markersize=8,
            markerfacecolor="none",
        )
    optima = {tuple(run.result["optimum"]) for run in runs if run.result["optimum"]}
    for row in optima:
        if len(row) == 1:  # a line of one point is none
            axes.axhline(row[0], color="black", linestyle=":")
            at, coordinates = (1.0, row[0]), axes.get_yaxis_transform()
        else:
            axes.plot(range(len(row)), row, color="black", linestyle=":")
            at, coordinates = (len(row) - 1, row[-1]), "data"
        axes.annotate(
            "optimum",
            at,
            xycoords=coordinates,
            xytext=(0, 3),
            textcoords="offset points",
            ha="right",
            va="bottom",
        )


def _draw_learning(axes: Axes, run: Run, color: str, *, alone: bool) -> None:
    # Chunks of updates that were all skipped have none.
    rows = [row for row in run.metrics if row["returns"] is not None]
    if not rows:
        return
    steps = [row["environment_steps"] for row in rows]
    returns = np.asarray([row["returns"] for row in rows])
    before, after = None, run.label
    if alone:
        before, after = _ENDS.get(_unit(run), _WINDOW_ENDS)
    marker = "o" if len(steps) == 1 else None  # a line of one point is none
    style = {"color": color, "marker": marker}
    if returns.shape[1] > 1:
        axes.plot(steps, returns[:, 0], alpha=0.45, label=before, **style)
    elif alone:
        after = "only episode of a trial"
    axes.plot(steps, returns[:, -1], label=after, **style)


def _draw_traces(panels: Any, runs: list[Run], names: list[str]) -> None:
    """How numbers that are learned move, each in its own units."""
    for axes, name in zip(panels, names, strict=True):
        for i, run in enumerate(runs):
            rows = [row for row in run.metrics if row.get(name) is not None]
            axes.plot(
                [row["environment_steps"] for row in rows],
                [row[name] for row in rows],
                color=f"C{i}",
                marker="o" if len(rows) == 1 else None,
                label=run.label,
            )
        axes.set(xlabel="environment steps", ylabel=name.replace("_", " "))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        if len(runs) > 1:
            axes.legend(fontsize="small")


def _unit(run: Run) -> str:
    """What a column of its curve is after."""
    return run.result.get("unit", "inner update")


def _draw_adaptation(axes: Axes, run: Run, color: str, *, alone: bool) -> None:
    curve = run.result["adaptation_curve"]
    count = np.arange(len(curve["mean"]))
    label = "sampled actions, 95% interval" if alone else run.label
    axes.plot(count, curve["mean"], color=color, marker="o", label=label)
    axes.fill_between(count, curve["low"], curve["high"], color=color, alpha=0.25)
    if alone:
        mode = run.result["mode_adaptation_curve"]
        axes.plot(
            count,
            mode["mean"],
            color="C2",
            marker="x",
            markersize=9,
            label="mode of the policy",
        )
        axes.fill_between(count, mode["low"], mode["high"], color="C2", alpha=0.25)
