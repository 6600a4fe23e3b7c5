"""How much of an accelerator training uses, and what is left of random actions.

``python benchmarks/accelerator.py``: one meta-update of several methods at sizes for an
accelerator, each beside the speed of random actions in the same environments, as many
side by side, and beside what the device makes of large matrices at each precision.
"""

import argparse
import shlex
from typing import Any, NamedTuple

import harness
import jax
import machine

from jaxmeta import recipes, runs


class Workload(NamedTuple):
    """A recipe at a size: what is acted side by side, and in how many steps."""

    recipe: str
    arguments: dict[str, Any]
    num_tasks: int
    num_episodes: int
    length: int
    precisions: tuple[str, ...] = ("float32",)


PLAIN = {"outer_loss_weights": (1.0,), "hidden": (64, 64)}
WIDE = {"outer_loss_weights": (1.0,), "hidden": (256, 256)}
LPG = {  # the paper's size, but for the number of lifetimes
    "levels": "dense",
    "horizon": 500,
    "num_lifetimes": 128,
    "lifetime": 2500,
    "num_environments": 64,
    "size": 256,
    "num_predictions": 30,
    "agent_rate": 40.0,
    "outer_rate": 1e-4,
    "discount": 0.995,
    "entropy_coefficient": 0.05,
    "lifetime_batch_size": 64,
}
WORKLOADS = {
    "maml 1024": Workload(
        "maml-navigation2d",
        {**PLAIN, "num_tasks": 1024},
        *(1024, 20, 100),
        runs.PRECISIONS[:2],
    ),
    "lpg 128": Workload("lpg-gridworld", LPG, *(128, 64, 20), ("tensorfloat32",)),
    "rl2 16384": Workload("rl2-bandit", {"num_tasks": 16384}, 16384, 1, 10),
    "maml 1024, 2 x 256": Workload(
        "maml-navigation2d",
        {**WIDE, "num_tasks": 1024},
        *(1024, 20, 100),
        runs.PRECISIONS,
    ),
    "maml 20": Workload("maml-navigation2d", {**PLAIN, "num_tasks": 20}, 20, 20, 100),
    "maml-trpo 20": Workload(
        "maml-trpo-navigation2d", {"outer_loss_weights": (1.0,)}, 20, 20, 100
    ),
    "maml 4096": Workload(
        "maml-navigation2d", {**PLAIN, "num_tasks": 4096}, 4096, 20, 100
    ),
    "rl2 262144": Workload("rl2-bandit", {"num_tasks": 262144}, 262144, 1, 10),
}


def measure(workload: Workload, precision: str) -> dict[str, Any]:
    """Seconds of a meta-update, and what it does in them."""
    with jax.default_matmul_precision(precision):
        learner = recipes.get(workload.recipe).build(**workload.arguments).learner
        key = jax.random.key(0)
        state = jax.jit(learner.init)(key)
        program, compile_seconds = machine.compiled(learner.update, key, state)
        _, info = program(key, state)
        first = machine.timed(program, key, state, repeats=1)[0]
        repeats = max(3, min(30, int(2.0 / first)))
        seconds = machine.summary(machine.timed(program, key, state, repeats=repeats))
        operations = machine.matrix_operations(learner.update, key, state)
    return {
        "compile_seconds": compile_seconds,
        "run_seconds": seconds,
        "environment_steps": int(info["environment_steps"]),
        "environment_steps_per_second": int(info["environment_steps"])
        / seconds["median"],
        "matrix_operations": operations,
        "matrix_operations_per_second": operations / seconds["median"],
        "compiler": machine.compilers_count(program),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--label", default="", help="of the file")
    given = parser.parse_args()
    command = "python benchmarks/accelerator.py"
    if given.only != list(WORKLOADS):
        command += f" --only {shlex.join(given.only)}"
    if given.label:
        command += f" --label {given.label}"
    speeds = {}
    for precision in runs.PRECISIONS:
        with jax.default_matmul_precision(precision):
            speeds[precision] = machine.matrix_speed()
    ceilings = {
        "matrix_operations_per_second": speeds,
        "memory_bytes_per_second": machine.memory_bandwidth(),
    }
    print(ceilings, flush=True)
    found: dict[str, Any] = {}
    for name in given.only:
        workload = WORKLOADS[name]
        found[name] = {
            **workload._asdict(),
            "random_steps_per_second": machine.random_actions(
                recipes.get(workload.recipe).build(**workload.arguments).test_tasks,
                *(workload.num_tasks, workload.num_episodes, workload.length),
            ),
            "by_precision": {},
        }
        for precision in workload.precisions:
            found[name]["by_precision"][precision] = row = measure(workload, precision)
            print(
                f"{name}, {precision}: {row['run_seconds']['median']:.4g} s, "
                f"{row['environment_steps_per_second']:.3g} steps a second, random "
                f"{found[name]['random_steps_per_second']:.3g}, "
                f"{row['matrix_operations_per_second'] / 1e12:.3g} T, compilation "
                f"{row['compile_seconds']:.0f} s, {row['compiler']}",
                flush=True,
            )
            jax.clear_caches()
        # After each, as what follows may need more memory than there is.
        harness.save(f"accelerator{given.label}", command, **ceilings, workloads=found)


if __name__ == "__main__":
    main()
