"""What a diagnosis leaves: ``diagnosis.json``, and a picture of the curves."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jaxmeta import files
from jaxmeta.diagnosis import Diagnosis
from jaxmeta.diagnostics.verdict import NAMES
from jaxmeta.evaluation import Interval


def as_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """The numbers of a diagnosis as plain lists, those of single tasks too."""
    judgement = diagnosis.judgement

    def agreement(found: Any) -> Any:
        return None if found is None else _by_name(found._asdict())

    return {
        "verdict": diagnosis.verdict,
        "words": list(diagnosis.words),
        "gain": _plain(judgement.gain),
        "gains": _by_arm(judgement.gains),
        "shortfalls": _by_arm(judgement.shortfalls),
        "improvements": _by_arm(judgement.improvements),
        "range": float(judgement.range),
        "curves": _by_arm(diagnosis.curves),
        "agreement": agreement(diagnosis.agreement),
        "meta_agreement": agreement(diagnosis.meta_agreement),
        "chosen": diagnosis.chosen,
        "environment_steps": diagnosis.environment_steps,
        "num_updates": diagnosis.num_updates,
        "unit": diagnosis.unit,
        "optimum": diagnosis.optimum,
        "num_tasks": len(diagnosis.untrained),
        "returns": {
            name: np.asarray(each).tolist()
            for name, each in zip(NAMES, diagnosis.returns, strict=True)
        },
        "untrained": np.asarray(diagnosis.untrained).tolist(),
    }


def write(directory: Path, result: dict[str, Any]) -> None:
    """Write ``diagnosis.json`` and ``diagnosis.png``.

    Args:
        directory: made if need be.
        result: of :func:`as_json`, with whatever else is to be kept.
    """
    directory.mkdir(parents=True, exist_ok=True)
    files.write_json(directory / "diagnosis.json", result)
    files.write_bytes(directory / "diagnosis.png", picture(result))


def picture(result: Mapping[str, Any]) -> bytes:
    """A PNG file: the curves of all ways to learn, the optimum, the untrained policy.

    Args:
        result: of :func:`as_json`.
    """
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    for i, (name, curve) in enumerate(result["curves"].items()):
        count = np.arange(len(curve["mean"]))
        style = {"color": f"C{i}", "label": name}
        below = np.subtract(curve["mean"], curve["low"])
        above = np.subtract(curve["high"], curve["mean"])
        axes.errorbar(count, curve["mean"], (below, above), marker="o", **style)
    axes.axhline(np.mean(result["untrained"]), color="0.6", linestyle="--")
    if result["optimum"] is not None:
        axes.axhline(result["optimum"], color="black", linestyle=":")
    axes.set(xlabel=f"{result['unit']}s before", ylabel="return")
    axes.set_title(result["verdict"])
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(fontsize="small")
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=150)
    return file.getvalue()


def _plain(interval: Interval) -> dict[str, Any]:
    return {end: np.asarray(v).tolist() for end, v in interval._asdict().items()}


def _by_arm(arms: Any) -> dict[str, Any]:
    return {name: _plain(each) for name, each in zip(NAMES, arms, strict=True)}


def _by_name(intervals: Mapping[str, Interval]) -> dict[str, Any]:
    return {name: _plain(each) for name, each in intervals.items()}
