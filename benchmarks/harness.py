"""What every benchmark shares: where its numbers come from, and where they go."""

import json
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib import colormaps

import jaxmeta as jm
from jaxmeta import files, runs, sharding
from jaxmeta.recipes import Experiment

RESULTS = Path(__file__).parent / "results"


def save(name: str, command: str, **numbers: Any) -> None:
    """Write ``results/NAME.json``: the numbers, the command, the versions, the device.

    Args:
        name: of the file.
        command: what to type to make it again.
        **numbers: what was measured.
    """
    RESULTS.mkdir(exist_ok=True)
    result = {
        "command": _with_devices(command),
        "device": runs.device(),
        "versions": runs.versions(),
        **numbers,
    }
    files.write_json(RESULTS / f"{name}.json", result)
    print(json.dumps(numbers, indent=2))
    print(f"written: {RESULTS / f'{name}.json'}")


def _with_devices(command: str) -> str:
    """With the variable of the environment that says how many devices a CPU is."""
    name = "JAX_NUM_CPU_DEVICES"
    return f"{name}={os.environ[name]} {command}" if name in os.environ else command


def load(name: str, command: str) -> dict[str, Any]:
    """A result to replace a part of.

    Raises:
        SystemExit: if it is of another command, other versions or another device.
    """
    found = json.loads((RESULTS / f"{name}.json").read_text())
    ours = {
        "command": _with_devices(command),
        "device": runs.device(),
        "versions": runs.versions(),
    }
    if {key: found[key] for key in ours} != ours:
        raise SystemExit(f"{name}.json is not of {ours}; measure all of it again")
    return found


def train_seeds(
    experiment: Experiment,
    *,
    num_updates: int,
    num_seeds: int,
    num_test_tasks: int,
    measure: Callable[[jax.Array, Any], Any] | None = None,
) -> dict[str, Any]:
    """Train all seeds in one program, and evaluate their final meta-params.

    An accelerator trains them side by side. On a CPU they are trained one after the
    other, as together they are too much for its cache.

    With ``measure``, ``(key, meta_params) -> array``, the result has what it says of
    each seed too, as ``measured``.

    Returns:
        The test curves ``[seeds, K + 1]``, their mean and 95% bootstrap interval over
        seeds, the returns of training ``[seeds, updates, K + 1]``, environment steps of
        a seed, and seconds of training, compilation included.
    """
    learner = sharding.over_all_devices(experiment.learner)

    def run(key):
        key_init, key_train = jax.random.split(key)
        return jm.train(key_train, learner, learner.init(key_init), num_updates)

    started = time.perf_counter()
    keys = jax.random.split(jax.random.key(0), num_seeds)
    one_by_one = jax.default_backend() == "cpu"
    each = partial(jax.lax.map, run) if one_by_one else jax.vmap(run)
    states, info = jax.block_until_ready(jax.jit(each)(keys))
    seconds = time.perf_counter() - started
    key_test, key_interval = jax.random.split(jax.random.key(1))
    keys = jax.random.split(key_test, num_seeds)
    learned = [jm.trees.at(states.meta_params, seed) for seed in range(num_seeds)]
    curves = [
        jm.adaptation_curve(
            key,
            experiment.test_learner,
            meta_params,
            experiment.test_tasks,
            num_tasks=num_test_tasks,
        ).mean(0)
        for key, meta_params in zip(keys, learned, strict=True)
    ]
    interval = jm.bootstrap_interval(key_interval, jnp.stack(curves))
    steps = np.asarray(info["environment_steps"], np.int64)[0]
    also = {}
    if measure is not None:
        found = [measure(*one) for one in zip(keys, learned, strict=True)]
        also["measured"] = np.stack(found).tolist()
    return {
        **also,
        "test_curves": np.stack(curves).tolist(),
        **{end: value.tolist() for end, value in interval._asdict().items()},
        "training_returns": np.asarray(info["returns"]),
        "environment_steps": int(steps.sum()),
        "num_updates": num_updates,
        "seconds": seconds,
    }


def colors(count: int) -> Any:
    """So many colors that can be told apart."""
    return colormaps["tab20"](np.arange(count) % 20)
