"""A rule learned on grids, in environments it was not learned in.

``python benchmarks/cross_domain.py DIR [DIR ...]``: the rules of these runs (such as
``learned_rules.py`` leaves behind), untouched, beside A2C and PPO on the same number of
steps. The rate of an agent's Adam is chosen for each rule and environment, and the
entropy bonus of A2C and PPO with it, on agents that are not among those reported. A
score of zero is that of agents that have not learned, a score of one that of A2C.
"""

import argparse
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import harness
import jax
import jax.numpy as jnp
import numpy as np

import jaxmeta as jm
from jaxmeta import agents, runs, transfer
from jaxmeta.agents import Agent, Numbers


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
    "SpaceInvaders-MinAtar": Setting(500, 2000),
}
RATES = (1e-3, 3e-3, 1e-2)
ENTROPIES = (0.0, 0.01)
NUM_TUNING_AGENTS = 4
Made = Callable[[dict[str, float]], tuple[Agent, Any]]


def known(make: Any, distribution: Any, setting: Setting) -> tuple[Made, dict]:
    """Agents by a known rule, and what its numbers are chosen from."""
    agent = make(
        distribution.environment, hidden=setting.hidden, optimizer=transfer.clipped
    )

    def made(numbers):
        return agent, Numbers(**{k: jnp.float32(v) for k, v in numbers.items()})

    return made, {"rate": RATES, "entropy_coefficient": ENTROPIES}


def learned(directory: Path, distribution: Any, setting: Setting) -> tuple[Made, dict]:
    """Agents by the rule of a run, and the rates to choose from."""
    _, _, experiment, state = runs.restore(directory)
    agent_in = experiment.agent_in
    if agent_in is None:
        raise SystemExit(f"{directory} holds no run of a learning rule")

    def made(numbers):
        agent = agent_in(
            distribution, setting.hidden, numbers["rate"], setting.num_updates
        )
        return agent, state.meta_params

    return made, {"rate": RATES}


def measure(
    made: Made, grid: dict, distribution: Any, sizes: dict, num_agents: int
) -> dict[str, Any]:
    """Choose the numbers, then let new agents live by them."""
    key_tune, key_test = jax.random.split(jax.random.key(0))

    def curves(key, numbers, count):
        found = transfer.compare(
            key, distribution, {"": made(numbers)}, num_agents=count, **sizes
        )
        return np.asarray(found[""])

    options = [
        dict(zip(grid, values, strict=True))
        for values in itertools.product(*grid.values())
    ]
    scores = [
        float(curves(key_tune, option, NUM_TUNING_AGENTS)[:, -1].mean())
        for option in options
    ]
    chosen = options[int(np.argmax(scores))]
    return {
        "chosen": chosen,
        "tuning": [{**o, "return": s} for o, s in zip(options, scores, strict=True)],
        "curves": curves(key_test, chosen, num_agents),
    }


def scored(
    rows: np.ndarray, random: float, reference: np.ndarray
) -> dict[str, float] | None:
    """The interquartile mean of final scores, with its 95% bootstrap interval.

    None where A2C has not learned, as then there is nothing to measure by.
    """
    learned = _interval(reference)
    if learned.low <= random:
        return None
    scores = (rows[:, -1] - random) / (float(learned.mean) - random)
    return {k: float(v) for k, v in _interval(scores)._asdict().items()}


def _interval(values: np.ndarray) -> jm.evaluation.Interval:
    return jm.bootstrap_interval(
        jax.random.key(0), jnp.asarray(values), statistic=jm.interquartile_mean
    )


def table(results: dict[str, Any]) -> str:
    """Normalised scores in Markdown."""
    kinds = ("learned rule", "A2C", "PPO")
    lines = [
        f"| environment | steps | random | {' | '.join(kinds)} | score of the rule |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, found in results.items():
        score = found["score"]["learned rule"]
        shown = "A2C did not learn"
        if score is not None:
            shown = f"{score['mean']:.2f} [{score['low']:.2f}, {score['high']:.2f}]"
        returns = [f"{found['return'][kind]:.2f}" for kind in kinds]
        lines.append(
            f"| {name} | {found['environment_steps']:,} | {found['random']:.2f} | "
            f"{' | '.join(returns)} | {shown} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directories", nargs="+", type=Path, metavar="DIR")
    parser.add_argument("--environments", nargs="+", default=list(SETTINGS)[:4])
    parser.add_argument("--num-updates", type=int, help="in place of the settings'")
    parser.add_argument("--num-agents", type=int, default=10)
    parser.add_argument("--num-environments", type=int, default=16)
    parser.add_argument("--length", type=int, default=20)
    given = parser.parse_args()
    results: dict[str, Any] = {}
    for name in given.environments:
        setting = SETTINGS[name]
        if given.num_updates is not None:
            setting = setting._replace(num_updates=given.num_updates)
        distribution = jm.tasks.from_gymnax(name, horizon=setting.horizon)
        sizes = {
            "num_updates": setting.num_updates,
            "num_environments": given.num_environments,
            "length": given.length,
        }
        found = {
            kind: measure(*known(make, distribution, setting), distribution, sizes, n)
            for kind, make, n in (
                ("A2C", agents.a2c, given.num_agents),
                ("PPO", agents.ppo, given.num_agents),
            )
        }
        each = [
            measure(
                *learned(directory, distribution, setting),
                distribution,
                sizes,
                given.num_agents,
            )
            for directory in given.directories
        ]
        found["learned rule"] = {
            "chosen": [one["chosen"] for one in each],
            "tuning": [one["tuning"] for one in each],
            "curves": np.concatenate([one["curves"] for one in each]),
        }
        middle = {
            kind: np.asarray(jm.interquartile_mean(row["curves"]))
            for kind, row in found.items()
        }
        random, reference = float(middle["A2C"][0]), found["A2C"]["curves"][:, -1]
        results[name] = {
            **setting._asdict(),
            "environment_steps": int(np.prod(list(sizes.values()))),
            "random": random,
            "return": {kind: float(row[-1]) for kind, row in middle.items()},
            "score": {
                kind: scored(row["curves"], random, reference)
                for kind, row in found.items()
            },
            "curves": {kind: row.tolist() for kind, row in middle.items()},
            "chosen": {kind: row["chosen"] for kind, row in found.items()},
            "tuning": {kind: row["tuning"] for kind, row in found.items()},
        }
        print(table(results), flush=True)
    harness.save(
        "cross_domain",
        f"python benchmarks/cross_domain.py {' '.join(map(str, given.directories))} "
        f"--environments {' '.join(given.environments)} --num-agents "
        f"{given.num_agents}"
        + (f" --num-updates {given.num_updates}" if given.num_updates else ""),
        num_agents=given.num_agents,
        num_rules=len(given.directories),
        num_environments=given.num_environments,
        length=given.length,
        environments=results,
    )
    print(table(results))


if __name__ == "__main__":
    main()
