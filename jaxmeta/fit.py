"""The host loop of meta-training: progress, metrics, checkpoints, resume."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from jaxmeta import checks, files
from jaxmeta.checkpoint import Checkpoints
from jaxmeta.learner import train
from jaxmeta.types import Info, Key, MetaLearner, MetaState

Metrics = dict[str, Any]

_INIT = np.uint32(2**32 - 1)  # no update has this number


def fit(
    key: Key,
    learner: MetaLearner,
    num_updates: int,
    *,
    directory: str | Path | None = None,
    chunk_size: int = 10,
    checkpoint_every: int = 50,
    progress: bool = True,
) -> MetaState:
    """Meta-train: jitted chunks of updates, and between them what a host must do.

    With a directory, ``metrics.jsonl`` gets a line per chunk (means over its updates,
    the cumulative ``environment_steps`` and ``wall_seconds``, the rates) and
    ``checkpoints/`` the state. The key of update ``i`` is ``fold_in(key, i)``, so a run
    that was killed and is called again with the same learner ends in the same state to
    the bit, that of ``train`` from ``learner.init(fold_in(key, 2**32 - 1))``. That the
    learner is the same is your promise: only keys and shapes are checked.
    ``wall_seconds`` counts training and its compilation.

    Args:
        key: of the whole run; the same one must be given to continue it.
        learner: the meta-learner.
        num_updates: meta-updates in all, those of earlier calls included.
        directory: where to keep metrics and checkpoints; nothing is kept without one.
        chunk_size: updates per compiled call.
        checkpoint_every: updates between checkpoints, rounded up to whole chunks.
        progress: show a progress bar.

    Returns:
        The state after ``num_updates``.

    Raises:
        TypeError: if ``key`` is not a typed key, or a number is not an integer.
        ValueError: if a number is below one, if the directory's run used another key or
            already went further, or if none of its checkpoints can be read.
    """
    checks.typed_key(key)
    num_updates = checks.positive_int("num_updates", num_updates)
    chunk_size = checks.positive_int("chunk_size", chunk_size)
    checkpoint_every = checks.positive_int("checkpoint_every", checkpoint_every)
    if directory is None:
        return _run(key, learner, num_updates, chunk_size, None, progress)
    with _Record(Path(directory), key, checkpoint_every) as record:
        return _run(key, learner, num_updates, chunk_size, record, progress)


def _run(
    key: Key,
    learner: MetaLearner,
    num_updates: int,
    chunk_size: int,
    record: "_Record | None",
    progress: bool,
) -> MetaState:
    state = learner.init(jax.random.fold_in(key, _INIT))
    if record is not None:
        state = record.restore(state)
    step = int(state.step)
    if step > num_updates:
        raise ValueError(
            f"num_updates: the run in this directory has made {step} updates already, "
            f"more than the {num_updates} asked for"
        )
    chunk = _CompiledTrain(key, learner)
    with _progress_bar(progress) as bar:
        row = bar.add_task("compiling", total=num_updates, completed=step)
        while step < num_updates:
            # Chunks end at multiples of their size, wherever the run was resumed.
            size = min(chunk_size - step % chunk_size, num_updates - step)
            compile_seconds = chunk.prepare(state, size)
            started = time.perf_counter()
            state, info = jax.block_until_ready(chunk(state, size))
            seconds = time.perf_counter() - started
            step += size
            metrics = _summarize(info, step, size, seconds, compile_seconds)
            if record is not None:
                record.write(metrics, state, is_last=step == num_updates)
            bar.update(row, completed=step, description=_describe(metrics))
    return state


class _CompiledTrain:
    """``train`` for some number of updates, compiled once per number."""

    def __init__(self, key: Key, learner: MetaLearner):
        self._key, self._learner = key, learner
        self._compiled: dict[int, Callable[[Key, MetaState], Any]] = {}

    def prepare(self, state: MetaState, size: int) -> float:
        """Compile if need be, and say how long it took."""
        if size in self._compiled:
            return 0.0
        started = time.perf_counter()
        function = jax.jit(lambda key, s: train(key, self._learner, s, size))
        self._compiled[size] = function.lower(self._key, state).compile()
        return time.perf_counter() - started

    def __call__(self, state: MetaState, size: int) -> tuple[MetaState, Info]:
        return self._compiled[size](self._key, state)


class _Record:
    """What a run keeps in its directory."""

    def __init__(self, directory: Path, key: Key, checkpoint_every: int):
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / "metrics.jsonl"
        self._key_data = np.asarray(jax.random.key_data(key))
        self._every = checkpoint_every
        self._checkpoints = Checkpoints(directory / "checkpoints")
        self._steps_before = self._seconds_before = 0
        self._saved = 0

    def __enter__(self) -> "_Record":
        return self

    def __exit__(self, *exception: object) -> None:
        self._checkpoints.close()

    def restore(self, state: MetaState) -> MetaState:
        """The state to continue from; metrics of updates after it are dropped."""
        like = {"state": state, "key": self._key_data}
        restored = self._checkpoints.restore_latest(like)
        if restored is not None:
            if not np.array_equal(restored["key"], self._key_data):
                raise ValueError(
                    f"directory: {self._path.parent} holds a run of another key; give "
                    "that key to continue it, or another directory"
                )
            state = restored["state"]
        self._saved = int(state.step)
        rows = files.read_json_lines(self._path)
        if not all(isinstance(row.get("step"), int) for row in rows):
            raise ValueError(
                f"directory: {self._path} holds no metrics of jaxmeta; give another "
                "directory"
            )
        kept = [row for row in rows if row["step"] <= self._saved]
        files.write_text(self._path, "".join(json.dumps(row) + "\n" for row in kept))
        if kept:
            self._steps_before = kept[-1]["environment_steps"]
            self._seconds_before = kept[-1]["wall_seconds"]
        return state

    def write(self, metrics: Metrics, state: MetaState, *, is_last: bool) -> None:
        """Append a line of metrics; save the state if it is time to."""
        self._steps_before += metrics["environment_steps"]
        self._seconds_before += metrics["wall_seconds"]
        metrics = {
            **metrics,
            "environment_steps": self._steps_before,
            "wall_seconds": self._seconds_before,
        }
        with self._path.open("a") as file:
            file.write(json.dumps(metrics) + "\n")
        step = metrics["step"]
        if is_last or step - self._saved >= self._every:
            self._checkpoints.save(step, {"state": state, "key": self._key_data})
            self._saved = step


def _summarize(
    info: Info, step: int, size: int, seconds: float, compile_seconds: float
) -> Metrics:
    """Means over the updates of a chunk, as plain numbers and lists."""
    info = jax.device_get(info)
    environment_steps = int(np.sum(info.pop("environment_steps"), dtype=np.int64))
    means = {name: np.mean(value, axis=0).tolist() for name, value in info.items()}
    return {
        "step": step,
        "environment_steps": environment_steps,
        "wall_seconds": seconds + compile_seconds,
        "compile_seconds": compile_seconds,
        "updates_per_second": size / seconds,
        "environment_steps_per_second": environment_steps / seconds,
        **means,
    }


def _describe(metrics: Metrics) -> str:
    before, after = metrics["returns"][0], metrics["returns"][-1]
    return (
        f"return {before:.2f} -> {after:.2f}, "
        f"{metrics['updates_per_second']:.1f} updates/s, "
        f"{_short(metrics['environment_steps_per_second'])} steps/s"
    )


def _short(value: float) -> str:
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.1f}{suffix}"
    return f"{value:.0f}"


def _progress_bar(enabled: bool) -> Progress:
    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
        disable=not enabled,
    )
