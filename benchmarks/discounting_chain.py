"""What discount an agent gives itself where the best reward is a late one.

``python benchmarks/discounting_chain.py``: meta-gradients and bootstrapped ones, with
an outer critic and without, all seeds of each in one vmapped program. Draws how
discount and return move.
"""

import argparse
import time
from typing import Any

import harness
import jax
import numpy as np
from matplotlib.figure import Figure

import jaxmeta as jm
from jaxmeta import recipes
from jaxmeta.recipes import Experiment

METHODS = {
    "meta-gradients": "metagradient-discounting-chain",
    "bootstrapped": "bmg-discounting-chain",
}
POINTS = 200  # of a trace
NUM_TEST_EPISODES = 10_000


def learn(experiment: Experiment, num_updates: int, num_seeds: int) -> dict[str, Any]:
    """Discounts and returns by seed, through the life of an agent and at its end."""
    learner, evaluate = experiment.learner, experiment.evaluate
    assert evaluate is not None

    def run(key):
        key_init, key_train = jax.random.split(key)
        state, info = jm.train(key_train, learner, learner.init(key_init), num_updates)
        return state, {"discount": info["discount"], "returns": info["returns"][:, -1]}

    started = time.perf_counter()
    keys = jax.random.split(jax.random.key(0), num_seeds)
    states, traces = jax.block_until_ready(jax.jit(jax.vmap(run))(keys))
    seconds = time.perf_counter() - started
    key_test = jax.random.split(jax.random.key(1), num_seeds)
    tested = [
        evaluate(key, jm.trees.at(states, seed), NUM_TEST_EPISODES)[0].mean()
        for seed, key in enumerate(key_test)
    ]
    # The mean of each of so many pieces, as single returns are noisy.
    pieces = min(POINTS, num_updates)
    thinned = {}
    for name, trace in traces.items():
        parts = np.array_split(np.asarray(trace, np.float64), pieces, axis=1)
        rows = np.stack([part.mean(1) for part in parts])
        ends = {"mean": rows.mean(1), "low": rows.min(1), "high": rows.max(1)}
        thinned[name] = {end: row.round(5).tolist() for end, row in ends.items()}
    final = np.asarray(traces["discount"])[:, -1]
    return {
        "discount": {"per_seed": final.tolist(), **spread(final)},
        "return": {"per_seed": np.asarray(tested).tolist(), **spread(tested)},
        "published": experiment.published,
        "traces": thinned,
        "seconds": seconds,
    }


def spread(values: Any) -> dict[str, float | None]:
    """Mean and standard error over seeds."""
    values = np.asarray(values, np.float64)
    error = None if len(values) == 1 else values.std(ddof=1) / len(values) ** 0.5
    return {"mean": float(values.mean()), "error": error and float(error)}


def draw(results: dict[str, Any], num_updates: int) -> Figure:
    """How discount and return move, one line per method, a band for all seeds."""
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    panels = figure.subplots(1, 2)
    for color, (name, found) in zip(
        harness.colors(len(results)), results.items(), strict=True
    ):
        for panel, trace in zip(panels, ("discount", "returns"), strict=True):
            of_seeds = found["traces"][trace]
            count = len(of_seeds["mean"])
            updates = (np.arange(count) + 0.5) * num_updates / count
            panel.plot(updates, of_seeds["mean"], color=color, label=name)
            panel.fill_between(
                updates, of_seeds["low"], of_seeds["high"], color=color, alpha=0.2
            )
    panels[0].set_ylabel("discount the agent learns with")
    panels[1].set_ylabel("return of an episode")
    for panel in panels:
        panel.set_xlabel("updates")
    panels[1].legend(frameon=False, fontsize="small")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num-updates", type=int, default=50_000)
    parser.add_argument("--num-environments", type=int, default=128)
    parser.add_argument("--seeds", type=int, default=10)
    given = parser.parse_args()
    results = {}
    for method, recipe in METHODS.items():
        for outer_critic in (True, False):
            name = f"{method}, {'with' if outer_critic else 'without'} outer critic"
            experiment = recipes.get(recipe).build(
                outer_critic=outer_critic, num_environments=given.num_environments
            )
            results[name] = learn(experiment, given.num_updates, given.seeds)
            print(name, results[name]["discount"], results[name]["return"], flush=True)
    harness.save(
        "discounting_chain",
        f"python benchmarks/discounting_chain.py --num-updates {given.num_updates} "
        f"--num-environments {given.num_environments} --seeds {given.seeds}",
        num_seeds=given.seeds,
        num_updates=given.num_updates,
        num_environments=given.num_environments,
        num_test_episodes=NUM_TEST_EPISODES,
        methods=results,
    )
    draw(results, given.num_updates).savefig(
        harness.RESULTS / "discounting_chain.png", dpi=150
    )


if __name__ == "__main__":
    main()
