"""A rule learned on grids, beside A2C and PPO tuned on them, on levels held out.

``python benchmarks/learned_rules.py``: trains ``lpg-gridworld`` (or ``--recipe``), one
seed after the other, then lets agents live by each rule on the same held-out levels,
for the same steps. A2C and PPO are tuned on training levels over ``GRID``. Draws how
agents of each kind learn, and keeps the learned rules for ``cross_domain.py``.
"""

import argparse
import time
from pathlib import Path
from typing import Any, cast

import harness
import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

import jaxmeta as jm
from jaxmeta import agents, comparisons, recipes, runs
from jaxmeta.agents import Agent, Numbers
from jaxmeta.comparisons import Kind
from jaxmeta.recipes import grid_levels

# What A2C and PPO are tuned over, on NUM_TUNING_LEVELS training levels.
GRID = {
    "A2C": {
        "rate": (80.0, 160.0, 320.0, 640.0, 1280.0),
        "entropy_coefficient": (0.0, 0.01),
        "trace_decay": (0.8, 0.95),
    },
    "PPO": {
        "rate": (0.3, 1.0, 3.0, 10.0, 30.0),
        "entropy_coefficient": (0.0, 0.01),
        "trace_decay": (0.95,),
    },
}
# Rates of Adam, of PPO beside agents that descend another drift by it.
ADAM_RATES = (0.01, 0.03, 0.1, 0.3)
NUM_TUNING_LEVELS = 32
RECIPES = ["lpg-gridworld", "talpg-gridworld", "open-gridworld", "dpo-drift"]
# Where a recipe leaves it to its agents' loss.
DISCOUNT, CRITIC_RATE = 0.99, 0.1
# Colors that are told apart by color-blind readers too (Okabe and Ito).
COLORS = {
    "learned rule": "#D55E00",
    "before learning": "#999999",
    "A2C": "#0072B2",
    "PPO": "#009E73",
}


def known(kind: str, environment: Any, settings: dict[str, Any]) -> Kind:
    """Tables that learn by a known rule, to be tuned over its part of ``GRID``.

    Where the learned rule is a drift, PPO has the optimizer, epochs and minibatches of
    the agents that live by it, and so differs in the drift alone.
    """
    options: dict[str, Any] = {
        "hidden": (),
        "discount": settings.get("discount", DISCOUNT),
        "optimizer": optax.sgd,
        "critic_optimizer": optax.adam(settings.get("critic_rate", CRITIC_RATE)),
    }
    grid = GRID[kind]
    if kind == "PPO" and "num_epochs" in settings:
        options |= {k: settings[k] for k in ("num_epochs", "num_minibatches")}
    if kind == "PPO" and "sigma" in settings and "agent_rate" in settings:
        grid = {**grid, "rate": ADAM_RATES}
        options |= {"optimizer": clipped_adam, "critic_optimizer": None}
    make = {"A2C": agents.a2c, "PPO": agents.ppo}[kind]
    return kind_of(make(environment, **options), grid)


def clipped_adam(rate: Any) -> optax.GradientTransformation:
    """That of ``dpo-drift``."""
    return optax.chain(optax.clip_by_global_norm(0.5), optax.adam(rate, eps=1e-5))


def kind_of(agent: Agent, grid: dict[str, tuple[float, ...]]) -> Kind:
    """Agents of a kind, to be tuned over a grid."""

    def made(numbers):
        return agent, Numbers(**{k: jnp.float32(v) for k, v in numbers.items()})

    return Kind(made, grid)


def regrets(curves: np.ndarray, best: np.ndarray) -> dict[str, Any]:
    """Regret at the end of a life and over it, from returns ``[seeds, levels, 11]``.

    The interval is over seeds and levels: both are drawn anew in each resample.
    """
    lost = best[None, :, None] - curves
    generator = np.random.default_rng(0)
    seeds, levels, _ = lost.shape
    rows = generator.integers(seeds, size=(2000, seeds))
    columns = generator.integers(levels, size=(2000, levels))
    found = {}
    for name, each in (("end", lost[..., -1]), ("life", lost[..., 1:].mean(-1))):
        means = np.array(
            [each[r][:, c].mean() for r, c in zip(rows, columns, strict=True)]
        )
        low, high = np.quantile(means, [0.025, 0.975])
        found[name] = {"mean": float(each.mean()), "low": low, "high": high}
        found[name]["per_seed"] = each.mean(1).tolist()
    return found


def difference(ours: np.ndarray, theirs: np.ndarray) -> dict[str, Any]:
    """How much more regret they have on the same levels, from returns as in regrets.

    Levels, and the seeds of both, are drawn anew in each resample.
    """
    generator = np.random.default_rng(0)
    seeds, levels, _ = ours.shape
    found = {}
    for name, (mine, other) in {
        "end": (ours[..., -1], theirs[..., -1]),
        "life": (ours[..., 1:].mean(-1), theirs[..., 1:].mean(-1)),
    }.items():
        gains = []
        for _ in range(2000):
            columns = generator.integers(levels, size=levels)
            rows, others = generator.integers(seeds, size=(2, seeds))
            gains.append(
                mine[rows][:, columns].mean() - other[others][:, columns].mean()
            )
        low, high = np.quantile(gains, [0.025, 0.975])
        mean = float(mine.mean() - other.mean())
        found[name] = {"mean": mean, "low": float(low), "high": float(high)}
    return found


def draw(curves: dict[str, np.ndarray], best: np.ndarray, updates: int) -> Figure:
    """Return against updates, with 95% bootstrap intervals over levels."""
    figure = Figure(figsize=(5.5, 3.8), layout="constrained")
    axes = figure.subplots()
    x = np.linspace(0, updates, grid_levels.NUM_TESTS + 1)
    for (name, rows), marker in zip(curves.items(), "ov^D", strict=False):
        interval = jm.bootstrap_interval(jax.random.key(0), jnp.asarray(rows.mean(0)))
        axes.plot(x, interval.mean, color=COLORS[name], marker=marker, label=name)
        axes.fill_between(
            x, interval.low, interval.high, color=COLORS[name], alpha=0.2, linewidth=0
        )
    axes.axhline(best.mean(), color="black", linestyle=":", label="optimum")
    axes.set_xlabel("updates of the agent")
    axes.set_ylabel("return on held-out levels")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="lpg-gridworld", choices=RECIPES)
    parser.add_argument("--num-updates", type=int)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("runs/learned_rules"))
    parser.add_argument("--beside", nargs="*", default=list(GRID), choices=list(GRID))
    given = parser.parse_args()
    recipe = recipes.get(given.recipe)
    num_updates = given.num_updates or recipe.num_updates
    trained, seconds, found = [], [], []
    for seed in range(given.seeds):
        directory = given.runs / f"{recipe.name}-{seed}"
        started = time.perf_counter()
        trained.append(
            runs.train(
                recipe, directory, seed=seed, num_updates=num_updates, progress=False
            )
        )
        seconds.append(time.perf_counter() - started)
        print(seed, trained[-1]["adaptation_curve"]["mean"], seconds[-1], flush=True)
        found.append(runs.restore(directory))
    settings: dict[str, Any] = found[0][1]["arguments"]
    distribution = grid_levels.levels_of(settings["levels"], settings["horizon"])
    environment = cast(jm.types.Environment, distribution.environment)
    levels, best = jax.tree.map(np.asarray, grid_levels.held_out(distribution))
    sizes = {
        "num_updates": settings["lifetime"],
        "num_environments": settings["num_environments"],
        "length": settings["length"],
    }
    key_tune, key_lives = jax.random.split(jax.random.key(1))
    keys = jax.random.split(key_lives, given.seeds)
    curves: dict[str, Any] = {"learned rule": [], "before learning": []}
    for seed, (key, (_, _, experiment, state)) in enumerate(
        zip(keys, found, strict=True)
    ):
        unlearned = experiment.learner.init(jax.random.key(seed))
        for name, rule in (("learned rule", state), ("before learning", unlearned)):
            curves[name].append(experiment.evaluate(key, rule, len(best))[0])
    tuned = {}
    for kind in given.beside:
        alike = known(kind, environment, settings)
        chosen, rows = comparisons.tune(
            key_tune, distribution, alike, num_agents=NUM_TUNING_LEVELS, **sizes
        )
        tuned[kind] = {"chosen": chosen, "grid": rows}
        agent, numbers = alike.make(chosen)
        curves[kind] = [
            jm.life_curves(key, agent, numbers, environment, levels, **sizes)[0]
            for key in keys
        ]
        print(kind, chosen, flush=True)
    stacked = {name: np.stack(rows) for name, rows in curves.items()}
    name = recipe.name.replace("-", "_") + "_regret"
    harness.save(
        name,
        f"python benchmarks/learned_rules.py --recipe {recipe.name} --num-updates "
        f"{num_updates} --seeds {given.seeds} --beside {' '.join(given.beside)}",
        recipe=recipe.name,
        settings=settings,
        num_seeds=given.seeds,
        num_updates=num_updates,
        num_levels=len(best),
        optimum=float(best.mean()),
        steps_of_an_agent=int(np.prod(list(sizes.values()))),
        regret={kind: regrets(rows, best) for kind, rows in stacked.items()},
        regret_above_that_of_the_learned_rule={
            kind: difference(stacked["learned rule"], stacked[kind]) for kind in tuned
        },
        curves={kind: rows.mean((0, 1)).tolist() for kind, rows in stacked.items()},
        tuned=tuned,
        meta_training_steps=trained[0]["environment_steps"],
        training_seconds=[run["wall_seconds"] for run in trained],
        command_seconds=seconds,
    )
    draw(stacked, best, settings["lifetime"]).savefig(
        harness.RESULTS / f"{name}.png", dpi=150
    )


if __name__ == "__main__":
    main()
