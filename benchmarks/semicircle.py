"""PEARL, VariBAD and RL^2 on the half circle of goals, with equal environment steps.

``python benchmarks/semicircle.py``: all seeds of a method in one program. Draws
the return of the last of three trajectories in training against environment steps;
counts the held-out goals that are reached at the end of each trajectory. ``--draw``
draws what was measured.
"""

import argparse
import json
from functools import partial
from typing import Any

import harness
import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

import jaxmeta as jm
from jaxmeta import decoders, policies, recipes, references
from jaxmeta.recipes import Experiment
from jaxmeta.recipes.trials import proximal

NUM_TRAJECTORIES, RADIUS, NUM_TEST_TASKS = 3, 0.2, 1000
ON_POLICY_TASKS = 16
# Told apart by whoever sees colors differently too (Okabe and Ito).
COLORS = {"PEARL": "#0072B2", "VariBAD": "#D55E00", "RL²": "#009E73"}


def in_trials(method: str, num_updates: int) -> Experiment:
    """RL^2 or VariBAD: three episodes are a trial."""
    tasks = jm.tasks.semicircle()
    environment = tasks.environment
    options: dict[str, Any] = {}
    if method == "RL²":
        make, policy = jm.rl2, policies.recurrent(environment, initial_std=0.5)
    else:
        policy = policies.belief(environment, initial_std=0.5)
        make = jm.varibad
        options["decoder"] = decoders.reward(environment)
        options["model_optimizer"] = optax.adam(1e-3)
    learner = make(
        tasks,
        policy,
        num_tasks=ON_POLICY_TASKS,
        num_episodes=NUM_TRAJECTORIES,
        **options,
        **proximal(
            policy,
            num_episodes=NUM_TRAJECTORIES,
            outer_rate=2e-3,
            decay_updates=num_updates,
            discount=0.95,
            trace_decay=0.95,
            entropy_coefficient=0.0,
            value_coefficient=0.1,
            value_scale=1.0,
            num_minibatches=4,
        ),
    )
    return Experiment(learner, learner, tasks)


def reached(experiment: Experiment, key: jax.Array, meta_params: Any) -> np.ndarray:
    """The part of goals that is within the radius at the end of each trajectory."""
    learner = experiment.test_learner
    horizon = learner.environment.horizon

    @jax.jit
    @jax.vmap
    def one(key):
        key_task, key_act = jax.random.split(key)
        task = experiment.test_tasks.sample(key_task)
        found = learner.collect(key_act, meta_params, task)
        ends = [
            batch.next_observation.reshape(-1, horizon, 2)[:, -1]
            for batch in (found.support, found.query)
        ]
        ends = jnp.concatenate(ends)[:NUM_TRAJECTORIES]
        distance = jnp.linalg.norm(ends - task.params.goal[None], axis=1)
        return distance <= RADIUS

    return np.asarray(one(jax.random.split(key, NUM_TEST_TASKS))).mean(0)


def train(experiment: Experiment, num_updates: int, num_seeds: int) -> dict[str, Any]:
    """Test curves, goals reached, and the last trajectory's return in training."""
    found = harness.train_seeds(
        experiment,
        num_updates=num_updates,
        num_seeds=num_seeds,
        num_test_tasks=NUM_TEST_TASKS,
        measure=partial(reached, experiment),
    )
    last = found.pop("training_returns")[:, :, NUM_TRAJECTORIES - 1]
    window = max(num_updates // 30, 1)
    count = num_updates // window
    means = last[:, : count * window].reshape(num_seeds, count, window).mean(2)
    steps = found["environment_steps"] / num_updates * window * np.arange(1, count + 1)
    found["reached"] = found.pop("measured")
    return {
        **found,
        "training_steps": steps.tolist(),
        "training_returns": means.tolist(),
    }


def blind(height: float = 0.8, horizon: int = 20) -> float:
    """The mean return of going straight up and staying at a height, at 0.1 a step."""
    nodes, weights = np.polynomial.legendre.leggauss(64)
    angles = np.pi / 2 * (nodes[:, None] + 1.0)
    up = np.minimum(0.1 * np.arange(1, horizon + 1), height)
    distance = np.hypot(np.cos(angles), np.sin(angles) - up)
    return -float(weights / 2 @ distance.sum(axis=1))


def draw(results: dict[str, dict[str, Any]]) -> Figure:
    """Return of the last trajectory against environment steps, a line per seed."""
    figure = Figure(figsize=(7.5, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, found in results.items():
        color, steps = COLORS[name], found["training_steps"]
        returns = np.asarray(found["training_returns"])
        axes.plot(steps, returns.mean(0), color=color, lw=2, label=name)
        for seed in returns:
            axes.plot(steps, seed, color=color, alpha=0.35, lw=0.8)
    known = {
        "told the goal": references.semicircle_oracle(),
        "blind to the goal": blind(),
    }
    for (label, value), style in zip(known.items(), (":", "--"), strict=True):
        axes.axhline(value, color="black", ls=style, lw=1, label=label)
    axes.set(xlabel="environment steps", title="Half circle of goals, dense rewards")
    axes.set_ylabel("training return of the third trajectory, dense")
    axes.set_xlim(0, max(found["training_steps"][-1] for found in results.values()))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.legend(loc="center right", bbox_to_anchor=(1.0, 0.6), framealpha=1.0)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--num-updates", type=int, default=600, help="of PEARL")
    parser.add_argument("--draw", action="store_true", help="what was measured")
    given = parser.parse_args()
    picture = harness.RESULTS / "semicircle.png"
    if given.draw:
        results = json.loads(picture.with_suffix(".json").read_text())["methods"]
        draw(results).savefig(picture, dpi=150)
        return
    recipe = recipes.get("pearl-semicircle")
    experiment = recipe.build(decay_updates=given.num_updates)
    results = {"PEARL": train(experiment, given.num_updates, given.seeds)}
    horizon = experiment.learner.environment.horizon
    steps = results["PEARL"]["environment_steps"]
    updates = steps // (ON_POLICY_TASKS * NUM_TRAJECTORIES * horizon)
    for method in ("VariBAD", "RL²"):
        results[method] = train(in_trials(method, updates), updates, given.seeds)
    for name, found in results.items():
        print(name, found["mean"], np.mean(found["reached"], axis=0).tolist())
    harness.save(
        "semicircle",
        f"python benchmarks/semicircle.py --seeds {given.seeds} "
        f"--num-updates {given.num_updates}",
        num_seeds=given.seeds,
        num_test_tasks_per_seed=NUM_TEST_TASKS,
        radius=RADIUS,
        methods=results,
    )
    draw(results).savefig(picture, dpi=150)


if __name__ == "__main__":
    main()
