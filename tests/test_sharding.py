"""Tasks spread over devices: the same batch, the same results, one sum over devices."""

import functools
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import spread
from killable import learner

import jaxmeta as jm
from jaxmeta import sharding

SCRIPT = Path(__file__).with_name("spread.py")
# Sums over devices in the program of a method, where it is known how many it needs.
METHODS = {
    "maml": 1,
    "maml_trpo": None,
    "rl2": None,
    "pearl": None,
    "lpg": 1,
    "learned_optimizer": 1,
}


def started(*arguments, devices):
    flags = f"--xla_force_host_platform_device_count={devices}"
    environment = {
        **os.environ,
        "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} {flags}",
        "JAX_PLATFORMS": "cpu",
    }
    command = [sys.executable, SCRIPT, *arguments]
    return subprocess.Popen(
        list(map(str, command)),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process):
    out, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-2000:]
    return json.loads(out.splitlines()[-1])


@functools.cache
def alone(name):
    return spread.trained(spread.made(name))["leaves"]


def assert_close(found, expected):
    """The same, but for the order of sums in float32."""
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("maml", [4]),
        *(pytest.param(name, [1, 2, 4, 8], marks=pytest.mark.slow) for name in METHODS),
    ],
)
def test_the_number_of_devices_changes_no_result(name, counts):
    found = ended(started(name, *counts, devices=8))
    assert set(found) == set(map(str, counts))
    for devices, one in found.items():
        assert_close(one["leaves"], alone(name))
        assert one["compiled"] == 1  # whatever the number of updates
        if METHODS[name] is not None and devices != "1":
            assert one["collectives"] == {"all-reduce": METHODS[name]}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "devices"),
    [
        ("maml", 2),
        pytest.param("maml", 4, marks=pytest.mark.slow),
        pytest.param("lpg", 4, marks=pytest.mark.slow),
    ],
)
def test_two_processes_are_as_good_as_one(name, devices, tmp_path):
    """Over loopback; and one process goes on where they ended."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    directory = tmp_path / "together"
    both = [
        started("processes", number, address, name, directory, devices=devices)
        for number in (0, 1)
    ]
    one = spread.made(name)
    expected = spread.fitted(one, 3, tmp_path / "alone")
    for found in [ended(process) for process in both]:
        assert_close(found["leaves"], expected["leaves"])
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [2, 3]
    ends = [spread.fitted(one, 5, tmp_path / path) for path in ("together", "alone")]
    assert_close(*(end["leaves"] for end in ends))


@pytest.mark.slow
def test_each_device_works_on_its_own_share():
    """So that its FLOPs are those of as many tasks."""
    found = ended(started("flops", devices=4))
    np.testing.assert_allclose(found["spread"], found["alone"] / 4, rtol=0.05)


def test_on_one_device_nothing_changes(key):
    one = learner()
    ends = [
        jax.jit(lambda s, made=made: jm.train(key, made, s, 2))(made.init(key))
        for made in (one, jm.sharded(one))
    ]
    jax.tree.map(np.testing.assert_array_equal, *ends)


@pytest.mark.slow
def test_tasks_that_cannot_be_shared_out_are_refused():
    process = started("uneven", devices=4)
    out, errors = process.communicate(timeout=300)
    found = json.loads(out.splitlines()[-1])
    wanted = "{} must be a multiple of the 4 devices of the mesh"
    assert wanted.format("num_tasks") in found["maml"]
    assert "got 6" in found["maml"]
    assert wanted.format("num_lifetimes") in found["lpg"]
    assert found["six_are_left_alone"]
    assert found["eight_are_spread"]
    assert errors.count("training on one of 4 devices: num_tasks must be a") == 1


def test_a_mesh_of_other_axes_is_refused():
    mesh = jax.make_mesh((1,), ("batch",))
    with pytest.raises(ValueError, match="mesh must have the one axis 'tasks'"):
        sharding.sharded(learner(), mesh)
