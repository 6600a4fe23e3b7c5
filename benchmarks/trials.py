"""RL^2's two tables: learned and classical strategies, beside what is possible.

``python benchmarks/trials.py rl2-bandit --num-pulls 10 --num-arms 5 10 50`` trains all
seeds of each setting in one program, and plays the classical strategies on as
many held-out tasks; ``rl2-tabular --num-episodes 10`` likewise.
"""

import argparse
from typing import Any

import harness
import jax
import numpy as np

import jaxmeta as jm
from jaxmeta import recipes, references
from jaxmeta.types import TaskDistribution

TASKS = {"rl2-bandit": 100_000, "rl2-tabular": 10_000}
# What longer trials need: the critic in larger units and with layers of its own, and
# a policy that is not sure too soon.
LONGER = {
    "size": 64,
    "hidden": (64,),
    "num_tasks": 256,
    "outer_rate": 6e-3,
    "trace_decay": 0.9,
    "entropy_coefficient": 0.05,
    "value_coefficient": 0.4,
    "value_scale": 20.0,
}


def bandit_references(num_arms: int, num_pulls: int) -> dict[str, Any]:
    """The strategies of the table of bandits."""
    bandits = references.bandits
    return {
        "random": bandits.random(num_arms),
        "greedy": bandits.greedy(num_arms),
        "epsilon-greedy": bandits.epsilon_greedy(num_arms),
        "Thompson": bandits.thompson(num_arms),
        "optimistic Thompson": bandits.optimistic_thompson(num_arms),
        "UCB1": bandits.ucb1(num_arms),
        "Gittins index": bandits.gittins(num_arms, num_pulls),
    }


def tabular_references(tasks: TaskDistribution) -> dict[str, Any]:
    """The strategies of the table of finite MDPs."""
    tabular, environment = references.tabular, tasks.environment
    return {
        "random": tabular.random(environment),
        "greedy": tabular.greedy(environment),
        "epsilon-greedy": tabular.epsilon_greedy(environment),
        "PSRL": tabular.psrl(environment),
        "optimistic PSRL": tabular.optimistic_psrl(environment),
        "UCRL2": tabular.ucrl2(environment),
        "exploration bonus": tabular.exploration_bonus(environment),
    }


def play(tasks: TaskDistribution, reference: Any, num_episodes: int, num_tasks: int):
    """Mean total reward of a trial, and its standard error over tasks."""
    agent = references.learner(tasks, reference, num_episodes=num_episodes)
    curve = jm.adaptation_curve(
        jax.random.key(3), agent, {}, tasks, num_tasks=num_tasks, task_batch_size=1024
    )
    totals = np.asarray(curve).sum(1)
    return {"mean": float(totals.mean()), "error": float(totals.std() / num_tasks**0.5)}


def learn(recipe: recipes.Recipe, arguments: dict[str, Any], seeds: int, updates: int):
    """RL^2's total reward of a trial, final params, by seed."""
    experiment = recipe.build(**arguments)
    found = harness.train_seeds(
        experiment,
        num_updates=updates,
        num_seeds=seeds,
        num_test_tasks=TASKS[recipe.name],
    )
    found.pop("training_returns")
    totals = np.asarray(found["test_curves"]).sum(1)
    return {
        **found,
        "total": {
            "per_seed": totals.tolist(),
            "mean": float(totals.mean()),
            "error": float(totals.std(ddof=1) / seeds**0.5) if seeds > 1 else None,
        },
        "published": experiment.published or {},
        "optimum": experiment.optimum,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", choices=list(TASKS))
    parser.add_argument("--num-pulls", type=int, default=10)
    parser.add_argument("--num-arms", type=int, nargs="+", default=[5, 10, 50])
    parser.add_argument("--num-episodes", type=int, default=10)
    parser.add_argument("--num-updates", type=int, default=None)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    recipe = recipes.get(given.recipe)
    updates = given.num_updates or recipe.num_updates
    if recipe.name == "rl2-bandit":
        settings = [
            {"num_arms": arms, "num_pulls": given.num_pulls} for arms in given.num_arms
        ]
        options = f"--num-pulls {given.num_pulls} --num-arms " + " ".join(
            map(str, given.num_arms)
        )
        label = f"rl2_bandit_{given.num_pulls}"
    else:
        settings = [{"num_episodes": given.num_episodes}]
        options = f"--num-episodes {given.num_episodes}"
        label = f"rl2_tabular_{given.num_episodes}"
    results = []
    for arguments in settings:
        options_of = LONGER if arguments.get("num_pulls", 0) >= 100 else {}
        learned = learn(
            recipe,
            {**arguments, **options_of, "decay_updates": updates},
            given.seeds,
            updates,
        )
        tasks = recipe.build(**arguments).test_tasks
        agents = (
            bandit_references(**arguments)
            if recipe.name == "rl2-bandit"
            else tabular_references(tasks)
        )
        episodes = arguments.get("num_episodes", 1)
        played = {
            name: play(tasks, agent, episodes, TASKS[recipe.name])
            for name, agent in agents.items()
        }
        results.append(
            {
                "arguments": arguments,
                "options": options_of,
                "rl2": learned,
                "references": played,
            }
        )
        print(arguments, learned["total"], flush=True)
    harness.save(
        label,
        f"python benchmarks/trials.py {recipe.name} {options} "
        f"--num-updates {updates} --seeds {given.seeds}",
        recipe=recipe.name,
        num_seeds=given.seeds,
        num_test_tasks=TASKS[recipe.name],
        settings=results,
    )


if __name__ == "__main__":
    main()
