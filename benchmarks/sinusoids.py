"""Few-shot regression: the error after one update of 5, 10 and 20 shots.

``python benchmarks/sinusoids.py``: all seeds in one program.
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
        ("metasgd-sinusoid", {}),
        # A harder variant, of frequencies that differ too.
        ("maml-sinusoid", {"frequencies": (0.8, 1.2)}),
        ("metasgd-sinusoid", {"frequencies": (0.8, 1.2)}),
        ("maml-sinusoid", {"estimator": "first_order"}),
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
            label = " ".join([name, *map(str, options.values()), f"{shots} shots"])
            results[label] = {
                "recipe": name,
                "shots": shots,
                "arguments": options,
                **found,
                "published_error": PUBLISHED.get(name, {}).get(shots),
            }
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
