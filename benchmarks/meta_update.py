"""One meta-update of a recipe: how long it compiles, and how long it runs.

``python benchmarks/meta_update.py [RECIPE] [--arguments JSON]``. Compilation is timed
in fresh processes, without a compilation cache; a run is the median of repeated calls.
"""

import argparse
import json
import multiprocessing
import shlex
import sys
import time

import harness
import jax
import machine
import numpy as np

from jaxmeta import recipes, sharding


def measure(name: str, arguments: dict, repeats: int) -> dict:
    """Compile and run seconds of ``learner.update``, and the compiler's own counts."""
    learner = sharding.over_all_devices(recipes.get(name).build(**arguments).learner)
    key = jax.random.key(0)
    state = learner.init(key)
    compiled, compile_seconds = machine.compiled(learner.update, key, state)
    seconds, info = [], {}
    for step in range(repeats + 2):
        started = time.perf_counter()
        state, info = jax.block_until_ready(
            compiled(jax.random.fold_in(key, step), state)
        )
        seconds.append(time.perf_counter() - started)
    return {
        "compile_seconds": compile_seconds,
        "run_seconds": seconds[2:],  # the first calls warm the caches
        "environment_steps": int(info["environment_steps"]),
        "temporary_bytes": machine.compilers_count(compiled)["temporary_bytes"],
        "matrix_operations": machine.matrix_operations(learner.update, key, state),
        "matrix_operations_per_second": machine.matrix_speed(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", nargs="?", default="maml-navigation2d")
    parser.add_argument("--arguments", default="{}", help="of the recipe, as JSON")
    parser.add_argument("--label", default="", help="of the file, beside the recipe")
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=30)
    arguments = parser.parse_args()
    built_with = json.loads(arguments.arguments)
    spawn = multiprocessing.get_context("spawn")
    found = []
    for _ in range(arguments.processes):
        with spawn.Pool(1) as pool:
            call = (arguments.recipe, built_with, arguments.repeats)
            found.append(pool.apply(measure, call))
    runs = np.concatenate([one["run_seconds"] for one in found])
    median = float(np.median(runs))
    harness.save(
        f"meta_update_{arguments.recipe.replace('-', '_')}{arguments.label}",
        " ".join(["python benchmarks/meta_update.py", *map(shlex.quote, sys.argv[1:])]),
        recipe=arguments.recipe,
        arguments=built_with,
        compile_seconds=[one["compile_seconds"] for one in found],
        run_seconds={
            "median": median,
            "lower_quartile": float(np.quantile(runs, 0.25)),
            "upper_quartile": float(np.quantile(runs, 0.75)),
            "calls": len(runs),
        },
        environment_steps_per_second=found[0]["environment_steps"] / median,
        temporary_bytes=found[0]["temporary_bytes"],
        matrix_operations=found[0]["matrix_operations"],
        matrix_operations_per_second=max(
            one["matrix_operations_per_second"] for one in found
        ),
    )


if __name__ == "__main__":
    main()
