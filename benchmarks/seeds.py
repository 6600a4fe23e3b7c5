"""Many seeds in one program, beside a run for each.

``python benchmarks/seeds.py``: a recipe with ``--seeds`` seeds under ``jax.vmap``, and
with one, each in a fresh process without a cache of compiled programs: seconds from the
start of Python to the end of training, and the part of them that is compilation.
"""

import argparse
import os
import subprocess
import sys
import time

import harness

RECIPES = {"maml-bandit": 100, "maml-cartpole": 20}
RUN = """
import sys, time
started = time.perf_counter()
import jax
import jaxmeta as jm
from jaxmeta import recipes
name, num_updates, num_seeds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
learner = recipes.get(name).build().learner
def run(key):
    return jm.train(key, learner, learner.init(key), num_updates)[1]["returns"]
keys = jax.random.split(jax.random.key(0), num_seeds)
program = jax.jit(jax.vmap(run)).lower(keys).compile()
compiled = time.perf_counter()
jax.block_until_ready(program(keys))
print(compiled - started, time.perf_counter() - compiled)
"""


def run(recipe: str, num_updates: int, num_seeds: int) -> dict[str, float]:
    """Seconds of a process: all of them, and those of imports and compilation."""
    started = time.perf_counter()
    command = [sys.executable, "-c", RUN, recipe, str(num_updates), str(num_seeds)]
    alone = {**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "0"}
    done = subprocess.run(
        command, env=alone, capture_output=True, text=True, check=True
    )
    total = time.perf_counter() - started
    before, training = map(float, done.stdout.split())
    return {"total": total, "until_compiled": before, "training": training}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=32)
    count = parser.parse_args().seeds
    found = {}
    for recipe, num_updates in RECIPES.items():
        one, many = (run(recipe, num_updates, seeds) for seeds in (1, count))
        found[recipe] = {
            "num_updates": num_updates,
            "one_seed_seconds": one,
            "all_seeds_seconds": many,
            "times_cheaper": count * one["total"] / many["total"],
            "times_cheaper_once_compiled": count * one["training"] / many["training"],
        }
        print(recipe, found[recipe], flush=True)
    command = f"python benchmarks/seeds.py --seeds {count}"
    harness.save("seeds", command, num_seeds=count, recipes=found)


if __name__ == "__main__":
    main()
