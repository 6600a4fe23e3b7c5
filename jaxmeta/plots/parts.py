"""What pictures are made of: intervals, bands, markers, legends, files."""

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from jaxmeta import files
from jaxmeta.evaluation import bootstrap_interval, interquartile_mean

# Okabe and Ito, "Color Universal Design", 2008, without black, which is for references,
# and without yellow, which is not seen on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
# Five, so that with six colours the pairs repeat after thirty curves.
_LINES = ("-", (0, (5, 1.5)), (0, (6, 1.5, 1, 1.5)), (0, (3, 1)), (0, (8, 2)))
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
# Open, so that several of the same value can be told apart.
_OPEN_MARKERS = ("s", "D", "^", "v", "P", "X", "<", ">", "h", "*")
_MARKERS_PER_LINE = 8


class Picture(NamedTuple):
    """A figure, and what it shows.

    Attributes:
        figure: of matplotlib, to change as you like.
        data: all that is drawn, as lists, numbers and names that JSON can hold;
            ``picture`` says what kind of picture it is.
    """

    figure: Figure
    data: dict[str, Any]

    def png(self) -> bytes:
        """A PNG file of it."""
        file = io.BytesIO()
        self.figure.savefig(file, format="png", dpi=150)
        return file.getvalue()

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        return self.png()


def save(picture: Picture, path: str | Path) -> None:
    """Write a picture, and beside it what it shows, as JSON of the same name.

    Args:
        picture: what a function of this package returned.
        path: ends in ``.png``; both files are replaced if they exist.

    Raises:
        ValueError: if ``path`` is no ``.png`` in an existing folder, or if the JSON
            file beside it is there already and holds something else.
    """
    path = Path(path)
    if path.suffix != ".png" or not path.parent.is_dir():
        raise ValueError(f"path must be a .png in an existing folder, got {path}")
    beside = path.with_suffix(".json")
    if beside.exists() and not _is_of_picture(beside):
        raise ValueError(
            f"path: {beside} holds something else than the numbers of a picture; give "
            "another name"
        )
    files.write_json(beside, picture.data)
    files.write_bytes(path, picture.png())


def _is_of_picture(path: Path) -> bool:
    try:
        found = files.read_json(path)
    except ValueError:
        return False
    return isinstance(found, dict) and "picture" in found


def array(name: str, values: Any, shape: str, ndim: int) -> np.ndarray:
    """``values`` as finite numbers of so many axes.

    Raises:
        ValueError: naming the argument, if they are not.
    """
    try:
        found = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be numbers {shape}, got {values!r}") from None
    if found.ndim != ndim or 0 in found.shape:
        raise ValueError(f"{name} must have the shape {shape}, got {found.shape}")
    if not np.isfinite(found).all():
        at = tuple(int(i) for i in np.argwhere(~np.isfinite(found))[0])
        raise ValueError(
            f"{name} must be finite, got {found[at]} at {list(at)}; leave such rows out"
        )
    return found


def entries(name: str, value: Any, what: str) -> list[tuple[str, Any]]:
    """The entries of a mapping from labels.

    Raises:
        TypeError: if it is no mapping.
        ValueError: if it is empty.
    """
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must map labels to {what}, got {type(value).__name__}")
    if not value:
        raise ValueError(f"{name} must map at least one label to {what}, got none")
    return [(str(label), entry) for label, entry in value.items()]


def interval(
    values: np.ndarray, *, confidence: float, interquartile: bool
) -> dict[str, list[float]]:
    """The middle of ``[S, ...]`` and the ends of its interval, ``[...]`` each.

    With the same values it is the same; one row has no interval.

    Raises:
        ValueError: if ``confidence`` is not in (0, 1).
    """
    if len(values) == 1 and 0 < confidence < 1:
        return dict.fromkeys(("value", "low", "high"), values[0].tolist())
    statistic = interquartile_mean if interquartile else None
    found = bootstrap_interval(
        jax.random.key(0),
        jnp.asarray(values),
        confidence=confidence,
        statistic=statistic,
    )
    parts = {"value": found.mean, "low": found.low, "high": found.high}
    return {name: np.asarray(part, np.float64).tolist() for name, part in parts.items()}


def style(i: int) -> dict[str, Any]:
    """How the curve number ``i`` is drawn; it can be told from others in grey."""
    return {
        "color": COLORS[i % len(COLORS)],
        "linestyle": _LINES[i % len(_LINES)],
        "marker": _MARKERS[i % len(_MARKERS)],
        "markersize": 5,
        "linewidth": 1.6,
    }


def band(
    axes: Axes,
    at: Sequence[float],
    curve: Mapping[str, Any],
    i: int,
    label: str | None,
    **changes: Any,
) -> None:
    """Draw the curve number ``i``: its line, and its interval as a band."""
    look = {**style(i), **changes}
    every = max(1, math.ceil(len(at) / _MARKERS_PER_LINE))
    start = (i * every // 3) % every  # those of several curves are not at one place
    axes.plot(at, curve["value"], label=label, markevery=(start, every), **look)
    if curve["low"] == curve["high"]:
        return
    if len(at) == 1:  # a band of one point is none
        axes.vlines(at, curve["low"], curve["high"], color=look["color"], alpha=0.6)
    axes.fill_between(
        at, curve["low"], curve["high"], color=look["color"], alpha=0.2, linewidth=0
    )


def columns(curve: Mapping[str, Any], i: int) -> list[float]:
    """Where the columns of an adaptation curve lie, single ones beside each other."""
    count = len(curve["value"])
    return [0.05 * i] if count == 1 else [float(k) for k in range(count)]


def references(
    axes: Axes, published: Mapping[str, Sequence[Any]], optima: Iterable[Sequence[Any]]
) -> None:
    """Draw what was published, and the optimum; an unknown value is None."""
    for i, (label, row) in enumerate(published.items()):
        axes.plot(
            range(len(row)),
            np.asarray(row, float),  # None becomes NaN, which is not drawn
            label=f"published: {label}",
            color="0.35",
            linestyle="--",
            linewidth=1,
            marker=_OPEN_MARKERS[i % len(_OPEN_MARKERS)],
            markersize=8,
            markerfacecolor="none",
        )
    for i, row in enumerate(optima):
        look = {
            "color": "black",
            "linestyle": ":",
            "label": "optimum" if i == 0 else None,
        }
        if len(row) == 1:  # a line of one point is none
            axes.axhline(row[0], **look)
        else:
            axes.plot(range(len(row)), np.asarray(row, float), **look)


def tidy(axes: Axes, *, large_steps: bool = False, columns: int | None = None) -> None:
    """Faint lines to read values by, no frame, and marks where there are values.

    Args:
        axes: to change.
        large_steps: write 20000 as 20k along the x axis.
        columns: of an x axis that counts from zero.
    """
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if large_steps:
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    if columns == 1:
        axes.set_xticks([0])
        axes.set_xlim(-0.5, 0.5)
    elif columns is not None:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def legend(figure: Figure, *, apart: Sequence[Axes] = ()) -> None:
    """One legend below all axes of a figure, which grows by what it takes.

    Args:
        figure: of which a label may be in several axes; with a single one there is
            nothing to tell apart, and no legend.
        apart: axes that get one each instead, below them.
    """
    width, height = figure.get_size_inches()
    look: dict[str, Any] = {"fontsize": "small", "frameon": False, "handlelength": 3.2}
    if apart:
        found = [axes.get_legend_handles_labels() for axes in apart]
        rows = max(len(labels) for _, labels in found)
        figure.set_size_inches(width, height + 0.22 * rows)
        for axes, (handles, labels) in zip(apart, found, strict=True):
            if labels:
                place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.15)}
                axes.legend(handles, labels, **place, **look)
        return
    entries: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if len(entries) < 2:
        return
    columns = int(width // (0.55 + 0.068 * max(map(len, entries))))
    columns = min(max(columns, 1), len(entries))
    rows = math.ceil(len(entries) / columns)
    figure.set_size_inches(width, height + 0.22 * rows)
    handles, labels = list(entries.values()), list(entries)
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, **look)
