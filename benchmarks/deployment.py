"""How long an exported agent takes to act and to adapt, on one core.

``python benchmarks/deployment.py``: writes what ``jaxmeta export`` writes of MAML on 2D
navigation (2 x 64) and times it in a process that has JAX alone and one core: an action
of one agent, a step of adaptation to 20 episodes of 100 steps, and both in turn; the
arguments are on the host, as they are where a sensor is read.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import harness
import jax

import jaxmeta as jm
from jaxmeta import recipes

RECIPE, ARGUMENTS = (
    "maml-navigation2d",
    {"hidden": (64, 64), "outer_loss_weights": (1.0,)},
)
TIMED = """
import json, os, sys, time
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import jax
import numpy as np
from jax import export

def function(name):
    with open(f"{sys.argv[1]}/{name}.jax", "rb") as file:
        return jax.jit(export.deserialize(bytearray(file.read())).call)

act, adapt = function("act"), function("adapt")
meta_params = dict(np.load(f"{sys.argv[1]}/meta_params.npz"))
key = np.array([0, 1], np.uint32)
timestep = {
    "observation": np.zeros((1, 2), np.float32),
    "previous_action": np.zeros((1, 2), np.float32),
    "previous_reward": np.zeros(1, np.float32),
    "is_first": np.ones(1, bool),
}
generator = np.random.default_rng(0)
shape = (20, 100)
ends = np.broadcast_to(np.arange(100) == 99, shape)
steps = {
    "observation": generator.normal(size=(*shape, 2)).astype(np.float32),
    "action": generator.uniform(-0.1, 0.1, (*shape, 2)).astype(np.float32),
    "reward": generator.normal(size=shape).astype(np.float32),
    "terminated": np.zeros(shape, bool),
    "truncated": ends,
    "next_observation": generator.normal(size=(*shape, 2)).astype(np.float32),
}

def timed(call, repeats):
    seconds = []
    for number in range(repeats + 10):
        started = time.perf_counter()
        jax.block_until_ready(call())
        seconds.append(time.perf_counter() - started)
    low, median, high = np.quantile(seconds[10:], [0.25, 0.5, 0.75])
    quartiles = {"lower_quartile": low, "upper_quartile": high}
    return {"median": median, **quartiles, "calls": repeats}

state, params = function("start")(meta_params, key)
started = time.perf_counter()
jax.block_until_ready(adapt(meta_params, state, steps, key))
compile_seconds = time.perf_counter() - started
print(json.dumps({
    "compile_seconds": compile_seconds,
    "act": timed(lambda: act(params, {}, timestep, key), 2000),
    "adapt": timed(lambda: adapt(meta_params, state, steps, key), 200),
    "adapt_and_act": timed(
        lambda: act(adapt(meta_params, state, steps, key)[1], {}, timestep, key), 200
    ),
}))
"""


def main() -> None:
    learner = recipes.get(RECIPE).build(**ARGUMENTS).learner
    meta_params = learner.init(jax.random.key(0)).meta_params
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "agent"
        jm.export_functions(learner, meta_params, directory)
        files = {path.name: path.stat().st_size for path in directory.iterdir()}
        found = subprocess.run(
            [sys.executable, "-c", TIMED, str(directory)],
            check=True,
            capture_output=True,
            text=True,
        )
    harness.save(
        "deployment",
        "python benchmarks/deployment.py",
        recipe=RECIPE,
        arguments=ARGUMENTS,
        bytes=files,
        **json.loads(found.stdout),
    )


if __name__ == "__main__":
    main()
