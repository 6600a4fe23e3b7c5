"""A rule learned on grids, in environments it was not learned in.

``python benchmarks/cross_domain.py DIR [DIR ...]``: the rules of these runs (such as
``learned_rules.py`` leaves behind), untouched, beside A2C and PPO on the same number of
steps. What each kind of agent leaves open (rates of Adam, the entropy bonus of A2C and
PPO, the size of the rewards a rule is told) is chosen for each environment on agents
that are not among those reported. A score of zero is that of agents that have not
learned, a score of one that of A2C.
"""

import argparse
import time
from pathlib import Path
from typing import Any, NamedTuple

import harness
import jax
import jax.numpy as jnp
import numpy as np

import jaxmeta as jm
from jaxmeta import agents, comparisons, runs, transfer


class Setting(NamedTuple):
    """Steps of an episode (None: those of the environment), updates, hidden layers."""

    horizon: int | None
    num_updates: int
    hidden: tuple[int, ...] = (64, 64)


SETTINGS = {
    "CartPole-v1": Setting(200, 500),
    "Acrobot-v1": Setting(500, 500),
    "Catch-bsuite": Setting(9, 500),
    "DeepSea-bsuite": Setting(8, 500),
    "Breakout-MinAtar": Setting(500, 500),
    "SpaceInvaders-MinAtar": Setting(500, 500),
}
NUM_TUNING_AGENTS = 4


def middle(values: np.ndarray, seed: int = 0) -> dict[str, float]:
    """Interquartile mean of ``[rules, agents]`` with its 95% bootstrap interval.

    Agents of a rule are alike, so rules are resampled first, then agents of each.
    """
    generator = np.random.default_rng(seed)
    rules, count = values.shape
    rows = generator.integers(rules, size=(2000, rules, 1))
    columns = generator.integers(count, size=(2000, rules, count))
    resampled = values[rows, columns].reshape(2000, -1)
    means = np.asarray(jm.interquartile_mean(jnp.asarray(resampled.T)))
    low, high = np.quantile(means, [0.025, 0.975])
    mean = float(jm.interquartile_mean(jnp.asarray(values.reshape(-1))))
    return {"mean": mean, "low": float(low), "high": float(high)}


def measure(name: str, setting: Setting, rules: dict, given: Any) -> dict[str, Any]:
    """Agents of all kinds in one environment."""
    distribution = jm.tasks.from_gymnax(name, horizon=setting.horizon)
    sizes = {
        "num_updates": setting.num_updates,
        "num_environments": given.num_environments,
        "length": given.length,
    }
    options = {"hidden": setting.hidden, "rates": agents.RATES}
    kinds = transfer.known_kinds(
        distribution, num_environments=given.num_environments, **options
    )
    for directory, (experiment, meta_params) in rules.items():
        kinds[directory] = transfer.learned_kind(
            experiment,
            meta_params,
            distribution,
            name=directory,
            num_updates=setting.num_updates,
            **options,
        )
    found = comparisons.compare(
        jax.random.key(0),
        distribution,
        kinds,
        num_agents=given.num_agents,
        num_tuning_agents=NUM_TUNING_AGENTS,
        **sizes,
    )
    curves = {kind: found[kind].curves[None] for kind in ("A2C", "PPO")}
    curves["learned rule"] = np.stack([found[directory].curves for directory in rules])
    begun = middle(curves["A2C"][..., 0])["mean"]
    reached = middle(curves["A2C"][..., -1])

    def score(rows):
        return middle((rows[..., -1] - begun) / (reached["mean"] - begun))

    has_learned = reached["low"] > begun
    return {
        **setting._asdict(),
        "horizon": distribution.environment.horizon,
        "environment_steps": int(np.prod(list(sizes.values()))),
        "before": begun,
        "return": {kind: middle(rows[..., -1]) for kind, rows in curves.items()},
        "score": {
            kind: score(rows) if has_learned else None for kind, rows in curves.items()
        },
        "curves": {
            kind: [middle(column)["mean"] for column in np.moveaxis(rows, -1, 0)]
            for kind, rows in curves.items()
        },
        "chosen": {kind: one.chosen for kind, one in found.items()},
        "tuning": {kind: one.tuning for kind, one in found.items()},
    }


def save(results: dict[str, Any], restored: dict[str, Any], given: Any) -> None:
    """After each environment, as all of them take long."""
    command = (
        f"python benchmarks/cross_domain.py {' '.join(given.directories)} "
        f"--environments {' '.join(results)} --num-agents {given.num_agents}"
        + (f" --num-updates {given.num_updates}" if given.num_updates else "")
        + (f" --label {given.label}" if given.label else "")
    )
    harness.save(
        f"cross_domain{given.label}",
        command,
        recipes=[recipe.name for recipe, *_ in restored.values()],
        num_meta_updates=[int(state.step) for *_, state in restored.values()],
        num_agents=given.num_agents,
        num_environments=given.num_environments,
        length=given.length,
        environments=results,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directories", nargs="+", metavar="DIR")
    parser.add_argument("--environments", nargs="+", default=list(SETTINGS))
    parser.add_argument("--num-updates", type=int, help="in place of the settings'")
    parser.add_argument("--num-agents", type=int, default=16)
    parser.add_argument("--num-environments", type=int, default=16)
    parser.add_argument("--length", type=int, default=20)
    parser.add_argument("--label", default="", help="of the file")
    given = parser.parse_args()
    restored = {one: runs.restore(Path(one)) for one in given.directories}
    rules = {
        one: (experiment, state.meta_params)
        for one, (_, _, experiment, state) in restored.items()
    }
    results = {}
    for name in given.environments:
        started = time.perf_counter()
        setting = SETTINGS[name]
        if given.num_updates is not None:
            setting = setting._replace(num_updates=given.num_updates)
        results[name] = measure(name, setting, rules, given)
        results[name]["seconds"] = time.perf_counter() - started
        print(name, results[name]["return"], results[name]["score"], flush=True)
        save(results, restored, given)


if __name__ == "__main__":
    main()
