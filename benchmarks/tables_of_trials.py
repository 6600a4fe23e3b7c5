"""The results of agents that learn within a trial, as Markdown."""

from sections import read, table, versions


def bandits() -> str:
    """RL^2's table of bandits."""
    results = [read(f"rl2_bandit_{pulls}") for pulls in (10, 100)]
    settings = [one for found in results for one in found["settings"]]
    names = list(settings[0]["references"])
    rows = []
    for one in settings:
        learned, arguments = one["rl2"]["total"], one["arguments"]
        played = [f"{one['references'][name]['mean']:.2f}" for name in names]
        optimum = one["rl2"]["optimum"]
        published = one["rl2"]["published"]["RL^2"][0]
        rows.append(
            [
                f"{arguments['num_pulls']}, {arguments['num_arms']}",
                *played,
                f"**{learned['mean']:.3f} ± {learned['error']:.3f}**",
                f"{published:.1f}",
                "" if optimum is None else f"{optimum[0]:.3f}",
            ]
        )
    updates, longer = (found["settings"][0]["rl2"]["num_updates"] for found in results)
    return (
        "Bernoulli bandits, the total reward of so many pulls of so many arms, on "
        f"{results[0]['num_test_tasks']:,} held-out bandits; `rl2-bandit` is the mean "
        f"of {results[0]['num_seeds']} seeds, with its standard error, after {updates} "
        f"updates for 10 pulls and {longer} for 100; the latter with the settings "
        "`LONGER` of `benchmarks/trials.py`. The optimum is exact, by dynamic "
        "programming, where it is known.\n\n"
        + table(
            ["pulls, arms", *names, "`rl2-bandit`", "RL² published", "optimum"], rows
        )
        + "\n\n"
        + " ".join(f"{versions(found)}." for found in results)
    )


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
        f"{found['num_test_tasks_per_seed']:,} goals each; VariBAD and RL² learn on "
        "policy, and their settings are not tuned for so few steps.\n\n"
        + table(["method", "returns", "goals reached"], rows)
        + "\n\n![Return of the third trajectory by environment steps]"
        f"(benchmarks/results/semicircle.png)\n\n{versions(found)}."
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
