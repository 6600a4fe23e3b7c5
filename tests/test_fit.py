import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from killable import KEY_SEED, learner, run

import jaxmeta as jm
from jaxmeta.checkpoint import Checkpoints
from jaxmeta.fit import fit

KEY = jax.random.key(KEY_SEED)


def assert_same_bits(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def rows(directory):
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


TIMES = ("wall_seconds", "compile_seconds", "updates_per_second")


def without_times(row):
    return {
        name: v
        for name, v in row.items()
        if not name.endswith("second") and name not in TIMES
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run of 20 updates: its directory and its state."""
    directory = tmp_path_factory.mktemp("whole")
    return directory, run(directory, 20)


@pytest.mark.slow
def test_it_is_the_same_as_train(whole):
    start = learner().init(jax.random.fold_in(KEY, np.uint32(2**32 - 1)))
    state, _ = jax.jit(lambda s: jm.train(KEY, learner(), s, 20))(start)
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(whole[1]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert int(whole[1].step) == 20


def test_without_a_directory_nothing_is_written(whole, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    state = fit(KEY, learner(), 20, chunk_size=3, progress=False)
    assert_same_bits(state, whole[1])
    assert not list(tmp_path.iterdir())


def test_metrics_have_a_line_per_chunk(whole):
    found = rows(whole[0])
    assert [row["step"] for row in found] == [3, 6, 9, 12, 15, 18, 20]
    per_update = 2 * 2 * 2 * 5  # tasks, batches, episodes, steps
    assert [row["environment_steps"] for row in found] == [
        per_update * row["step"] for row in found
    ]
    seconds = [row["wall_seconds"] for row in found]
    assert seconds == sorted(seconds)
    assert all(len(row["returns"]) == 2 for row in found)
    assert found[0]["compile_seconds"] > 0
    assert found[1]["compile_seconds"] == 0
    assert sum(row["compile_seconds"] for row in found) < seconds[-1]


def test_metrics_are_means_over_the_chunk(whole):
    one = learner()
    state = one.init(jax.random.fold_in(KEY, np.uint32(2**32 - 1)))
    _, info = jax.jit(lambda s: jm.train(KEY, one, s, 3))(state)
    np.testing.assert_allclose(
        rows(whole[0])[0]["returns"], info["returns"].mean(0), rtol=1e-5
    )


def test_a_run_in_parts_ends_in_the_same_bits(whole, tmp_path):
    for stop in (6, 13, 20):
        state = run(tmp_path, stop)
    assert_same_bits(state, whole[1])
    assert rows(tmp_path)[-1]["environment_steps"] == 20 * 40


def test_a_finished_run_returns_its_state(whole):
    before = rows(whole[0])
    assert_same_bits(run(whole[0], 20), whole[1])
    assert rows(whole[0]) == before


@pytest.mark.slow
@pytest.mark.parametrize("num_kills", [2, 50])
def test_killed_at_random_moments_it_ends_in_the_same_bits(num_kills, tmp_path):
    """SIGKILL while it starts, compiles, computes or writes, and go on."""
    num_updates, rng = 45 * num_kills, random.Random(0)
    cache = tmp_path / "cache"
    directory, uninterrupted = tmp_path / "killed", tmp_path / "whole"
    script = Path(__file__).with_name("killable.py")

    def start(directory):
        command = [sys.executable, script, directory, str(num_updates), cache]
        return subprocess.Popen(command)

    def progress():
        path = directory / "metrics.jsonl"
        return path.stat().st_size if path.exists() else 0

    process = start(uninterrupted)
    assert process.wait() == 0
    kills = 0
    for kill in range(num_kills):
        process, before = start(directory), progress()
        if kill % 5:  # the others die before their first update
            while progress() <= before and process.poll() is None:
                time.sleep(0.005)
            time.sleep(rng.uniform(0.0, 0.4))
        else:
            time.sleep(rng.uniform(0.5, 4.0))
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
    assert kills == num_kills
    process = start(directory)
    assert process.wait() == 0

    like = {"state": learner().init(KEY), "key": jax.random.key_data(KEY)}
    ends = []
    for path in (uninterrupted, directory):
        with Checkpoints(path / "checkpoints") as checkpoints:
            ends.append(checkpoints.restore_latest(like))
    assert int(ends[0]["state"].step) == num_updates
    assert_same_bits(*ends)
    # No row is missing, double, or of a future that was lost.
    killed, all_rows = rows(directory), rows(uninterrupted)
    assert [without_times(r) for r in killed] == [without_times(r) for r in all_rows]
    assert not (directory / "checkpoints-damaged").exists()


def test_a_torn_metrics_file_is_mended(whole, tmp_path):
    run(tmp_path, 12)
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text() + '{"step": 15, "retu')
    run(tmp_path, 20)
    assert [without_times(r) for r in rows(tmp_path)] == [
        without_times(r) for r in rows(whole[0])
    ]


def test_a_damaged_checkpoint_costs_only_the_updates_since(whole, tmp_path, caplog):
    run(tmp_path, 12)
    for path in (tmp_path / "checkpoints" / "12").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:7])
    state = run(tmp_path, 20)
    assert_same_bits(state, whole[1])
    assert str(tmp_path / "checkpoints" / "12") in caplog.text


def test_bad_input_is_named(whole, tmp_path):
    one = learner()
    with pytest.raises(ValueError, match="holds a run of another key"):
        fit(jax.random.key(5), one, 30, directory=whole[0], progress=False)
    with pytest.raises(
        ValueError, match=r"has made 20 updates already, more than .* 7"
    ):
        run(whole[0], 7)
    (tmp_path / "metrics.jsonl").write_text('{"loss": 1}\n')
    with pytest.raises(ValueError, match=r"metrics\.jsonl holds no metrics of jaxmeta"):
        run(tmp_path, 7)
    assert (tmp_path / "metrics.jsonl").read_text() == '{"loss": 1}\n'
    with pytest.raises(TypeError, match=r"typed key made by jax\.random\.key"):
        fit(jnp.zeros(2, jnp.uint32), one, 3)
    for name in ("num_updates", "chunk_size", "checkpoint_every"):
        arguments = {"num_updates": 3, name: 0}
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            fit(KEY, one, **arguments)


def test_the_progress_bar_shows_returns_and_rates(capsys):
    fit(KEY, learner(), 6, chunk_size=3)
    shown = capsys.readouterr().out
    assert "6/6" in shown
    assert "return" in shown
    assert "updates/s" in shown
    assert "steps/s" in shown
