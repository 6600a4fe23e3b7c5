"""Runs of recipes: a directory with the settings, metrics, checkpoints and results.

``config.json`` says what the run is; ``metrics.jsonl`` and ``checkpoints/`` are those
of ``fit``; ``result.json``, ``curve.png`` and ``curve.json``, which holds what the
picture shows, are made at the end, or by ``evaluate``.
"""

import importlib.metadata
import inspect
import logging
import os
import platform
from pathlib import Path
from typing import Any

import jax

import jaxmeta
from jaxmeta import checks, files, loggers, plots, recipes, run_directory
from jaxmeta.checkpoint import Checkpoints
from jaxmeta.evaluation import adaptation_curves, bootstrap_interval
from jaxmeta.fit import fit
from jaxmeta.recipes import Experiment, Recipe
from jaxmeta.sharding import over_all_devices
from jaxmeta.types import Key, MetaState

Result = dict[str, Any]

PRECISIONS = ("float32", "tensorfloat32", "bfloat16")


def train(
    recipe: Recipe,
    directory: Path,
    *,
    seed: int = 0,
    num_updates: int | None = None,
    arguments: dict[str, Any] | None = None,
    matmul_precision: str = "float32",
    debug: bool = False,
    progress: bool = True,
    log: str | None = None,
) -> Result:
    """Train a recipe, or go on with it, then evaluate and plot it.

    Where there are several devices its tasks are spread over all of them.

    Args:
        recipe: the recipe.
        directory: the run's; continued if it holds this recipe, seed and arguments.
        seed: of everything random.
        num_updates: meta-updates; the recipe's by default.
        arguments: hyper-parameters that differ from the recipe's defaults; all of them
            are kept in ``config.json``.
        matmul_precision: of the factors of matrix products, where an accelerator has
            a choice: float32, tensorfloat32 or bfloat16. JAX's own default on a GPU
            is tensorfloat32.
        debug: as in ``fit``.
        progress: show a progress bar.
        log: tensorboard or wandb, to log the metrics there too.

    Returns:
        What ``result.json`` holds.

    Raises:
        ModuleNotFoundError: if what ``log`` needs is not installed.
        ValueError: if a number is out of range, if the directory belongs to another
            recipe or other settings, or if it holds files that are no run.
        FloatingPointError, Interrupted, checkify.JaxRuntimeError: as in ``fit``.
    """
    num_updates = recipe.num_updates if num_updates is None else num_updates
    checks.positive_int("num_updates", num_updates)
    checks.one_of("matmul_precision", matmul_precision, PRECISIONS)
    defaults = inspect.signature(recipe.build).parameters
    arguments = {k: p.default for k, p in defaults.items()} | (arguments or {})
    warn_of_decay(arguments, num_updates)
    experiment = recipe.build(**arguments)
    key_fit, key_test = _keys(seed)
    config = {
        "recipe": recipe.name,
        "seed": seed,
        "arguments": plain(arguments),
        "matmul_precision": matmul_precision,
    }
    logger = None if log is None else loggers.of_run(log, directory, config)
    run_directory.claim(directory, config)
    with jax.default_matmul_precision(matmul_precision):
        state = fit(
            key_fit,
            over_all_devices(experiment.learner),
            num_updates,
            directory=directory,
            debug=debug,
            progress=progress,
            callback=logger,
        )
    return _finish(recipe, directory, config, experiment, state, key_test)


def evaluate(directory: Path, *, num_test_tasks: int | None = None) -> Result:
    """Evaluate the newest checkpoint of a run on held-out tasks again, and plot it.

    Args:
        directory: of the run.
        num_test_tasks: held-out tasks; as many as the recipe says by default.

    Raises:
        ValueError: if the directory holds no run, or no checkpoint that can be read.
    """
    recipe, config, experiment, state = restore(directory)
    _, key_test = _keys(config["seed"])
    if num_test_tasks is not None:
        recipe = recipe._replace(
            num_test_tasks=checks.positive_int("num_test_tasks", num_test_tasks)
        )
    return _finish(recipe, directory, config, experiment, state, key_test)


def restore(
    directory: Path,
) -> tuple[Recipe, dict[str, Any], Experiment, MetaState]:
    """The newest checkpoint of a run, and what made it.

    Returns:
        The recipe, the settings (``config.json``), what the recipe built, the state.

    Raises:
        ValueError: if the directory holds no run, or no checkpoint that can be read.
    """
    config = run_directory.config_of(directory)
    recipe = recipes.get(config["recipe"])
    unknown = set(config["arguments"]) - set(inspect.signature(recipe.build).parameters)
    if unknown:
        raise ValueError(
            f"{directory / 'config.json'} is of another version of jaxmeta: here "
            f"{recipe.name} has no argument {', '.join(sorted(unknown))}"
        )
    experiment = recipe.build(**config["arguments"])
    key_fit, _ = _keys(config["seed"])
    like = {
        "state": experiment.learner.init(key_fit),
        "key": jax.random.key_data(key_fit),
    }
    with Checkpoints(directory / "checkpoints") as checkpoints:
        restored = checkpoints.restore_latest(like)
    if restored is None:
        raise ValueError(f"{directory} holds no checkpoint to evaluate yet")
    return recipe, config, experiment, restored["state"]


def load(directory: Path) -> plots.Run:
    """What the plots need of a run.

    Raises:
        ValueError: if the directory holds no finished run.
    """
    config = run_directory.config_of(directory)
    keys = ("adaptation_curve", "mode_adaptation_curve", "published", "optimum")
    result = run_directory.written(directory / "result.json", keys)
    rows = files.read_json_lines(directory / "metrics.jsonl")
    settings = {
        **config["arguments"],
        "matmul_precision": config["matmul_precision"],
        "num_updates": result.get("num_updates"),
    }
    return plots.Run(config["recipe"], rows, result, config["seed"], settings)


def warn_of_decay(arguments: dict[str, Any], num_updates: int) -> None:
    """Say so if a rate that falls does not fall over the whole run and no longer."""
    decay = arguments.get("decay_updates", num_updates)
    if decay != num_updates:
        logging.getLogger(__name__).warning(
            "num_updates is %d, but the rate of learning falls over decay_updates=%d: "
            "it %s",
            num_updates,
            decay,
            "is least after that" if decay < num_updates else "does not get that far",
        )


def _finish(
    recipe: Recipe,
    directory: Path,
    config: dict[str, Any],
    experiment: Experiment,
    state: MetaState,
    key_test: Key,
) -> Result:
    published, optimum = recipe.published, recipe.optimum
    if experiment.published is not None:  # of the arguments given, not of the defaults
        published, optimum = experiment.published, experiment.optimum
    rows = files.read_json_lines(directory / "metrics.jsonl")
    last = rows[-1] if rows else {"wall_seconds": 0.0, "environment_steps": 0}
    result = {
        "recipe": recipe.name,
        "seed": config["seed"],
        "config": config["arguments"],
        "matmul_precision": config["matmul_precision"],
        "versions": versions(),
        "device": device(),
        "num_updates": int(state.step),
        "wall_seconds": last["wall_seconds"],
        "compile_seconds": sum(row["compile_seconds"] for row in rows),
        "environment_steps": last["environment_steps"],
        **_curves(recipe, config, experiment, state, key_test),
        "unit": _unit(experiment),
        "traces": list(experiment.traces),
        "published": {label: list(row) for label, row in published.items()},
        "optimum": None if optimum is None else list(optimum),
    }
    files.write_json(directory / "result.json", result)
    plots.save(plots.picture([load(directory)]), directory / "curve.png")
    return result


def _unit(experiment: Experiment) -> str:
    """What lies between two columns of the curves."""
    if experiment.unit is not None:
        return experiment.unit
    acts_anew = experiment.evaluate is None and experiment.test_learner.num_updates
    return "inner update" if acts_anew else "episode"


def _curves(
    recipe: Recipe,
    config: dict[str, Any],
    experiment: Experiment,
    state: MetaState,
    key: Key,
) -> dict[str, Any]:
    """The adaptation curves with their intervals over held-out tasks."""
    key_curve, key_interval = jax.random.split(key)
    with jax.default_matmul_precision(config["matmul_precision"]):
        if experiment.evaluate is None:
            sampled, mode = adaptation_curves(
                key_curve,
                experiment.test_learner,
                state.meta_params,
                experiment.test_tasks,
                num_tasks=recipe.num_test_tasks,
            )
        else:
            sampled, mode = experiment.evaluate(key_curve, state, recipe.num_test_tasks)
    curves = {}
    for name, returns in (
        ("adaptation_curve", sampled),
        ("mode_adaptation_curve", mode),
    ):
        interval = bootstrap_interval(key_interval, returns)
        curves[name] = {end: v.tolist() for end, v in interval._asdict().items()}
    return {"num_test_tasks": recipe.num_test_tasks, **curves}


def _keys(seed: int) -> tuple[Key, Key]:
    """The keys of training and of the test."""
    key_fit, key_test = jax.random.split(key_of(seed))
    return key_fit, key_test


def key_of(seed: int) -> Key:
    """The key of everything random.

    Raises:
        ValueError: if ``seed`` is out of range.
    """
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed must lie in [0, 2**32), got {seed}")
    return jax.random.key(seed)


def plain(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments as JSON gives them back."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in arguments.items()}


def versions() -> dict[str, str]:
    """Versions of what a number depends on."""
    packages = ("jax", "jaxlib", "flax", "optax", "gymnax")
    return {
        "python": platform.python_version(),
        "jaxmeta": jaxmeta.__version__,
        **{name: importlib.metadata.version(name) for name in packages},
    }


def device() -> str:
    """The device computations run on, in words."""
    kind = jax.devices()[0].device_kind
    if jax.default_backend() != "cpu":
        return f"{jax.device_count()} x {kind}"
    affinity = getattr(os, "sched_getaffinity", None)  # not on every system
    cores = len(affinity(0)) if affinity else os.cpu_count()
    count = jax.device_count()
    spread = f" as {count} devices" if count > 1 else ""
    plural = "" if cores == 1 else "s"
    return f"{cores} core{plural}{spread}, {platform.machine()}"
