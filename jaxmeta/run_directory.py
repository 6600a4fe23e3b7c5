"""The settings a directory is of: a run's claim on it, kept in ``config.json``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxmeta import files

_KEYS = ("recipe", "seed", "arguments")


def claim(directory: Path, config: dict[str, Any]) -> None:
    """Make a directory this run's, or check that it is.

    Raises:
        ValueError: if it is another's, or holds files that are no run.
    """
    path = directory / "config.json"
    if path.exists():
        found = config_of(directory)
        if found != config:
            raise ValueError(
                f"output: {directory} belongs to another run, {found}; this one is "
                f"{config}. Give another directory"
            )
        return
    if directory.exists() and any(_is_foreign(path) for path in directory.iterdir()):
        raise ValueError(
            f"output: {directory} is not empty and holds no run; give a new directory"
        )
    directory.mkdir(parents=True, exist_ok=True)
    files.write_json(path, config)


def config_of(directory: Path) -> dict[str, Any]:
    """The settings of a run.

    Raises:
        ValueError: if the directory holds none.
    """
    path = directory / "config.json"
    if not path.exists():
        raise ValueError(f"{directory} holds no run: there is no config.json in it")
    # Runs of before there was a choice; on a CPU there is none.
    return {"matmul_precision": "float32", **written(path, _KEYS)}


def written(path: Path, keys: Sequence[str]) -> dict[str, Any]:
    """Read a JSON file that a run wrote, and say so if it is none.

    Raises:
        ValueError: if it is not there, or lacks one of the keys.
    """
    if not path.exists():
        raise ValueError(
            f"{path.parent} holds no {path.stem} yet: {path} does not exist; train the "
            "run to its end, or evaluate it"
        )
    found = files.read_json(path)
    if not isinstance(found, dict) or not set(keys) <= set(found):
        raise ValueError(f"{path} was not written by a run: it lacks one of {keys}")
    return found


def _is_foreign(path: Path) -> bool:
    """Whether a file is none that a kill during the first write left behind."""
    return not (path.name.startswith(".config.json.") and path.suffix == ".tmp")
