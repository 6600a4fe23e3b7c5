"""The results of agents that learn within a trial, as Markdown."""

from typing import Any

from sections import read, table, versions

# Where no optimum is known: what the finite-horizon Gittins index reaches, at least.
AT_LEAST = {(100, 5): 78.64, (100, 10): 83.82, (100, 50): 85.66}
# Duan et al., 2016, table 2.
PUBLISHED_MDPS = {10: 156.2, 25: 445.7, 50: 936.1, 75: 1428.8, 100: 1913.7}


def bandits() -> str:
    """RL^2's table of bandits."""
    results = [read(f"rl2_bandit_{pulls}") for pulls in (10, 100)]
    settings = [one for found in results for one in found["settings"]]
    names = list(settings[0]["references"])
    rows = []
    for one in settings:
        arguments = one["arguments"]
        optimum = one["rl2"]["optimum"]
        least = AT_LEAST.get((arguments["num_pulls"], arguments["num_arms"]))
        rows.append(
            [
                f"{arguments['num_pulls']}, {arguments['num_arms']}",
                *_played(one, names, 2),
                _learned(one, 3),
                f"{one['rl2']['published']['RL^2'][0]:.1f}",
                f"≥ {least}" if optimum is None else f"{optimum[0]:.3f}",
                f"{one['rl2']['seconds'] / results[0]['num_seeds']:.0f}",
            ]
        )
    updates, longer = (found["settings"][0]["rl2"]["num_updates"] for found in results)
    return (
        "Bernoulli bandits, the total reward of so many pulls of so many arms, on "
        f"{results[0]['num_test_tasks']:,} held-out bandits; `rl2-bandit` is the mean "
        f"of {results[0]['num_seeds']} seeds, with its standard error, after {updates} "
        f"updates of 10 pulls, and {longer} of 100 with the settings `LONGER` of "
        "`benchmarks/trials.py`. The optimum of 10 pulls is exact, by dynamic "
        "programming; of 100 it is at least what the finite-horizon Gittins index "
        "reaches. Seconds are of training, per seed, on one core. Published numbers "
        "are rounded, of fewer bandits, and may be the best of training: one lies "
        "above the optimum. With 50 arms and 100 pulls the agent here does no better "
        "than the greedy strategy.\n\n"
        + table(
            [
                "pulls, arms",
                *names,
                "`rl2-bandit`",
                "RL² published",
                "optimum",
                "seconds",
            ],
            rows,
        )
        + "\n\n"
        + " ".join(f"{versions(found)}." for found in results)
    )


def finite_mdps() -> str:
    """RL^2's table of finite MDPs."""
    results = [read(f"rl2_tabular_{episodes}") for episodes in (10, 25)]
    names = list(results[0]["settings"][0]["references"])
    rows = []
    for found in results:
        one = found["settings"][0]
        episodes, learned = one["arguments"]["num_episodes"], one["rl2"]
        rows.append(
            [
                str(episodes),
                *_played(one, names, 1),
                _learned(one, 1),
                f"{PUBLISHED_MDPS[episodes]:.1f}",
                f"{learned['optimum'][0] * episodes:.1f}",
                f"{learned['environment_steps']:,}",
                f"{learned['seconds'] / found['num_seeds']:.0f}",
            ]
        )
    first = results[0]
    return (
        "Finite MDPs of 10 states, 5 actions and 10 steps, the total reward of so many "
        f"episodes, on {first['num_test_tasks']:,} held-out MDPs; `rl2-tabular` is the "
        f"mean of {first['num_seeds']} seeds, with its standard error, after so many "
        "environment steps. The strategies "
        "know the prior the MDPs are drawn from; the oracle is told the MDP, which no "
        "strategy can equal.\n\n"
        + table(
            [
                "episodes",
                *names,
                "`rl2-tabular`",
                "RL² published",
                "oracle",
                "steps",
                "seconds",
            ],
            rows,
        )
        + "\n\n"
        + " ".join(f"{versions(found)}." for found in results)
    )


def _played(one: dict[str, Any], names: list[str], digits: int) -> list[str]:
    return [f"{one['references'][name]['mean']:.{digits}f}" for name in names]


def _learned(one: dict[str, Any], digits: int) -> str:
    total = one["rl2"]["total"]
    return f"**{total['mean']:.{digits}f} ± {total['error']:.{digits}f}**"


def semicircle() -> str:
    """PEARL beside VariBAD and RL^2 at equal environment steps."""
    found = read("semicircle")
    rows = []
    for name, one in found["methods"].items():
        reached = [
            sum(column) / len(column) for column in zip(*one["reached"], strict=True)
        ]
        rows.append(
            [
                name,
                ", ".join(f"{mean:.2f}" for mean in one["mean"][:3]),
                ", ".join(f"{100 * part:.1f}%" for part in reached),
            ]
        )
    steps = found["methods"]["PEARL"]["environment_steps"]
    return (
        "A point robot and goals on a half circle, dense rewards, after "
        f"{steps:,} environment steps of each method: return of each of three "
        "trajectories (told the goal it is -3.84), and held-out goals that are within "
        f"{found['radius']} at its end. Means of {found['num_seeds']} seeds, "
        f"{found['num_test_tasks_per_seed']:,} goals each. VariBAD and RL² learn on "
        "policy, and after so few steps neither has learned to adapt yet: their "
        "returns are about those of an agent that ignores the goal.\n\n"
        + table(["method", "returns", "goals reached"], rows)
        + "\n\n![Return of the third trajectory by environment steps]"
        f"(results/semicircle.png)\n\n{versions(found)}."
    )


def memories() -> str:
    """A gradient on long trials, by memory."""
    found = read("memory_1000")
    rows = [
        [
            name,
            f"{one['median']:.3f}",
            f"{one['lower_quartile']:.3f} to {one['upper_quartile']:.3f}",
            f"{one['compile_seconds']:.1f}",
        ]
        for name, one in found["memories"].items()
    ]
    return (
        "A learning step (loss and gradient) on 16 trials of 1,000 steps, memories of "
        "size 64, in seconds:\n\n"
        + table(["memory", "median", "quartiles", "compilation"], rows)
        + f"\n\n{versions(found)}."
    )
