"""What the precision of matrix products does to what is learned.

``python benchmarks/precision.py``, on an accelerator: MAML on 2D navigation, the same
seeds trained and tested at each precision that a run can have.
"""

import argparse

import harness
import jax

from jaxmeta import recipes, runs

RECIPE = "maml-navigation2d"
NUM_TEST_TASKS = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    given = parser.parse_args()
    recipe = recipes.get(RECIPE)
    experiment = recipe.build()
    found = {}
    for precision in runs.PRECISIONS:
        with jax.default_matmul_precision(precision):
            result = harness.train_seeds(
                experiment,
                num_updates=recipe.num_updates,
                num_seeds=given.seeds,
                num_test_tasks=NUM_TEST_TASKS,
            )
        del result["training_returns"]
        found[precision] = result
        print(precision, result["mean"], result["seconds"], flush=True)
    harness.save(
        "precision",
        f"python benchmarks/precision.py --seeds {given.seeds}",
        recipe=RECIPE,
        num_test_tasks=NUM_TEST_TASKS,
        by_precision=found,
    )


if __name__ == "__main__":
    main()
