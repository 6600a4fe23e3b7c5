"""PEARL, VariBAD and RL^2 on the half circle of goals, with equal environment steps.

``python benchmarks/semicircle.py``: all seeds of a method in one program. Draws
the return of the last of three trajectories against environment steps; counts the
held-out goals that are reached at the end of each trajectory.
"""

import argparse
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
from jaxmeta import decoders, policies, recipes
from jaxmeta.recipes import Experiment
from jaxmeta.recipes.trials import proximal

NUM_TRAJECTORIES, RADIUS, NUM_TEST_TASKS = 3, 0.2, 1000
ON_POLICY_TASKS = 16


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


def draw(results: dict[str, dict[str, Any]]) -> Figure:
    """Return of the last trajectory against environment steps, a line per seed."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for color, (name, found) in zip(harness.colors(3), results.items(), strict=True):
        returns = np.asarray(found["training_returns"])
        axes.plot(found["training_steps"], returns.mean(0), color=color, label=name)
        for seed in returns:
            axes.plot(found["training_steps"], seed, color=color, alpha=0.3, lw=0.8)
    optimum = recipes.get("pearl-semicircle").optimum
    assert optimum is not None
    axes.axhline(optimum[0], color="black", ls=":", label="told the goal")
    axes.set(xlabel="environment steps", ylabel="return of the third trajectory")
    axes.set(title="Half circle of goals")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.legend()
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--num-updates", type=int, default=600, help="of PEARL")
    given = parser.parse_args()
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
    draw(results).savefig(harness.RESULTS / "semicircle.png", dpi=150)


if __name__ == "__main__":
    main()
