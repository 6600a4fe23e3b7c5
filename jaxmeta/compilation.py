"""What is compiled once need not be compiled again: a cache on disk."""

import os
import platform
from pathlib import Path
from typing import Any

import jax

# Of the cache of all hosts, when a process starts.
_MAX_BYTES = 2**30


def cache_on_disk() -> Path | None:
    """Keep compiled programs on disk, for processes to come; the command line does so.

    They are kept in ``$XDG_CACHE_HOME/jaxmeta`` (``~/.cache/jaxmeta``), apart for every
    host, as programs for one CPU may fail on another that shares the home directory.
    Whoever has chosen a directory already (``JAX_COMPILATION_CACHE_DIR``), or no cache
    (``JAX_ENABLE_COMPILATION_CACHE=0``), is left alone. A directory that cannot be
    written is no cache.

    Returns:
        The directory in use, if there is one.
    """
    config: Any = jax.config
    if not config.jax_enable_compilation_cache:
        return None
    if config.jax_compilation_cache_dir is not None:
        return Path(config.jax_compilation_cache_dir)
    try:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        directory = Path(home) / "jaxmeta" / (platform.node() or "host")
        directory.mkdir(parents=True, exist_ok=True)
        _make_room(directory.parent)
    except (OSError, RuntimeError):  # the latter without a home
        return None
    if not os.access(directory, os.W_OK):
        return None
    config.update("jax_compilation_cache_dir", str(directory))
    return directory


def _make_room(cache: Path) -> None:
    """Delete what was used longest ago, of all hosts, beyond the size of the cache.

    JAX can do so itself, but where a process was killed while it did, it keeps nothing
    any more.
    """
    found = [(path, path.stat()) for path in cache.glob("*/*-cache")]
    total = sum(stat.st_size for _, stat in found)
    for path, stat in sorted(
        found, key=lambda row: max(row[1].st_mtime, row[1].st_atime)
    ):
        if total <= _MAX_BYTES:
            return
        path.unlink(missing_ok=True)
        total -= stat.st_size
