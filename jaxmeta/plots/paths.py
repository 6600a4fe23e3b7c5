"""Where agents went: in the plane, and on a grid."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from jaxmeta import checks
from jaxmeta.plots import parts
from jaxmeta.plots.parts import Picture

_MOST_COLUMNS = 5  # panels in a row
_MOST_NUMBERED = 12  # cells along an axis, for numbers in them to be read


def trajectories(
    paths: Any,
    *,
    goal: Any = None,
    labels: Sequence[str] | None = None,
    unit: str = "gradient step",
    xlabel: str = "x",
    ylabel: str = "y",
) -> Picture:
    """Paths in the plane: a panel before adaptation, and one after each unit of it.

    A dot is where an episode starts, a cross where it ends, the star is the goal.

    Args:
        paths: positions ``[K + 1, E, T, 2]`` of ``E`` episodes in each of ``K + 1``
            panels, or ``[E, T, 2]`` for a single one; episodes may differ in length.
        goal: ``[2]``, of the task.
        labels: of the panels; "before adaptation", "after 1 gradient step", ... by
            default.
        unit: what lies between two panels, in the singular, for the default labels.
        xlabel: of the first coordinate, with its unit.
        ylabel: of the second.

    Returns:
        The picture; ``data["paths"]`` holds label -> episodes -> ``[T, 2]``.

    Raises:
        ValueError: if a shape is another, a value is not finite, or there are not as
            many labels as panels, each another.
    """
    panels = _panels(paths)
    if labels is None:
        labels = [_after(k, unit) for k in range(len(panels))]
        labels = labels if len(panels) > 1 else [""]
    if len(set(labels)) != len(panels) or len(labels) != len(panels):
        raise ValueError(
            f"labels must be {len(panels)} different ones, one for each panel, got "
            f"{list(labels)}"
        )
    goal = None if goal is None else parts.array("goal", goal, "[2]", 1)
    if goal is not None and len(goal) != 2:
        raise ValueError(f"goal must have the shape [2], got {goal.shape}")
    data = {
        "picture": "trajectories",
        "xlabel": xlabel,
        "ylabel": ylabel,
        "goal": None if goal is None else goal.tolist(),
        "paths": dict(zip(labels, panels, strict=True)),
    }
    figure, drawn = _small_multiples(len(panels), 3.0, share=True)
    for axes, (label, episodes) in zip(drawn, data["paths"].items(), strict=True):
        for i, episode in enumerate(episodes):
            _draw_path(axes, np.asarray(episode), first=i == 0)
        if goal is not None:
            _draw_goal(axes, goal, 14)
        axes.set(xlabel=xlabel, ylabel=ylabel, aspect="equal")
        axes.set_title(label, fontsize="medium")
        axes.label_outer()
        parts.tidy(axes)
    parts.legend(figure)
    return Picture(figure, data)


def grid_trajectories(
    cells: Any,
    *,
    size: int | tuple[int, int],
    goal: Any = None,
    labels: Sequence[str] | None = None,
) -> Picture:
    """Walks over the cells of a grid, a panel per episode.

    The darker a cell, the more often it was visited; the number in it is the step of
    its first visit, 0 at the start. The line is the walk, the star the goal.

    Args:
        cells: ``[E, T, 2]`` integers, each row a column ``x`` and a row ``y`` that
            count from 0 at the lower left; episodes may differ in length.
        size: of the grid: of a side, or ``(width, height)``.
        goal: ``[2]``, the cell to be found.
        labels: of the panels; "episode 1", ... by default.

    Returns:
        The picture; ``data["episodes"]`` holds, for each episode, its ``label``, its
        ``cells`` and ``visits [height][width]``.

    Raises:
        TypeError: if ``size`` is no integer, or two.
        ValueError: if a shape is another, a cell is not of the grid, or there are not
            as many labels as episodes.
    """
    width, height = size if isinstance(size, tuple) else (size, size)
    width = checks.positive_int("size", width)
    height = checks.positive_int("size", height)
    walks = [
        _cells(f"cells[{i}]", episode, width, height)
        for i, episode in enumerate(_rows("cells", cells))
    ]
    if labels is None:
        labels = [f"episode {i + 1}" for i in range(len(walks))]
    if len(labels) != len(walks):
        raise ValueError(f"labels must be {len(walks)}, one for each episode of cells")
    if goal is not None:
        (goal,) = _cells("goal", np.asarray(goal)[None], width, height).tolist()
    data: dict[str, Any] = {
        "picture": "grid trajectories",
        "size": [width, height],
        "goal": goal,
        "episodes": [
            {
                "label": label,
                "cells": walk.tolist(),
                "visits": _visits(walk, width, height).tolist(),
            }
            for label, walk in zip(labels, walks, strict=True)
        ],
    }
    figure, drawn = _small_multiples(len(walks), 2.4)
    most = max(np.max(episode["visits"]) for episode in data["episodes"])
    for axes, episode in zip(drawn, data["episodes"], strict=True):
        _draw_walk(axes, episode, data["size"], most)
        if goal is not None:
            _draw_goal(axes, np.asarray(goal), 11)
    parts.legend(figure)
    return Picture(figure, data)


def _after(k: int, unit: str) -> str:
    if k == 0:
        return "before adaptation"
    return f"after {k} {unit}{'' if k == 1 else 's'}"


def _rows(name: str, values: Any) -> list[Any]:
    """What lies along the first axis.

    Raises:
        ValueError: if nothing does.
    """
    if np.ndim(values) == 0 if not isinstance(values, list | tuple) else not values:
        raise ValueError(f"{name} must hold at least one episode, got {values!r}")
    found = list(values)
    if not found:
        raise ValueError(f"{name} must hold at least one episode, got none")
    return found


def _panels(paths: Any) -> list[list[Any]]:
    """Panels of episodes of positions ``[T, 2]``, as lists."""
    rows = _rows("paths", paths)
    first = rows[0]
    nested = np.ndim(_rows("paths[0]", first)[0]) == 2
    panels = []
    for k, episodes in enumerate(rows if nested else [rows]):
        name = f"paths[{k}]" if nested else "paths"
        panels.append(
            [
                _positions(f"{name}[{i}]", episode).tolist()
                for i, episode in enumerate(_rows(name, episodes))
            ]
        )
    return panels


def _positions(name: str, episode: Any) -> np.ndarray:
    found = parts.array(name, episode, "[T, 2]", 2)
    if found.shape[1] != 2:
        raise ValueError(f"{name} must have the shape [T, 2], got {found.shape}")
    return found


def _cells(name: str, episode: Any, width: int, height: int) -> np.ndarray:
    found = _positions(name, episode)
    inside = (found >= 0) & (found < [width, height]) & (found == np.round(found))
    if not inside.all():
        wrong = found[~inside.all(axis=1)][0].tolist()
        raise ValueError(
            f"{name} must be cells (x, y) of a grid of {width} x {height}, counted "
            f"from 0, got {wrong}"
        )
    return found.astype(int)


def _visits(walk: np.ndarray, width: int, height: int) -> np.ndarray:
    visits = np.zeros((height, width), int)
    np.add.at(visits, (walk[:, 1], walk[:, 0]), 1)
    return visits


def _small_multiples(
    count: int, side: float, *, share: bool = False
) -> tuple[Figure, list[Axes]]:
    """A figure of so many panels of the same size."""
    columns = min(count, _MOST_COLUMNS)
    rows = -(-count // columns)
    size = (max(side * columns, 3.6), max(side * rows, 3.0) + 0.3)
    figure = Figure(figsize=size, layout="compressed")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=share, sharey=share)
    for panel in panels.ravel()[count:]:
        panel.remove()
    return figure, list(panels.ravel()[:count])


def _draw_path(axes: Axes, path: np.ndarray, *, first: bool) -> None:
    blue, red = parts.COLORS[:2]
    axes.plot(path[:, 0], path[:, 1], color=blue, linewidth=0.9, alpha=0.6)
    ends = {"linestyle": "none", "zorder": 3}
    label = ("start", "end") if first else (None, None)
    axes.plot(*path[0], "o", color="black", markersize=4, label=label[0], **ends)
    axes.plot(*path[-1], "x", color=red, markersize=5, label=label[1], **ends)


def _draw_goal(axes: Axes, goal: np.ndarray, size: float) -> None:
    axes.plot(
        *goal,
        "*",
        color="#E69F00",
        markeredgecolor="black",
        markeredgewidth=0.7,
        markersize=size,
        linestyle="none",
        label="goal",
        zorder=4,
    )


def _draw_walk(
    axes: Axes, episode: dict[str, Any], size: Sequence[int], most: int
) -> None:
    """Cells by their visits, the walk, and the step of each first visit."""
    width, height = size
    walk, visits = np.asarray(episode["cells"]), np.asarray(episode["visits"])
    for y, x in np.argwhere(visits):
        shade = 0.15 + 0.45 * visits[y, x] / most
        cell = Rectangle((x - 0.5, y - 0.5), 1, 1, color=parts.COLORS[5], alpha=shade)
        axes.add_patch(cell)
    axes.plot(walk[:, 0], walk[:, 1], color=parts.COLORS[0], linewidth=1.2, alpha=0.8)
    if max(width, height) <= _MOST_NUMBERED:
        _, first = np.unique(walk, axis=0, return_index=True)
        for step in first:
            x, y = walk[step]
            axes.text(x - 0.44, y + 0.42, str(step), fontsize=6.5, ha="left", va="top")
    axes.plot(*walk[0], "o", color="black", markersize=5, label="start", zorder=3)
    axes.set(xlim=(-0.5, width - 0.5), ylim=(-0.5, height - 0.5), aspect="equal")
    axes.set_xticks(np.arange(width + 1) - 0.5, labels=[])
    axes.set_yticks(np.arange(height + 1) - 0.5, labels=[])
    axes.tick_params(length=0)
    axes.grid(color="0.75", linewidth=0.6)
    axes.set_title(episode["label"], fontsize="medium")
