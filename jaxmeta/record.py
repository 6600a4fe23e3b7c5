"""What a run of ``fit`` keeps: a line of metrics per chunk, and checkpoints."""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
from filelock import FileLock, Timeout
from jax.experimental import multihost_utils

from jaxmeta import files
from jaxmeta.checkpoint import Checkpoints
from jaxmeta.types import Key, MetaState

Metrics = dict[str, Any]


class Record:
    """What a run keeps in its directory, which is its alone while it is open.

    Several processes that train together (``jax.distributed``) keep one, on a disk that
    they share.

    Args:
        directory: created if missing.
        key: of the run.
        checkpoint_every: updates between checkpoints.

    Attributes:
        last: the row of metrics of the last updates that are kept; empty at first.

    Raises:
        ValueError: if another process that still runs has it open.
    """

    def __init__(self, directory: Path, key: Key, checkpoint_every: int):
        directory.mkdir(parents=True, exist_ok=True)
        # Of several processes that train together the first one keeps the record;
        # all take part in checkpoints.
        self._writes = jax.process_index() == 0
        self._lock = FileLock(directory / ".lock")
        if not self._acquired():
            raise ValueError(
                f"directory: another process is training in {directory}; wait until it "
                "ends, or give another directory"
            )
        self.directory = directory
        self._path = directory / "metrics.jsonl"
        self._key_data = np.asarray(jax.random.key_data(key))
        self._every = checkpoint_every
        try:
            self._checkpoints = Checkpoints(directory / "checkpoints")
        except BaseException:
            self._lock.release()
            raise
        self._saved = 0
        self.last: Metrics = {}

    def _acquired(self) -> bool:
        """Whether the directory is ours, as the process that writes found."""
        found = True
        if self._writes:
            try:
                self._lock.acquire(blocking=False)
            except Timeout:
                found = False
        if jax.process_count() > 1:
            found = bool(multihost_utils.broadcast_one_to_all(np.int32(found)))
        return found

    def __enter__(self) -> "Record":
        return self

    def __exit__(self, *exception: object) -> None:
        self._checkpoints.close()
        self._lock.release()

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
        if not all(
            isinstance(row, dict) and isinstance(row.get("step"), int) for row in rows
        ):
            raise ValueError(
                f"directory: {self._path} holds no metrics of jaxmeta; give another "
                "directory"
            )
        kept = [row for row in rows if row["step"] <= self._saved]
        if self._writes:
            lines = [json.dumps(row) + "\n" for row in kept]
            files.write_text(self._path, "".join(lines))
        self.last = kept[-1] if kept else {}
        return state

    def write(self, metrics: Metrics, state: MetaState, *, is_last: bool) -> None:
        """Append a line of metrics; save the state if it is time to."""
        if self._writes:
            with self._path.open("a") as file:
                file.write(json.dumps(metrics) + "\n")
        if is_last or metrics["step"] - self._saved >= self._every:
            self.save(state)

    def save(self, state: MetaState) -> None:
        """Save the state, if it is not saved yet."""
        step = int(state.step)
        if step > self._saved:
            self._checkpoints.save(step, {"state": state, "key": self._key_data})
            self._saved = step
