"""What a meta-gradient estimator is worth where an agent must look before it knows.

``python benchmarks/exploration.py``: every estimator on the sparse corners of the
recipe ``e-maml-corners``, all seeds in one program.
"""

import argparse

import harness
from matplotlib.figure import Figure

from jaxmeta import estimators, recipes


def draw(results: dict[str, dict], optimum: float) -> Figure:
    """The return after adaptation of each estimator, with its interval over seeds."""
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    names = sorted(results, key=lambda name: results[name]["mean"][-1])
    for row, name in enumerate(names):
        found = results[name]
        low, high = found["low"][-1], found["high"][-1]
        for curve in found["test_curves"]:
            axes.plot(curve[-1], row, "o", color="0.75", markersize=4)
        axes.plot([low, high], [row, row], color="C0", linewidth=2)
        axes.plot(found["mean"][-1], row, "o", color="C0")
    axes.axvline(optimum, color="black", linestyle=":")
    axes.annotate("optimum", (optimum, 0), ha="right", rotation=90, va="bottom")
    axes.set(xlabel="return after one inner update", title="Sparse corners")
    axes.set_yticks(range(len(names)), names)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, axis="x")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    arguments = parser.parse_args()
    recipe = recipes.get("e-maml-corners")
    results = {}
    for name in estimators.NAMED:
        results[name] = harness.train_seeds(
            recipe.build(estimator=name),
            num_updates=recipe.num_updates,
            num_seeds=arguments.seeds,
            num_test_tasks=recipe.num_test_tasks,
        )
        results[name].pop("training_returns")
        print(name, [round(value, 2) for value in results[name]["mean"]], flush=True)
    assert recipe.optimum is not None
    harness.save(
        "exploration",
        f"python benchmarks/exploration.py --seeds {arguments.seeds}",
        num_seeds=arguments.seeds,
        num_test_tasks_per_seed=recipe.num_test_tasks,
        optimum=list(recipe.optimum),
        estimators=results,
    )
    picture = harness.RESULTS / "exploration.png"
    draw(results, recipe.optimum[-1]).savefig(picture, dpi=150)


if __name__ == "__main__":
    main()
