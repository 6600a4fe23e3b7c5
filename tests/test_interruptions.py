"""Runs that are asked to stop, or meet another run, or a disk that is full."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from killable import KEY_SEED, learner, run

from jaxmeta.fit import fit
from jaxmeta.interruptions import Interrupted, Interruptions
from jaxmeta.record import Record

KEY = jax.random.key(KEY_SEED)


def stopping_at(step, number):
    """A learner during whose chunk that holds update ``step`` a signal arrives."""
    one = learner()

    def kill(now):
        if now == step:
            os.kill(os.getpid(), number)

    def update(key, state):
        jax.debug.callback(kill, state.step)
        return one.update(key, state)

    return one._replace(update=update)


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM]
)
def test_a_signal_lets_the_chunk_end_and_saves_it(number, tmp_path, capfd):
    before = signal.getsignal(number)
    options = {"chunk_size": 3, "directory": tmp_path, "progress": False}
    with pytest.raises(Interrupted, match="after 6 of 20 meta-updates") as found:
        fit(KEY, stopping_at(4, number), 20, **options)
    assert found.value.number == number
    assert isinstance(found.value, KeyboardInterrupt)
    assert "once more stops at once" in capfd.readouterr().err
    assert signal.getsignal(number) is before
    state = run(tmp_path, 20)
    jax.tree.map(np.testing.assert_array_equal, state, run(tmp_path / "whole", 20))


def test_a_second_signal_stops_at_once():
    with Interruptions() as interruptions:
        assert interruptions.stop(0, 1) is None
        os.kill(os.getpid(), signal.SIGINT)
        assert isinstance(interruptions.stop(0, 1), Interrupted)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_run_that_ends_with_its_chunk_says_so_too(tmp_path):
    """Or what comes after it would go on as if nobody had asked."""
    options = {"chunk_size": 3, "directory": tmp_path, "progress": False}
    with pytest.raises(Interrupted, match="after 6 of 6 meta-updates"):
        fit(KEY, stopping_at(5, signal.SIGTERM), 6, **options)
    assert int(run(tmp_path, 6).step) == 6


def test_a_signal_that_comes_too_late_is_passed_on():
    with pytest.raises(KeyboardInterrupt), Interruptions():
        os.kill(os.getpid(), signal.SIGINT)


def test_a_lock_is_let_go_where_the_run_cannot_start(tmp_path, monkeypatch):
    def broken(*_):
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr("jaxmeta.record.Checkpoints", broken)
        with pytest.raises(OSError, match="no space left") as kept:
            run(tmp_path, 3)
    assert kept.tb is not None  # as a notebook keeps it
    assert int(run(tmp_path, 3).step) == 3


def test_two_runs_do_not_share_a_directory(tmp_path):
    with Record(tmp_path, KEY, 1):
        with pytest.raises(ValueError, match="another process is training in"):
            run(tmp_path, 3)
        assert [path.name for path in tmp_path.glob("metrics*")] == []
    assert int(run(tmp_path, 3).step) == 3


def test_a_lock_ends_with_its_process(tmp_path):
    script = (
        "import os, pathlib, sys, jax, jaxmeta.record\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "held = jaxmeta.record.Record(path, jax.random.key(0), 1)\n"
        "os.kill(os.getpid(), 9)"
    )
    found = subprocess.run([sys.executable, "-c", script, tmp_path], check=False)
    assert found.returncode == -signal.SIGKILL
    assert (tmp_path / ".lock").exists()
    assert int(run(tmp_path, 3).step) == 3


LIMITED = """
import resource, runpy, signal, sys
size = int(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writes fail, and do not kill
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
sys.argv = sys.argv[2:]
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.slow
def test_a_disk_that_is_full_costs_nothing_that_was_saved(tmp_path):
    """Stood in for by a limit on the size of a file, which the metrics reach."""
    directory = tmp_path / "run"
    run(directory, 12)
    size = (directory / "metrics.jsonl").stat().st_size
    script = Path(__file__).with_name("killable.py")
    command = [sys.executable, "-c", LIMITED, size + 700, script, directory, 60, "none"]
    found = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False
    )
    assert found.returncode != 0
    assert "File too large" in found.stderr
    state = run(directory, 20)
    jax.tree.map(np.testing.assert_array_equal, state, run(tmp_path / "whole", 20))
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines]
    assert steps == [3, 6, 9, 12, 15, 18, 20]
