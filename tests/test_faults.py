"""What may happen to a run on its way: it goes on, or says what to do; no good file is
lost. Kills, signals, full disks and damaged bits have tests of their own."""

import itertools
import json
import shutil
import time

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from killable import KEY_SEED, learner, run

from jaxmeta import runs
from jaxmeta.checkpoint import Checkpoints
from jaxmeta.environments import MatchProbe
from jaxmeta.fit import fit

KEY = jax.random.key(KEY_SEED)

# What orbax leaves behind of a restore that failed calls a loop that it has closed.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(scope="module")
def runs_of_12_and_20(tmp_path_factory):
    """A directory after 12 updates (checkpoints 6 and 12), and the state after 20."""
    directory = tmp_path_factory.mktemp("faults") / "run"
    run(directory, 12)
    end = shutil.copytree(directory, directory.with_name("end"))
    return directory, run(end, 20)


@pytest.fixture
def directory(runs_of_12_and_20, tmp_path):
    return shutil.copytree(runs_of_12_and_20[0], tmp_path / "run")


def contents(directory):
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def newest_lacks_its_arrays(directory):
    shutil.rmtree(directory / "checkpoints/12/default/d")


def newest_lacks_its_metadata(directory):
    (directory / "checkpoints/12/default/_METADATA").unlink()


def newest_is_empty(directory):
    shutil.rmtree(directory / "checkpoints/12")
    (directory / "checkpoints/12").mkdir()


def newest_is_of_another_learner(directory):
    shutil.rmtree(directory / "checkpoints/12")
    state = {"state": {"w": jnp.ones(3)}, "key": jax.random.key_data(KEY)}
    with Checkpoints(directory / "checkpoints") as checkpoints:
        checkpoints.save(12, state)


def newest_is_of_a_future_version(directory):
    like = {"state": learner().init(KEY), "key": jax.random.key_data(KEY)}
    with Checkpoints(directory / "checkpoints") as checkpoints:
        restored = checkpoints.restore_latest(like)
    shutil.rmtree(directory / "checkpoints/12")
    with Checkpoints(directory / "checkpoints") as checkpoints:
        checkpoints.save(12, {**restored, "more": jnp.ones(2)})


def a_stranger_is_among_checkpoints(directory):
    (directory / "checkpoints/notes.txt").write_text("mine")


def a_checkpoint_was_never_finished(directory):
    (directory / "checkpoints/18.orbax-checkpoint-tmp-7").mkdir()


def checkpoints_are_gone(directory):
    shutil.rmtree(directory / "checkpoints")


def metrics_are_gone(directory):
    (directory / "metrics.jsonl").unlink()


def metrics_are_of_the_future(directory):
    with (directory / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 900, "environment_steps": 1}) + "\n")


def a_temporary_file_was_left(directory):
    (directory / ".metrics.jsonl.17.tmp").write_text("{")


@pytest.mark.parametrize(
    ("fault", "set_aside"),
    [
        (newest_lacks_its_arrays, True),
        (newest_lacks_its_metadata, True),
        (newest_is_empty, True),
        (newest_is_of_another_learner, True),
        (newest_is_of_a_future_version, True),
        (checkpoints_are_gone, False),
        (metrics_are_gone, False),
        *(
            pytest.param(fault, False, marks=pytest.mark.slow)
            for fault in (
                a_stranger_is_among_checkpoints,
                a_checkpoint_was_never_finished,
                metrics_are_of_the_future,
                a_temporary_file_was_left,
            )
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_it_goes_on_to_the_same_bits(
    fault, set_aside, directory, runs_of_12_and_20, caplog
):
    fault(directory)
    newest = directory / "checkpoints" / "12"
    damaged = contents(newest) if newest.exists() else {}
    state = run(directory, 20)
    for a, b in zip(*map(jax.tree.leaves, (state, runs_of_12_and_20[1])), strict=True):
        np.testing.assert_array_equal(a, b)
    aside = directory / "checkpoints-damaged" / "12"
    assert aside.exists() == set_aside
    if set_aside:
        assert f"checkpoint {newest} cannot be read" in caplog.text
        assert contents(aside) == damaged
    steps = [
        json.loads(line)["step"]
        for line in (directory / "metrics.jsonl").read_text().splitlines()
    ]
    assert steps[-3:] == [15, 18, 20]
    assert steps == sorted(set(steps))
    if fault is a_stranger_is_among_checkpoints:
        assert (directory / "checkpoints/notes.txt").read_text() == "mine"


def no_checkpoint_can_be_read(directory):
    for step in (6, 12):
        (directory / f"checkpoints/{step}/default/_METADATA").write_text("{")


def metrics_are_no_text(directory):
    (directory / "metrics.jsonl").write_bytes(b"\xff\xfe\x00garbage")


def metrics_are_of_something_else(directory):
    (directory / "metrics.jsonl").write_text('{"loss": 1.0}\n')


def metrics_are_numbers(directory):
    (directory / "metrics.jsonl").write_text("3\n")


def checkpoints_are_a_file(directory):
    shutil.rmtree(directory / "checkpoints")
    (directory / "checkpoints").write_text("mine")


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        (no_checkpoint_can_be_read, ValueError, "none of the checkpoints can be read"),
        (metrics_are_no_text, ValueError, r"metrics\.jsonl is no text"),
        (metrics_are_of_something_else, ValueError, r"metrics\.jsonl holds no metrics"),
        (metrics_are_numbers, ValueError, r"metrics\.jsonl holds no metrics"),
        (checkpoints_are_a_file, OSError, "is a file, where checkpoints should be"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_it_says_what_is_wrong_and_touches_nothing(fault, error, message, directory):
    fault(directory)
    before = contents(directory)
    with pytest.raises(error, match=message):
        run(directory, 20)
    assert contents(directory) == before


def test_a_file_in_the_place_of_the_directory(tmp_path):
    (tmp_path / "file").write_text("mine")
    for place in ("file", "file/run"):
        with pytest.raises(OSError, match="file"):
            run(tmp_path / place, 3)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_disk_that_turns_read_only(directory, runs_of_12_and_20, monkeypatch):
    """What was saved stays, the error says why, and later the run goes on."""
    before = contents(directory / "checkpoints")
    with monkeypatch.context() as broken:

        def refuse(*arguments, **options):
            raise OSError(30, "Read-only file system")

        broken.setattr(ocp.CheckpointManager, "save", refuse)
        with pytest.raises(OSError, match="Read-only file system"):
            run(directory, 20)
    assert contents(directory / "checkpoints") == before
    state = run(directory, 20)
    for a, b in zip(*map(jax.tree.leaves, (state, runs_of_12_and_20[1])), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_clock_that_jumps(directory, runs_of_12_and_20, monkeypatch):
    """Of the system, as when it is set: neither results nor seconds depend on it."""
    now = iter(range(10**9, 0, -86_400))
    with monkeypatch.context() as jumping:
        jumping.setattr(time, "time", lambda: float(next(now)))
        state = run(directory, 20)
    for a, b in zip(*map(jax.tree.leaves, (state, runs_of_12_and_20[1])), strict=True):
        np.testing.assert_array_equal(a, b)
    rows = (directory / "metrics.jsonl").read_text().splitlines()
    seconds = [json.loads(row)["wall_seconds"] for row in rows]
    assert all(
        0 < later - earlier < 600 for earlier, later in itertools.pairwise(seconds)
    )


def test_params_that_are_not_finite_from_the_start(tmp_path):
    one = learner()

    def init(key):
        state = one.init(key)
        return state._replace(
            meta_params=jax.tree.map(lambda x: x.at[..., 0].set(jnp.nan), state[0])
        )

    with pytest.raises(ValueError, match=r"params/policy_0/bias.* are not finite"):
        fit(KEY, one._replace(init=init), 3, directory=tmp_path, progress=False)
    assert not (tmp_path / "metrics.jsonl").read_text()


@pytest.mark.slow
def test_observations_that_are_infinite():
    class Endless(MatchProbe):
        def get_obs(self, *arguments, **options):
            return super().get_obs(*arguments, **options) + jnp.inf

        def reset_env(self, key, params):
            observation, state = super().reset_env(key, params)
            return observation + jnp.inf, state

    with pytest.raises(FloatingPointError, match="of them in a row would not be"):
        fit(KEY, learner(Endless()), 40, chunk_size=4, max_skipped=3, progress=False)


CONFIG = {"recipe": "maml-bandit", "seed": 0, "arguments": {}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps(CONFIG)[:20], r"config\.json is not JSON"),
        ("[]", "was not written by a run"),
        (json.dumps({"recipe": "maml-bandit"}), "was not written by a run"),
        (json.dumps({**CONFIG, "recipe": "maml-3000"}), "maml-3000"),
        (
            json.dumps({**CONFIG, "arguments": {"warp": 9}}),
            r"config\.json is of another version of jaxmeta: here maml-bandit has no "
            "argument warp",
        ),
        (json.dumps({**CONFIG, "seed": -1}), "seed must lie in"),
        (None, r"holds no run: there is no config\.json"),
    ],
    ids=["truncated", "foreign", "incomplete", "recipe", "future", "seed", "missing"],
)
def test_a_config_that_cannot_be_used(text, message, tmp_path):
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        runs.evaluate(tmp_path)
    found = tmp_path / "config.json"
    assert (found.read_text() if found.exists() else None) == text
