"""The results of what learns the algorithm itself, as Markdown."""

from sections import read, table, versions


def outer_gradients() -> str:
    """Estimators of the outer gradient where the meta-optimum is known."""
    found = read("outer_gradients")
    rows = []
    for name, one in found["estimators"].items():
        slope, learned = one["slope"], one["learned"]
        expected = slope["expected"]
        rates = learned["rate"]
        rows.append(
            [
                name,
                f"{slope['mean']:.4f} ± {slope['error']:.4f}",
                "" if expected is None else f"{expected:.4f}",
                f"{slope['spread']:.4f}",
                f"{sum(rates) / len(rates):.3f}",
                f"{sum(learned['loss']) / len(rates):.3f}",
            ]
        )
    return (
        "Estimators of the outer gradient where the meta-optimum is known: agents "
        "descend a noisy bowl for 100 updates by a rate that is meta-learned, and the "
        f"best rate is {found['best_rate']:.3f}, with a mean loss of "
        f"{found['best_loss']:.3f}. The number is the updates of a window, of "
        "bootstrapped ones those matched and those ahead. Slope of the loss by log "
        f"rate at rate {found['first_rate']}, where the exact slope of a life is "
        f"{found['slope']:.4f}: mean with its standard error, what the window's "
        f"estimator should be on average, and the spread of one estimate of "
        f"{found['num_agents']} agents; bootstrapped slopes are of another loss. Then "
        f"the rate that learning ends at, and the loss there, means of "
        f"{found['num_seeds']} seeds:\n\n"
        + table(
            ["estimator", "slope", "expected", "spread", "rate in the end", "loss"],
            rows,
        )
        + "\n\n![Slopes, and rates while they are learned]"
        f"(benchmarks/results/outer_gradients.png)\n\n{versions(found)}."
    )


def held_out_levels() -> str:
    """Agents by LPG's rule and by known ones, in levels they were not trained in."""
    found = read("lpg_gridworld_regret")

    def cell(interval):
        return f"{interval['mean']:.3f} [{interval['low']:.3f}, {interval['high']:.3f}]"

    rows = [
        [name, cell(one["end"]), cell(one["life"])]
        for name, one in found["regret"].items()
    ]
    settings, tuned = found["settings"], found["tuned"]["A2C"]
    more = found["regret_above_that_of_the_learned_rule"]["A2C"]
    rates = sorted({row["rate"] for row in tuned["grid"]})
    return (
        f"LPG on small grids with objects: {settings['num_lifetimes']} lifetimes of "
        f"{settings['lifetime']} updates at a time, {settings['num_environments']} "
        f"environments of {settings['length']} steps each, an LSTM of "
        f"{settings['size']}, {found['meta_training_steps']:,} steps of meta-training "
        f"per seed. Regret of tables in {found['num_levels']} held-out levels, whose "
        f"best return is {found['optimum']:.2f} on average and exact, at the end of a "
        "life and on average over it, with 95% intervals over levels and "
        f"{found['num_seeds']} seeds. A2C is tuned on training levels by its "
        f"return over a life, to a rate of {tuned['chosen']['rate']:g} of "
        f"{', '.join(f'{rate:g}' for rate in rates)}. The rule is learned from "
        f"nothing. A2C's regret less that of the rule on the same levels is "
        f"{cell(more['end'])} at the end and {cell(more['life'])} over a life:\n\n"
        + table(["agent", "regret at the end", "over a life"], rows)
        + "\n\n![Return by updates of an agent]"
        f"(benchmarks/results/lpg_gridworld_regret.png)\n\n{versions(found)}."
    )


def discounting_chain() -> str:
    """The discount that agents give themselves."""
    found = read("discounting_chain")
    rows = []
    for name, one in found["methods"].items():
        discount, returns = one["discount"], one["return"]
        published = one["published"]
        rows.append(
            [
                name,
                f"{discount['mean']:.5f} ± {discount['error']:.5f}",
                f"{returns['mean']:.4f} ± {returns['error']:.4f}",
                ", ".join(f"{row[-1]:g}" for row in published.values()),
            ]
        )
    return (
        "DiscountingChain, where the best reward, 1.1, is the latest: an agent learns "
        "its own discount, from .95, in one life of "
        f"{found['num_updates']:,} updates of {found['num_environments']} episodes. "
        "Judged by values of its own discount it becomes short-sighted, as published; "
        "with an outer critic, of a discount of one, it does not. Means of "
        f"{found['num_seeds']} seeds with standard errors, returns on "
        f"{found['num_test_episodes']:,} episodes each; published runs had 128 "
        "episodes an update:\n\n"
        + table(["", "discount", "return", "published"], rows)
        + "\n\n![Discount and return by updates]"
        f"(benchmarks/results/discounting_chain.png)\n\n{versions(found)}."
    )


def cross_domain() -> str:
    """The rule learned on grids, elsewhere."""
    found = read("cross_domain")

    def cell(interval):
        return f"{interval['mean']:.2f} [{interval['low']:.2f}, {interval['high']:.2f}]"

    rows = []
    for name, one in found["environments"].items():
        score = one["score"]["learned rule"]
        rows.append(
            [
                name,
                f"{one['environment_steps']:,}",
                f"{one['before']:.2f}",
                *(cell(one["return"][kind]) for kind in ("learned rule", "A2C", "PPO")),
                "A2C did not learn" if score is None else cell(score),
            ]
        )
    return (
        f"The rules of {len(found['num_meta_updates'])} of these runs, untouched, in "
        "environments of other kinds, for networks in place of tables: return at the "
        f"end of a life, interquartile means of {found['num_agents']} agents per rule "
        "with 95% bootstrap intervals, each kind of agent tuned for the environment on "
        "other agents. The score is zero where agents begin, and one where A2C ends. "
        "The rule is at home in Catch, and learns next to nothing elsewhere:"
        "\n\n"
        + table(
            [
                "environment",
                "steps",
                "before",
                "learned rule",
                "A2C",
                "PPO",
                "score of the rule",
            ],
            rows,
        )
        + f"\n\n{versions(found)}."
    )
