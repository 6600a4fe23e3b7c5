"""The cache of compiled programs that the command line keeps."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from jaxmeta import compilation
from jaxmeta.compilation import cache_on_disk


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home without a cache, for a process that has chosen none."""
    before = jax.config.jax_compilation_cache_dir
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    jax.config.update("jax_compilation_cache_dir", None)
    yield tmp_path
    jax.config.update("jax_compilation_cache_dir", before)


def test_programs_are_kept_in_the_users_cache(home):
    directory = cache_on_disk()
    assert directory is not None
    assert directory.is_dir()
    assert directory.parent == home / "jaxmeta"
    assert jax.config.jax_compilation_cache_dir == str(directory)


def test_a_choice_of_the_user_stands(home):
    jax.config.update("jax_compilation_cache_dir", str(home / "mine"))
    assert cache_on_disk() == home / "mine"
    assert list(home.iterdir()) == []
    jax.config.update("jax_compilation_cache_dir", None)
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        assert cache_on_disk() is None
    finally:
        jax.config.update("jax_enable_compilation_cache", True)


def test_a_home_that_cannot_be_written_is_no_cache(home):
    (home / "jaxmeta").write_text("not a folder")
    assert cache_on_disk() is None
    assert jax.config.jax_compilation_cache_dir is None


def test_without_a_home_there_is_no_cache(home, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")

    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    assert cache_on_disk() is None


def test_what_was_used_longest_ago_makes_room(home, monkeypatch):
    monkeypatch.setattr(compilation, "_MAX_BYTES", 25)
    for age, name in enumerate(["new", "old", "oldest"]):
        path = home / "jaxmeta" / f"host-{age % 2}" / f"{name}-cache"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(10))
        os.utime(path, (1e9 - age, 1e9 - age))
    cache_on_disk()
    kept = [path.name for path in (home / "jaxmeta").rglob("*-cache")]
    assert sorted(kept) == ["new-cache", "old-cache"]


PROGRAM = """
import jax, jax.numpy as jnp, jax.monitoring
from jaxmeta.compilation import cache_on_disk
print(cache_on_disk())
events = []
jax.monitoring.register_event_listener(lambda name, **_: events.append(name))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
print(jax.jit(lambda x: jnp.sin(x) @ x)(jnp.ones((3, 3)))[0, 0])
print(events.count("/jax/compilation_cache/cache_hits"))
"""


@pytest.mark.slow
def test_another_process_finds_what_was_compiled(home, monkeypatch):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")

    def run():
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
        )
        return done.stdout.splitlines()

    directory, value, hits = run()
    assert Path(directory).parent == home / "jaxmeta"
    assert hits == "0"
    *same, hits = run()
    assert same == [directory, value]
    assert int(hits) > 0
