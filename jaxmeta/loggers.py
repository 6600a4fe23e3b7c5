"""Loggers: where the metrics of a run go, as it makes them.

``fit`` and ``jaxmeta train`` take one. The packages that write are extras, imported
only when asked for.
"""

import importlib
import os
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, cast

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxmeta import checks, files
from jaxmeta.record import Metrics

_NAMES = ("tensorboard", "wandb")


class Logger(NamedTuple):
    """Where metrics go.

    Attributes:
        start: called with the number of updates that are made already, before the
            first row; rows of later updates that were written before will come again.
        write: called with each row of metrics, as ``metrics.jsonl`` has it.
        close: called at the end of ``fit``, however it ends.
    """

    start: Callable[[int], None]
    write: Callable[[Metrics], None]
    close: Callable[[], None]


def tensorboard(directory: str | Path) -> Logger:
    """Write TensorBoard's event files, without TensorFlow.

    A number of a row is a scalar of its name, each of several one of its place
    (``returns/0`` before adaptation); the step is that of meta-updates. When a run goes
    on from a checkpoint, TensorBoard hides what was written of later updates, so that
    each is shown once.

    Args:
        directory: for ``tensorboard --logdir``; made if missing.

    Raises:
        ModuleNotFoundError: if the extra ``tensorboard`` is not installed.
    """
    module = _imported("tensorboardX", "tensorboard")
    writers = []

    def start(step: int) -> None:
        # Files are read in the order of their names, which start with whole seconds.
        suffix = f".{time.time_ns()}"
        writer = module.SummaryWriter(
            str(directory), purge_step=step + 1, filename_suffix=suffix
        )
        writers.append(writer)

    def write(row: Metrics) -> None:
        for name, value in scalars(row).items():
            writers[-1].add_scalar(name, value, row["step"])
        writers[-1].flush()

    def close() -> None:
        while writers:
            writers.pop().close()

    return Logger(start, write, close)


def wandb(
    project: str,
    *,
    directory: str | Path | None = None,
    name: str | None = None,
    config: Mapping[str, Any] | None = None,
    **options: Any,
) -> Logger:
    """Log to Weights & Biases.

    The names are those of :func:`tensorboard`. ``WANDB_MODE=offline`` in the
    environment keeps all on this disk, for ``wandb sync``.

    Args:
        project: of Weights & Biases.
        directory: that of the run; a file ``wandb.json`` in it says which run of
            Weights & Biases it is, and the last update logged. When ``fit`` goes on,
            so does that run, and no update is logged twice. Without a directory each
            call is a run of its own.
        name: shown for the run.
        config: the settings of the run.
        **options: more arguments of ``wandb.init``, such as ``entity`` or ``tags``.

    Raises:
        ModuleNotFoundError: if the extra ``wandb`` is not installed.
    """
    module = _imported("wandb", "wandb")
    path = None if directory is None else Path(directory) / "wandb.json"
    runs = []
    kept = {"id": secrets.token_hex(8), "step": 0}

    def start(step: int) -> None:
        del step  # those that were logged are known
        if path is not None and path.exists():
            kept.update(_kept(path))
        elif path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write_json(path, kept)
        run = module.init(
            project=project,
            id=kept["id"],
            name=name,
            config=dict(config or {}),
            dir=None if directory is None else str(directory),
            resume="allow",
            **options,
        )
        runs.append(run)

    def write(row: Metrics) -> None:
        if row["step"] <= kept["step"]:
            return
        runs[-1].log(scalars(row), step=row["step"])
        kept["step"] = row["step"]
        if path is not None:
            files.write_json(path, kept)

    def close() -> None:
        while runs:
            runs.pop().finish()

    return Logger(start, write, close)


def of_run(name: str, directory: Path, config: Mapping[str, Any]) -> Logger:
    """The logger of a run of a recipe, which keeps its files in the run's directory.

    Args:
        name: tensorboard or wandb; the project of Weights & Biases is ``WANDB_PROJECT``
            of the environment, or jaxmeta.
        directory: of the run.
        config: what its ``config.json`` holds.

    Raises:
        ModuleNotFoundError: if the extra of that name is not installed.
        ValueError: if the name is another.
    """
    checks.one_of("log", name, _NAMES)
    if name == "tensorboard":
        return tensorboard(directory / "tensorboard")
    return wandb(
        os.environ.get("WANDB_PROJECT", "jaxmeta"),
        directory=directory,
        name=f"{config['recipe']}, seed {config['seed']}",
        config=config,
    )


def scalars(row: Metrics) -> dict[str, float]:
    """The numbers of a row of metrics but its step; what is None is left out."""
    found: dict[str, float] = {}

    def add(name: str, value: Any) -> None:
        if isinstance(value, list):
            for i, part in enumerate(value):
                add(f"{name}/{i}", part)
        elif value is not None:
            found[name] = float(value)

    for name, value in row.items():
        if name != "step":
            add(name, value)
    return found


class Feed:
    """A logger as ``fit`` feeds it.

    Of several processes that train together the first one logs, and all learn of its
    problems.

    Args:
        callback: a logger, a function of a row, or None.

    Raises:
        TypeError: if it is something else.
    """

    def __init__(self, callback: Logger | Callable[[Metrics], None] | None):
        self._is_there = callback is not None
        self._logger = _as_logger(callback) if jax.process_index() == 0 else None

    def __enter__(self) -> "Feed":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._logger is not None:
            self._logger.close()

    def start(self, step: int) -> None:
        """Say how many updates are made already."""
        problem = self._attempt(lambda logger: logger.start(step))
        if problem is not None:
            raise problem

    def write(self, row: Metrics) -> Exception | None:
        """Log a row, and return what went wrong: the state is to be saved first."""
        return self._attempt(lambda logger: logger.write(row))

    def _attempt(self, call: Callable[[Logger], None]) -> Exception | None:
        problem = None
        try:
            if self._logger is not None:
                call(self._logger)
        except Exception as error:
            problem = error
        if self._is_there and jax.process_count() > 1:
            failed = multihost_utils.broadcast_one_to_all(np.int32(problem is not None))
            if failed and problem is None:
                return RuntimeError("the logger of the first process failed")
        return problem


def _as_logger(callback: Any) -> Logger | None:
    if callback is None or isinstance(callback, Logger):
        return callback
    if not callable(callback):
        raise TypeError(
            "callback must be a function of a row of metrics, or one of "
            f"jaxmeta.loggers, got {callback!r}"
        )
    return Logger(lambda step: None, cast(Any, callback), lambda: None)


def _imported(name: str, extra: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:  # it is there, and something that it needs is not
            raise
        raise ModuleNotFoundError(
            f'{extra} needs the package {name}: pip install "jaxmeta[{extra}]", in '
            f'a checkout pip install ".[{extra}]"',
            name=name,
        ) from None


def _kept(path: Path) -> dict[str, Any]:
    """Which run of Weights & Biases a directory is, and the last update logged."""
    found = files.read_json(path)
    if not isinstance(found, dict) or set(found) != {"id", "step"}:
        raise ValueError(f"directory: {path} was not written by jaxmeta")
    return found
