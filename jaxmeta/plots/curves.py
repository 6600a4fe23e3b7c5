"""Curves with intervals: learning, adaptation, regret, what is learned of numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jaxmeta import checks
from jaxmeta.plots import parts
from jaxmeta.plots.parts import Picture

_INTERQUARTILE = "interquartile mean"


def learning_curves(
    curves: Mapping[str, tuple[Any, Any]],
    *,
    xlabel: str = "environment steps",
    ylabel: str = "return",
    optimum: float | None = None,
    confidence: float = 0.95,
) -> Picture:
    """Returns over training, several seeds of each method as one curve.

    A curve is the interquartile mean over the seeds, the middle half of them (that is
    the mean for fewer than four); its band is the percentile-bootstrap interval. One
    seed has no band.

    Args:
        curves: label -> ``(steps [U], returns [S, U])``, of ``S`` seeds each.
        xlabel: of the steps, with their unit.
        ylabel: of the returns, with their unit.
        optimum: the highest return there is.
        confidence: of the interval, in (0, 1).

    Returns:
        The picture; ``data["curves"][label]`` holds ``steps``, ``num_seeds``,
        ``value``, ``low`` and ``high``.

    Raises:
        TypeError: if ``curves`` is no mapping.
        ValueError: if it is empty, or a shape is another, or a value is not finite.

    Source: Agarwal, Schwarzer, Castro, Courville and Bellemare, "Deep Reinforcement
    Learning at the Edge of the Statistical Precipice", 2021.
    """
    data = {
        "picture": "learning curves",
        "statistic": _INTERQUARTILE,
        "confidence": confidence,
        "xlabel": xlabel,
        "ylabel": ylabel,
        "curves": {
            label: _over_seeds(f"curves[{label!r}]", entry, confidence)
            for label, entry in parts.entries("curves", curves, "(steps, returns)")
        },
        "optimum": None if optimum is None else checks.finite("optimum", optimum),
    }
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    for i, (label, curve) in enumerate(data["curves"].items()):
        parts.band(axes, curve["steps"], curve, i, label)
    parts.references(axes, {}, [] if optimum is None else [[data["optimum"]]])
    axes.set(xlabel=xlabel, ylabel=ylabel)
    parts.tidy(axes, large_steps=True)
    parts.legend(figure)
    return Picture(figure, data)


def adaptation_curves(
    curves: Mapping[str, Any],
    *,
    unit: str = "gradient step",
    ylabel: str = "return",
    optimum: float | Sequence[float] | None = None,
    published: Mapping[str, Sequence[float | None]] | None = None,
    confidence: float = 0.95,
) -> Picture:
    """Returns before adaptation and after each unit of it, on held-out tasks.

    A curve is the mean over the tasks, its band the percentile-bootstrap interval.

    Args:
        curves: label -> returns ``[num_tasks, K + 1]``, as ``jm.adaptation_curve``
            gives them.
        unit: what lies between two columns, in the singular: "gradient step",
            "episode".
        ylabel: of the returns, with their unit.
        optimum: the highest return there is, one number or one per column.
        published: label -> values ``[K + 1]``, None where one is not known.
        confidence: of the interval, in (0, 1).

    Returns:
        The picture; ``data["curves"][label]`` holds ``num_tasks``, ``value``, ``low``
        and ``high``.

    Raises:
        TypeError: if ``curves`` is no mapping.
        ValueError: if it is empty, or a shape is another, or a value is not finite.
    """
    published = dict(published or {})
    data = {
        "picture": "adaptation curves",
        "statistic": "mean",
        "confidence": confidence,
        "xlabel": f"after ... {unit}s",
        "ylabel": ylabel,
        "curves": {},
        "published": {label: list(row) for label, row in published.items()},
        "optimum": _row("optimum", optimum),
    }
    for label, entry in parts.entries("curves", curves, "returns [num_tasks, K + 1]"):
        name = f"curves[{label!r}]"
        returns = parts.array(name, entry, "[num_tasks, K + 1]", 2)
        found = parts.interval(returns, confidence=confidence, interquartile=False)
        data["curves"][label] = {"num_tasks": len(returns), **found}
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    for i, (label, curve) in enumerate(data["curves"].items()):
        parts.band(axes, parts.columns(curve, i), curve, i, label)
    optima = [data["optimum"]] if data["optimum"] else []
    parts.references(axes, data["published"], optima)
    axes.set(xlabel=data["xlabel"], ylabel=ylabel)
    rows = [curve["value"] for curve in data["curves"].values()]
    parts.tidy(axes, columns=max(map(len, [*rows, *data["published"].values()])))
    parts.legend(figure)
    return Picture(figure, data)


def regret(
    curves: Mapping[str, Any],
    *,
    xlabel: str = "interaction",
    ylabel: str = "cumulative regret",
    confidence: float = 0.95,
) -> Picture:
    r"""How much return is lost to not knowing the task, interaction by interaction.

    A curve is the mean over tasks or seeds of :math:`\sum_{i \le t} r_i`, its band the
    percentile-bootstrap interval.

    Args:
        curves: label -> regret of each interaction ``[S, T]``, of ``S`` tasks or
            seeds.
        xlabel: of what is counted.
        ylabel: of the regret, with its unit.
        confidence: of the interval, in (0, 1).

    Returns:
        The picture; ``data["curves"][label]`` holds ``num_rows``, ``value``, ``low``
        and ``high`` after each interaction.

    Raises:
        TypeError: if ``curves`` is no mapping.
        ValueError: if it is empty, or a shape is another, or a value is not finite.
    """
    data = {
        "picture": "regret",
        "statistic": "mean",
        "confidence": confidence,
        "xlabel": xlabel,
        "ylabel": ylabel,
        "curves": {},
    }
    for label, entry in parts.entries("curves", curves, "regret [S, T]"):
        each = parts.array(f"curves[{label!r}]", entry, "[S, T]", 2)
        found = parts.interval(
            np.cumsum(each, axis=1), confidence=confidence, interquartile=False
        )
        data["curves"][label] = {"num_rows": len(each), **found}
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    for i, (label, curve) in enumerate(data["curves"].items()):
        parts.band(axes, range(1, len(curve["value"]) + 1), curve, i, label)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    parts.tidy(axes)
    parts.legend(figure)
    return Picture(figure, data)


def traces(
    traces: Mapping[str, Mapping[str, tuple[Any, Any]]],
    *,
    xlabel: str = "environment steps",
    confidence: float = 0.95,
) -> Picture:
    """How numbers move over training, each in a panel and in units of its own.

    Such as the hyper-parameters that meta-gradients learn.

    Args:
        traces: name of a number -> label -> ``(steps [U], values [S, U])``, of ``S``
            seeds each; the name is what the y axis says, so it has the unit.
        xlabel: of the steps, with their unit.
        confidence: of the interval over seeds, in (0, 1).

    Returns:
        The picture; ``data["traces"][name][label]`` holds ``steps``, ``num_seeds``,
        ``value``, ``low`` and ``high``, as those of :func:`learning_curves`.

    Raises:
        TypeError: if ``traces`` or an entry is no mapping.
        ValueError: if one is empty, or a shape is another, or a value is not finite.
    """
    data: dict[str, Any] = {
        "picture": "traces",
        "statistic": _INTERQUARTILE,
        "confidence": confidence,
        "xlabel": xlabel,
        "traces": {},
    }
    for name, curves in parts.entries("traces", traces, "curves"):
        within = f"traces[{name!r}]"
        data["traces"][name] = {
            label: _over_seeds(f"{within}[{label!r}]", entry, confidence)
            for label, entry in parts.entries(within, curves, "(steps, values)")
        }
    columns = min(len(data["traces"]), 4)
    rows = -(-len(data["traces"]) // columns)
    size = (max(5.0, 3.4 * columns), 3.2 * rows)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    labels = list(dict.fromkeys(name for c in data["traces"].values() for name in c))
    draw_traces(panels[: len(data["traces"])], data["traces"], xlabel, labels)
    for panel in panels[len(data["traces"]) :]:
        panel.remove()
    parts.legend(figure)
    return Picture(figure, data)


def draw_traces(
    panels: Any, traces: Mapping[str, Any], xlabel: str, labels: list[str]
) -> None:
    """Draw each trace in a panel; a label has the look of its place in ``labels``."""
    for axes, (name, curves) in zip(panels, traces.items(), strict=True):
        for label, curve in curves.items():
            parts.band(axes, curve["steps"], curve, labels.index(label), label)
        axes.set(xlabel=xlabel, ylabel=name.replace("_", " "))
        parts.tidy(axes, large_steps=True)


def _over_seeds(name: str, entry: Any, confidence: float) -> dict[str, Any]:
    """Steps, and the interquartile mean of the seeds with its interval."""
    try:
        steps, values = entry
    except (TypeError, ValueError):
        raise ValueError(
            f"{name} must be a pair of steps [U] and values [S, U], got "
            f"{type(entry).__name__}"
        ) from None
    steps = parts.array(f"the steps of {name}", steps, "[U]", 1)
    values = parts.array(f"the values of {name}", values, "[S, U]", 2)
    if values.shape[1] != len(steps):
        raise ValueError(
            f"{name}: there are {len(steps)} steps [U], but values [S, U] of shape "
            f"{values.shape}"
        )
    found = parts.interval(values, confidence=confidence, interquartile=True)
    return {"steps": steps.tolist(), "num_seeds": len(values), **found}


def _row(name: str, value: Any) -> list[float] | None:
    """One number or several, as a list."""
    if value is None:
        return None
    return parts.array(name, np.atleast_1d(value), "[] or [K + 1]", 1).tolist()
