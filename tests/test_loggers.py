"""What loggers and callbacks are told of a run, however it goes."""

import json
import struct
import sys
import types
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmeta import cli, loggers, runs
from jaxmeta.fit import fit
from jaxmeta.loggers import Feed, Logger
from jaxmeta.types import MetaLearner, MetaState

KEY = jax.random.key(0)


def update(key, state):
    params = state.meta_params + jax.random.normal(key)
    info = {"returns": jnp.stack([params, 2 * params]), "environment_steps": 4}
    return MetaState(params, (), state.step + 1), jax.tree.map(jnp.asarray, info)


def start(key):
    return MetaState(jax.random.normal(key), (), jnp.int32(0))


nothing: Any = None
# It walks at random: all that a loop has to know of a learner.
LEARNER = MetaLearner(start, update, nothing, nothing, nothing, nothing, nothing)


def run(directory, callback, num_updates=12, **options):
    options = {"chunk_size": 3, "checkpoint_every": 6, **options}
    return fit(
        KEY,
        LEARNER,
        num_updates,
        directory=directory,
        progress=False,
        callback=callback,
        **options,
    )


def rows(directory):
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def killed_at(step, logger):
    """A logger whose process dies at a row, after it is written."""

    def write(row):
        logger.write(row)
        if row["step"] == step:
            raise SystemExit

    return Logger(logger.start, write, logger.close)


def test_a_callback_gets_the_rows_of_the_metrics(tmp_path):
    found = []
    run(tmp_path, found.append, 6)
    assert [row["step"] for row in found] == [3, 6]
    run(tmp_path, found.append)
    assert found == rows(tmp_path)
    alone = []
    run(None, alone.append)
    for name in ("step", "environment_steps", "returns"):
        assert [row[name] for row in alone] == [row[name] for row in found]


def test_a_callback_that_fails_costs_nothing(tmp_path):
    """The state is saved first, and the logger closed."""
    closed = []

    def write(row):
        if row["step"] == 9:
            raise OSError("the disk of the logger is full")

    logger = Logger(lambda step: None, write, lambda: closed.append(True))
    with pytest.raises(OSError, match=r"the disk of the logger is full"):
        run(tmp_path, logger, checkpoint_every=100)
    assert closed == [True]
    assert [row["step"] for row in rows(tmp_path)] == [3, 6, 9]
    seen = []
    state = run(tmp_path, seen.append)
    assert [row["step"] for row in seen] == [12]
    whole = run(None, None)
    for one, other in zip(jax.tree.leaves(state), jax.tree.leaves(whole), strict=True):
        np.testing.assert_array_equal(one, other)


def test_numbers_of_a_row_have_names():
    row = {"step": 3, "returns": [1.0, 2.0], "loss": 0.5, "rates": [[1], [2]]}
    assert loggers.scalars({**row, "skipped": None}) == {
        "returns/0": 1.0,
        "returns/1": 2.0,
        "loss": 0.5,
        "rates/0/0": 1.0,
        "rates/1/0": 2.0,
    }


def events(directory):
    """Of TensorBoard: (name, step) -> values, without what a restart hides."""
    from tensorboardX.proto.event_pb2 import Event, SessionLog

    shown = []
    for path in sorted(directory.glob("events.*")):  # the order TensorBoard reads in
        data, at = path.read_bytes(), 0
        while at < len(data):
            (size,) = struct.unpack_from("<Q", data, at)
            event = Event.FromString(data[at + 12 : at + 12 + size])
            at += 12 + size + 4
            if event.session_log.status == SessionLog.START:
                shown = [e for e in shown if e[1] < event.step]
            for value in event.summary.value:
                shown.append((value.tag, event.step, value.simple_value))
    found = {}
    for tag, step, value in shown:
        found.setdefault((tag, step), []).append(value)
    return found


def test_tensorboard_shows_each_update_once_however_often_it_was_killed(tmp_path):
    directory = tmp_path / "tensorboard"
    for stop in (3, 9):
        with pytest.raises(SystemExit):
            run(tmp_path, killed_at(stop, loggers.tensorboard(directory)))
    run(tmp_path, loggers.tensorboard(directory))
    run(tmp_path, loggers.tensorboard(directory))  # finished: nothing is changed
    assert len(list(directory.iterdir())) == 3
    expected = {
        (name, row["step"]): [np.float32(value)]
        for row in rows(tmp_path)
        for name, value in loggers.scalars(row).items()
    }
    assert events(directory) == expected
    assert {step for _, step in expected} == {3, 6, 9, 12}


@pytest.fixture
def fake(monkeypatch):
    """A module like that of Weights & Biases, and what it was told."""
    told = types.SimpleNamespace(starts=[], logged=[], ends=0)

    class Run:
        def log(self, numbers, *, step):
            told.logged.append((step, numbers))

        def finish(self):
            told.ends += 1

    def init(**options):
        told.starts.append(options)
        return Run()

    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=init))
    return told


def test_wandb_goes_on_with_its_run_and_logs_each_update_once(fake, tmp_path):
    def logger():
        return loggers.wandb(
            "maze", directory=tmp_path, name="a", config={"rate": 0.1}, tags=["x"]
        )

    with pytest.raises(SystemExit):
        run(tmp_path, killed_at(9, logger()))
    run(tmp_path, logger())
    assert [step for step, _ in fake.logged] == [3, 6, 9, 12]
    last = loggers.scalars(rows(tmp_path)[-1])
    assert fake.logged[-1][1] == last
    assert fake.ends == len(fake.starts) == 2
    assert fake.starts[0] == fake.starts[1]
    assert fake.starts[0] == {
        "project": "maze",
        "id": json.loads((tmp_path / "wandb.json").read_text())["id"],
        "name": "a",
        "config": {"rate": 0.1},
        "dir": str(tmp_path),
        "resume": "allow",
        "tags": ["x"],
    }


def test_runs_of_wandb_are_apart(fake, tmp_path):
    for directory in (tmp_path / "a", tmp_path / "b", None):
        loggers.wandb("maze", directory=directory).start(0)
    assert len({options["id"] for options in fake.starts}) == 3
    (tmp_path / "a" / "wandb.json").write_text("{}")
    with pytest.raises(ValueError, match=r"wandb\.json was not written by jaxmeta"):
        loggers.wandb("maze", directory=tmp_path / "a").start(0)


def test_the_first_of_several_processes_logs_and_all_stop(monkeypatch):
    def broadcast(value):
        return np.int32(failed) if jax.process_index() else value

    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(loggers.multihost_utils, "broadcast_one_to_all", broadcast)
    seen = []
    for index, expected in ((0, [{"step": 1}]), (1, [])):
        monkeypatch.setattr(jax, "process_index", lambda index=index: index)
        seen.clear()
        failed = False
        with Feed(seen.append) as feed:
            assert feed.write({"step": 1}) is None
        assert seen == expected
    failed = True
    with Feed(seen.append) as feed:
        assert "first process failed" in str(feed.write({"step": 2}))


@pytest.mark.parametrize(
    ("name", "package"), [("tensorboard", "tensorboardX"), ("wandb", "wandb")]
)
def test_a_package_that_is_missing_is_named(
    name, package, monkeypatch, tmp_path, capsys
):
    monkeypatch.setitem(sys.modules, package, None)
    directory = tmp_path / "run"
    with pytest.raises(SystemExit) as stop:
        cli.main(["train", "maml-bandit", "--log", name, "--output", str(directory)])
    assert stop.value.code == 2
    assert f'pip install "jaxmeta[{name}]"' in capsys.readouterr().err
    assert not directory.exists()


def test_the_command_line_logs_into_the_directory_of_the_run(
    fake, monkeypatch, tmp_path
):
    class DoneError(ValueError):
        pass

    def trained(*_, callback, **options):
        callback.start(0)
        callback.write({"step": 3, "loss": 0.5})
        callback.close()
        raise DoneError

    monkeypatch.setattr(runs, "fit", trained)
    monkeypatch.setenv("WANDB_PROJECT", "maze")
    for name in ("tensorboard", "wandb"):
        command = ["train", "maml-bandit", "--seed=2", "--log", name]
        with pytest.raises(SystemExit):
            cli.main([*command, "--output", str(tmp_path / name)])
    assert events(tmp_path / "tensorboard" / "tensorboard") == {("loss", 3): [0.5]}
    assert fake.logged == [(3, {"loss": 0.5})]
    (options,) = fake.starts
    assert options["project"] == "maze"
    assert options["name"] == "maml-bandit, seed 2"
    assert options["config"]["seed"] == 2


def test_a_callback_that_is_none_is_named():
    with pytest.raises(TypeError, match=r"callback must be a function of a row"):
        run(None, "tensorboard")
