"""What a diagnosis leaves: ``diagnosis.json``, and a picture of the curves."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxmeta import files, plots, runs
from jaxmeta.diagnosis import Diagnosis, diagnose
from jaxmeta.diagnostics.verdict import NAMES
from jaxmeta.evaluation import Interval
from jaxmeta.recipes import Recipe


def of_recipe(
    recipe: Recipe,
    directory: Path,
    *,
    seed: int,
    num_updates: int,
    num_test_tasks: int,
    num_tuning_tasks: int,
    num_steps: int | None,
    arguments: dict[str, Any],
) -> dict[str, Any]:
    """Diagnose the tasks of a recipe with its method, and write what is found.

    Args:
        recipe: the recipe.
        directory: for ``diagnosis.json`` and ``diagnosis.png``, which are replaced.
        seed: of everything random.
        num_updates: meta-updates.
        num_test_tasks: held-out tasks.
        num_tuning_tasks: tasks on which rates are chosen.
        num_steps: as in ``diagnose``.
        arguments: of the recipe.

    Returns:
        What ``diagnosis.json`` holds.

    Raises:
        ValueError: if the agents of the recipe live on, or an argument is out of range.
        FloatingPointError: as in ``diagnose``.
    """
    runs.warn_of_decay(arguments, num_updates)
    experiment = recipe.build(**arguments)
    if experiment.evaluate is not None:
        raise ValueError(
            f"recipe: the agents of {recipe.name} live on, and there is no budget of "
            "adaptation to a task to compare at; jaxmeta evaluate DIR --environment "
            "compares the rule they learn by with tuned A2C and PPO"
        )
    optimum = recipe.optimum
    if experiment.published is not None:  # of the arguments given, not of the defaults
        optimum = experiment.optimum
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"output: {directory} is no directory")
    started = time.perf_counter()
    with jax.default_matmul_precision("float32"):
        found = diagnose(
            runs.key_of(seed),
            experiment.learner,
            experiment.test_tasks,
            test_learner=experiment.test_learner,
            num_updates=num_updates,
            num_tasks=num_test_tasks,
            num_tuning_tasks=num_tuning_tasks,
            num_steps=num_steps,
            optimum=None if optimum is None else optimum[-1],
            report=lambda stage: print(f"{stage} ...", flush=True),
        )
    result = {
        "recipe": recipe.name,
        "seed": seed,
        "config": runs.plain(arguments),
        "versions": runs.versions(),
        "device": runs.device(),
        "wall_seconds": time.perf_counter() - started,
        **as_json(found),
    }
    write(directory, result)
    return result


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
    """A PNG file: the adaptation curves of all ways to learn, and the optimum.

    Args:
        result: of :func:`as_json`.
    """
    unit, optimum = result["unit"], result["optimum"]
    return plots.adaptation_curves(result["returns"], unit=unit, optimum=optimum).png()


def _plain(interval: Interval) -> dict[str, Any]:
    return {end: np.asarray(v).tolist() for end, v in interval._asdict().items()}


def _by_arm(arms: Any) -> dict[str, Any]:
    return {name: _plain(each) for name, each in zip(NAMES, arms, strict=True)}


def _by_name(intervals: Mapping[str, Interval]) -> dict[str, Any]:
    return {name: _plain(each) for name, each in intervals.items()}
