import logging
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmeta import files
from jaxmeta.checkpoint import Checkpoints


def tree(value):
    return {"a": jnp.full((3, 4), value), "b": (jnp.int32(value), jnp.ones(2, bool))}


def save(directory, steps):
    with Checkpoints(directory) as checkpoints:
        for step in steps:
            checkpoints.save(step, tree(float(step)))


def restore(directory, like=None):
    with Checkpoints(directory) as checkpoints:
        return checkpoints.restore_latest(tree(0.0) if like is None else like)


def array_files(directory):
    """The files that hold data, largest first."""
    found = [path for path in directory.rglob("*") if path.is_file()]
    return sorted(found, key=lambda path: -path.stat().st_size)


def everything(directory):
    return {
        str(p.relative_to(directory)): p.read_bytes()
        for p in directory.rglob("*")
        if p.is_file()
    }


def test_nothing_saved_is_none(tmp_path):
    assert restore(tmp_path / "new") is None


def test_the_newest_comes_back_to_the_bit(tmp_path):
    save(tmp_path, [1, 2, 7])
    restored = restore(tmp_path)
    for got, want in zip(
        jax.tree.leaves(restored), jax.tree.leaves(tree(7.0)), strict=True
    ):
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)


def test_old_ones_are_deleted(tmp_path):
    with Checkpoints(tmp_path, max_to_keep=2) as checkpoints:
        for step in range(5):
            checkpoints.save(step, tree(1.0))
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_dir()) == ["3", "4"]


@pytest.mark.parametrize("damage", ["truncate", "empty", "remove", "garbage"])
def test_a_damaged_one_is_named_and_kept_and_the_one_before_is_used(
    tmp_path, damage, caplog
):
    directory = tmp_path / "checkpoints"
    save(directory, [1, 2, 3])
    for path in array_files(directory / "3"):
        data = path.read_bytes()
        if damage == "remove":
            path.unlink()
        else:
            harm = {
                "truncate": data[: len(data) // 2],
                "empty": b"",
                "garbage": b"x" * 9,
            }
            path.write_bytes(harm[damage])
    left = everything(directory / "3")
    with caplog.at_level(logging.WARNING):
        restored = restore(directory)
    np.testing.assert_array_equal(restored["a"], tree(2.0)["a"])
    messages = [
        r.getMessage() for r in caplog.records if r.name == "jaxmeta.checkpoint"
    ]
    assert len(messages) == 1
    assert str(directory / "3") in messages[0]
    assert everything(tmp_path / "checkpoints-damaged" / "3") == left
    # A second damaged one of the same step does not overwrite the first.
    save(directory, [3])
    assert not (tmp_path / "checkpoints-damaged" / "3.1").exists()
    shutil.rmtree(directory / "3" / "default")
    restore(directory)
    assert (tmp_path / "checkpoints-damaged" / "3.1").exists()
    assert everything(tmp_path / "checkpoints-damaged" / "3") == left


def test_when_none_can_be_read_all_are_named_and_left(tmp_path):
    directory = tmp_path / "checkpoints"
    save(directory, [1, 2])
    for step in ("1", "2"):
        for path in array_files(directory / step):
            path.write_bytes(b"")
    left = everything(directory)
    with pytest.raises(ValueError, match="none of the checkpoints") as error:
        restore(directory)
    assert str(directory / "1") in str(error.value)
    assert str(directory / "2") in str(error.value)
    assert everything(directory) == left


@pytest.mark.parametrize(
    "like",
    [
        {"a": jnp.zeros((3, 5)), "b": (jnp.int32(0), jnp.ones(2, bool))},  # shape
        {"a": jnp.zeros((3, 4), int), "b": (jnp.int32(0), jnp.ones(2, bool))},  # dtype
        {"other": jnp.zeros(3)},  # structure
    ],
)
def test_a_foreign_one_is_refused_and_left(tmp_path, like):
    directory = tmp_path / "checkpoints"
    save(directory, [4])
    left = everything(directory)
    with pytest.raises(ValueError, match="none of the checkpoints can be read"):
        restore(directory, like)
    assert everything(directory) == left


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    files.write_json(path, {"a": 1})
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        files.write_json(path, {"a": 2})
    assert files.read_json(path) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"]


def test_a_torn_line_ends_the_metrics(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert files.read_json_lines(path) == []
    path.write_text('{"step": 1}\n{"step": 2}\n{"st')
    assert files.read_json_lines(path) == [{"step": 1}, {"step": 2}]


def test_json_errors_name_the_file(tmp_path):
    with pytest.raises(ValueError, match=r"config\.json does not exist"):
        files.read_json(tmp_path / "config.json")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json is not JSON"):
        files.read_json(tmp_path / "config.json")


# Orbax leaves tasks behind whose errors nobody looks at, once one has failed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_no_flipped_bit_goes_unnoticed(tmp_path):
    """What comes back is what was saved, or the checkpoint before it."""
    save(tmp_path / "kept", [1, 2])
    files_of = array_files(tmp_path / "kept" / "2")
    generator = np.random.default_rng(0)
    fell_back = 0
    for trial in range(30):
        copy = tmp_path / str(trial)
        shutil.copytree(tmp_path / "kept", copy)
        original = files_of[trial % len(files_of)]
        damaged = copy / original.relative_to(tmp_path / "kept")
        content = bytearray(damaged.read_bytes())
        content[generator.integers(len(content))] ^= 1 << generator.integers(8)
        damaged.write_bytes(content)
        restored = restore(copy)
        value = float(restored["b"][0])
        assert value in (1.0, 2.0)
        jax.tree.map(np.testing.assert_array_equal, restored, tree(value))
        fell_back += value == 1.0
    assert fell_back > 0


def test_other_values_than_those_that_were_saved_are_refused(tmp_path, monkeypatch):
    save(tmp_path, [1])
    monkeypatch.setattr("jaxmeta.checkpoint._digest", lambda tree: np.arange(32))
    with pytest.raises(ValueError, match="its values are not those that were saved"):
        restore(tmp_path)
