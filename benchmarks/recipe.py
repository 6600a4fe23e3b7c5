"""A recipe as a user would run it, over seeds: ``python benchmarks/recipe.py RECIPE``.

Each seed is a process of its own, so its wall time is that of the command: imports,
compilation, training, evaluation and the picture.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import harness
import numpy as np

from jaxmeta import recipes, runs


def run(name: str, seed: int, directory: Path, num_test_tasks: int) -> dict:
    """Train one seed; its result, with the wall time of the whole command."""
    command = [sys.executable, "-m", "jaxmeta", "train", name]
    started = time.perf_counter()
    subprocess.run(
        [*command, f"--seed={seed}", f"--output={directory}"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    seconds = time.perf_counter() - started
    # Apart from the timed command, on more tasks: which were drawn then matters less.
    result = runs.evaluate(directory, num_test_tasks=num_test_tasks)
    return {**result, "command_seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", choices=list(recipes.RECIPES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--num-test-tasks", type=int, default=1000)
    arguments = parser.parse_args()
    recipe = recipes.get(arguments.recipe)
    with tempfile.TemporaryDirectory() as directory:
        results = [
            run(
                recipe.name, seed, Path(directory) / str(seed), arguments.num_test_tasks
            )
            for seed in range(arguments.seeds)
        ]
    curves = {}
    for name in ("adaptation_curve", "mode_adaptation_curve"):
        means = np.array([result[name]["mean"] for result in results])
        curves[name] = {
            "mean": means.mean(0).tolist(),
            "per_seed": means.tolist(),
            "standard_error_over_seeds": None
            if len(means) == 1
            else (means.std(0, ddof=1) / len(means) ** 0.5).tolist(),
        }
    harness.save(
        recipe.name.replace("-", "_"),
        f"python benchmarks/recipe.py {recipe.name} --seeds {arguments.seeds} "
        f"--num-test-tasks {arguments.num_test_tasks}",
        recipe=recipe.name,
        num_seeds=arguments.seeds,
        num_test_tasks_per_seed=arguments.num_test_tasks,
        num_updates=recipe.num_updates,
        environment_steps=results[0]["environment_steps"],
        **curves,
        published=results[0]["published"],
        optimum=results[0]["optimum"],
        command_seconds=[result["command_seconds"] for result in results],
        training_seconds=[result["wall_seconds"] for result in results],
        compile_seconds=[result["compile_seconds"] for result in results],
    )


if __name__ == "__main__":
    main()
