"""Checkpoints of a training run, by orbax: written whole or not at all."""

import hashlib
import logging
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

logger = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoints ``DIRECTORY/<step>`` of one run.

    Args:
        directory: created if missing.
        max_to_keep: older checkpoints are deleted once there are more.

    Raises:
        NotADirectoryError: if there is a file in its place.
    """

    def __init__(self, directory: Path, *, max_to_keep: int = 3):
        self._directory = Path(directory).absolute()
        if self._directory.exists() and not self._directory.is_dir():
            raise NotADirectoryError(
                f"{self._directory} is a file, where checkpoints should be kept"
            )
        self._max_to_keep = max_to_keep
        self._manager = self._open()

    def _open(self) -> ocp.CheckpointManager:
        options = ocp.CheckpointManagerOptions(
            max_to_keep=self._max_to_keep, enable_async_checkpointing=False
        )
        # The handler is named so that it is not inferred from the newest checkpoint,
        # which may be the damaged one.
        handler = ocp.StandardCheckpointHandler()
        return ocp.CheckpointManager(
            self._directory, item_handlers=handler, options=options
        )

    def save(self, step: int, tree: Any) -> None:
        """Write a pytree of arrays as the checkpoint of ``step``, with its checksum."""
        kept = {"digest": _digest(tree), "tree": tree}
        self._manager.save(step, args=ocp.args.StandardSave(kept))

    def restore_latest(self, like: Any) -> Any | None:
        """The newest checkpoint that can be read, or None where there is none at all.

        One that cannot be read is reported, moved to ``DIRECTORY-damaged`` (never
        deleted), and the one before it is tried.

        Args:
            like: a pytree of the same structure, shapes and dtypes.

        Raises:
            ValueError: if there are checkpoints but none can be read.
        """
        steps = sorted(self._manager.all_steps(), reverse=True)
        kept = {"digest": np.zeros(32, np.uint8), "tree": like}
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, kept)
        damaged: list[tuple[int, Exception]] = []
        restored = None
        for step in steps:
            try:
                restored = self._restore(step, abstract)
                break
            except (PermissionError, MemoryError):
                raise  # these say nothing of the checkpoint
            except Exception as error:  # orbax raises many types for damaged files
                damaged.append((step, error))
        if damaged and restored is None:
            problems = "; ".join(
                f"{self._directory / str(step)}: {_first_line(error)}"
                for step, error in damaged
            )
            raise ValueError(
                "none of the checkpoints can be read as a state of this learner; they "
                f"are left as they are. {problems}"
            )
        if damaged:
            self._set_aside(damaged)
        return restored

    def _restore(self, step: int, abstract: Any) -> Any:
        # Orbax would cast what was saved to the dtypes asked for.
        saved: Any = self._manager.item_metadata(step)
        found = {leaf.name: _describe(leaf) for leaf in jax.tree.leaves(saved.tree)}
        for path, leaf in jax.tree_util.tree_leaves_with_path(abstract):
            name = jax.tree_util.keystr(path, simple=True, separator=".")
            given, wanted = found.get(name, "nothing"), _describe(leaf)
            if name == "digest" and given == "nothing":
                raise ValueError("it was written by an older version of jaxmeta")
            if given != wanted:
                name = name.removeprefix("tree.")
                raise ValueError(f"it holds {given} as {name}, expected is {wanted}")
        args = ocp.args.StandardRestore(abstract)
        restored: Any = self._manager.restore(step, args=args)
        if not np.array_equal(restored["digest"], _digest(restored["tree"])):
            raise ValueError("its values are not those that were saved")
        return restored["tree"]

    def _set_aside(self, damaged: list[tuple[int, Exception]]) -> None:
        self._manager.close()
        if jax.process_index() == 0:  # the others see the same disk
            self._move(damaged)
        if jax.process_count() > 1:
            multihost_utils.sync_global_devices("damaged checkpoints are set aside")
        self._manager = self._open()

    def _move(self, damaged: list[tuple[int, Exception]]) -> None:
        aside = self._directory.with_name(self._directory.name + "-damaged")
        aside.mkdir(exist_ok=True)
        for step, error in damaged:
            source = self._directory / str(step)
            target, copy = aside / str(step), 1
            while target.exists():
                target, copy = aside / f"{step}.{copy}", copy + 1
            source.rename(target)
            logger.warning(
                "checkpoint %s cannot be read (%s); it was moved to %s and an earlier "
                "one is used",
                source,
                _first_line(error),
                target,
            )

    def close(self) -> None:
        """Release what orbax holds."""
        self._manager.close()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _digest(tree: Any) -> np.ndarray:
    """SHA-256 of all values, ``[32]`` uint8."""
    found = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
            # Spread over processes, all of which come here.
            leaf = multihost_utils.process_allgather(leaf, tiled=True)
        found.update(np.ascontiguousarray(leaf).tobytes())
    return np.frombuffer(found.digest(), np.uint8)


def _describe(leaf: Any) -> str:
    return f"{jnp.dtype(leaf.dtype).name}{list(leaf.shape)}"


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:300]
