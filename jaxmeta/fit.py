"""The host loop of meta-training: progress, metrics, checkpoints, resume."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import checkify
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from jaxmeta import checks, trees
from jaxmeta.guard import SKIPPED, Watch, skip_nonfinite
from jaxmeta.interruptions import Interruptions
from jaxmeta.learner import train
from jaxmeta.loggers import Feed, Logger
from jaxmeta.record import Metrics, Record
from jaxmeta.types import Info, Key, MetaLearner, MetaState

_INIT = np.uint32(2**32 - 1)  # no update has this number


def fit(
    key: Key,
    learner: MetaLearner,
    num_updates: int,
    *,
    directory: str | Path | None = None,
    chunk_size: int = 10,
    checkpoint_every: int = 50,
    max_skipped: int = 10,
    debug: bool = False,
    progress: bool = True,
    callback: Logger | Callable[[Metrics], None] | None = None,
) -> MetaState:
    """Meta-train: jitted chunks of updates, and between them what a host must do.

    With a directory, ``metrics.jsonl`` gets a line per chunk (means over its updates,
    the cumulative ``environment_steps`` and ``wall_seconds``, the rates) and
    ``checkpoints/`` the state. The key of update ``i`` is ``fold_in(key, i)``, so a run
    that was killed and is called again with the same learner ends in the same state to
    the bit, that of ``train`` from ``learner.init(fold_in(key, 2**32 - 1))``. That the
    learner is the same is your promise: only keys and shapes are checked.
    ``wall_seconds`` counts training and its compilation.

    Updates that would not be finite are skipped (see ``skip_nonfinite``), counted as
    ``skipped_updates``, and left out of the means. Ctrl-C and SIGTERM let a run with a
    directory finish its chunk and save the state before it stops.

    Args:
        key: of the whole run; the same one must be given to continue it.
        learner: the meta-learner.
        num_updates: meta-updates in all, those of earlier calls included.
        directory: where to keep metrics and checkpoints; nothing is kept without one.
        chunk_size: updates per compiled call.
        checkpoint_every: updates between checkpoints, rounded up to whole chunks.
        max_skipped: after so many updates in a row that would not be finite, stop.
        debug: check every operation of the compiled updates, slowly, and stop at the
            first that makes a NaN or divides by zero.
        progress: show a progress bar.
        callback: called with each row of metrics, or a logger, such as
            ``jm.loggers.tensorboard(directory)``. A row may come again when a run goes
            on from a checkpoint. Of several processes the first one calls it.

    Returns:
        The state after ``num_updates``.

    Raises:
        TypeError: if ``key`` is not a typed key, or a number is not an integer.
        ValueError: if a number is below one, if the directory's run used another key or
            already went further, if none of its checkpoints can be read, if another
            process is training in it, or if the meta-params it starts from are not
            finite.
        FloatingPointError: if ``max_skipped`` updates in a row would not be finite;
            with a directory, the state before them is saved.
        Interrupted: a KeyboardInterrupt, if a signal asked to stop; the state is saved.
        checkify.JaxRuntimeError: what ``debug`` finds.
        Exception: what ``callback`` raises; with a directory, the state is saved.
    """
    checks.typed_key(key)
    num_updates = checks.positive_int("num_updates", num_updates)
    chunk_size = checks.positive_int("chunk_size", chunk_size)
    checkpoint_every = checks.positive_int("checkpoint_every", checkpoint_every)
    watch = Watch(key, learner, checks.positive_int("max_skipped", max_skipped))
    chunk = _CompiledTrain(key, skip_nonfinite(learner), debug)
    run = partial(_run, watch, chunk, num_updates, chunk_size, progress)
    with Feed(callback) as feed:
        if directory is None:
            return run(feed, None, None)
        with (
            Record(Path(directory), key, checkpoint_every) as record,
            Interruptions() as asked,
        ):
            return run(feed, record, asked)


def _run(
    watch: Watch,
    chunk: "_CompiledTrain",
    num_updates: int,
    chunk_size: int,
    progress: bool,
    feed: Feed,
    record: Record | None,
    interruptions: Interruptions | None,
) -> MetaState:
    """From the last state that was saved to the end."""
    state = watch.learner.init(jax.random.fold_in(watch.key, _INIT))
    metrics: Metrics = {}
    if record is not None:
        state = record.restore(state)
        metrics = record.last
    _check_finite(state)
    # Every chunk gives its state's memory to the next; a new one may share leaves.
    state = jax.tree.map(jnp.copy, state)
    step = int(state.step)
    if step > num_updates:
        raise ValueError(
            f"num_updates: the run in this directory has made {step} updates already, "
            f"more than the {num_updates} asked for"
        )
    if step < num_updates:
        feed.start(step)
    with _progress_bar(progress and jax.process_index() == 0) as bar:
        row = bar.add_task("compiling", total=num_updates, completed=step)
        while step < num_updates:
            # Chunks end at multiples of their size, wherever the run was resumed.
            size = min(chunk_size - step % chunk_size, num_updates - step)
            compile_seconds = chunk.prepare(state, size)
            started = time.perf_counter()
            state, info = jax.block_until_ready(chunk(state, size))
            seconds = time.perf_counter() - started
            step += size
            metrics = _summarize(info, step, size, seconds, compile_seconds, metrics)
            if record is not None:
                record.write(metrics, state, is_last=step == num_updates)
            bar.update(row, completed=step, description=_describe(metrics))
            problem = feed.write(metrics)
            stop = watch.problem(state, np.asarray(info[SKIPPED])) or problem
            if stop is None and interruptions is not None:
                stop = interruptions.stop(step, num_updates)
            if stop is not None:
                if record is not None:
                    record.save(state)
                raise stop
    return state


def _check_finite(state: MetaState) -> None:
    """Check what training starts from; the guard counts only what goes bad later."""
    names = [
        path
        for path, leaf in zip(
            trees.paths(state.meta_params),
            jax.tree.leaves(state.meta_params),
            strict=True,
        )
        if jnp.issubdtype(leaf.dtype, jnp.floating) and not jnp.isfinite(leaf).all()
    ]
    if names:
        raise ValueError(
            f"learner: of the meta-params it starts from, {', '.join(names[:8])} "
            f"{'is' if len(names) == 1 else 'are'} not finite"
        )


# Checks of indices fail on some gathers (jax 0.10.2), so these are of floats.
_FAULTS = checkify.float_checks


class _CompiledTrain:
    """``train`` for some number of updates, compiled once per number."""

    def __init__(self, key: Key, learner: MetaLearner, debug: bool):
        self._key, self._learner, self._debug = key, learner, debug
        self._compiled: dict[int, Callable[..., Any]] = {}

    def prepare(self, state: MetaState, size: int) -> float:
        """Compile if need be, and say how long it took."""
        if size in self._compiled:
            return 0.0
        started = time.perf_counter()

        def function(key: Key, state: MetaState) -> Any:
            return train(key, self._learner, state, size)

        if self._debug:
            function = checkify.checkify(function, errors=_FAULTS)
        compiled = jax.jit(function, donate_argnums=1).lower(self._key, state)
        self._compiled[size] = compiled.compile()
        return time.perf_counter() - started

    def __call__(self, state: MetaState, size: int) -> tuple[MetaState, Info]:
        result = self._compiled[size](self._key, state)
        if self._debug:
            error, result = result
            error.throw()
        return result


def _summarize(
    info: Info,
    step: int,
    size: int,
    seconds: float,
    compile_seconds: float,
    before: Metrics,
) -> Metrics:
    """Means over the updates of a chunk that count, as plain numbers and lists.

    Environment steps and seconds are counted on from those ``before``.
    """
    info = jax.device_get(info)
    environment_steps = int(np.sum(info.pop("environment_steps"), dtype=np.int64))
    skipped = np.asarray(info.pop(SKIPPED)) > 0
    means = {
        name: None if skipped.all() else np.mean(value[~skipped], axis=0).tolist()
        for name, value in info.items()
    }
    return {
        "step": step,
        "environment_steps": environment_steps + before.get("environment_steps", 0),
        "wall_seconds": seconds + compile_seconds + before.get("wall_seconds", 0.0),
        "compile_seconds": compile_seconds,
        "updates_per_second": size / seconds,
        "environment_steps_per_second": environment_steps / seconds,
        SKIPPED: int(skipped.sum()),
        **means,
    }


def _describe(metrics: Metrics) -> str:
    if metrics["returns"] is None:
        return "not finite"
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
