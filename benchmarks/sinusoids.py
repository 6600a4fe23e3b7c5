"""Few-shot regression: the error after one update of 5, 10 and 20 shots.

``python benchmarks/sinusoids.py``: all seeds in one vmapped program.
"""

import argparse

import harness

from jaxmeta import recipes

PUBLISHED = {  # mean squared errors of Li et al., "Meta-SGD", 2017, table 1
    "maml-sinusoid": {5: 1.13, 10: 0.77, 20: 0.48},
    "metasgd-sinusoid": {5: 0.90, 10: 0.53, 20: 0.31},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    results = {}
    settings = [
        ("maml-sinusoid", {}),
        ("maml-sinusoid", {"estimator": "first_order"}),
        ("metasgd-sinusoid", {}),
        ("reptile-sinusoid", {}),
    ]
    for name, options in settings:
        recipe = recipes.get(name)
        for shots in (5, 10, 20):
            found = harness.train_seeds(
                recipe.build(shots=shots, **options),
                num_updates=recipe.num_updates,
                num_seeds=arguments.seeds,
                num_test_tasks=recipe.num_test_tasks,
            )
            found.pop("training_returns")
            published = PUBLISHED.get(name, {}).get(shots) if not options else None
            label = " ".join([name, *options.values(), f"{shots} shots"])
            results[label] = {**found, "published_error": published}
            print(label, [round(value, 3) for value in found["mean"]], flush=True)
    harness.save(
        "sinusoids",
        f"python benchmarks/sinusoids.py --seeds {arguments.seeds}",
        num_seeds=arguments.seeds,
        num_test_tasks_per_seed=recipes.get("maml-sinusoid").num_test_tasks,
        results=results,
    )


if __name__ == "__main__":
    main()
