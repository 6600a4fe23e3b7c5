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
        f"(results/outer_gradients.png)\n\n{versions(found)}."
    )


RULES = {
    "lpg-gridworld": "LPG",
    "talpg-gridworld": "LPG that sees the lifetime",
    "open-gridworld": "OPEN, an optimizer",
    "dpo-drift": "LPO, a drift",
}


def _chosen(results: list, kind: str) -> str:
    """The rates chosen beside each rule, and those chosen from."""
    parts = []
    for found in results:
        if kind in found["tuned"]:
            one = found["tuned"][kind]
            rates = sorted({row["rate"] for row in one["grid"]})
            parts.append(
                f"{one['chosen']['rate']:g} of {', '.join(f'{r:g}' for r in rates)}"
            )
    return "; ".join(dict.fromkeys(parts))


def held_out_levels() -> str:
    """Agents by learned rules and by known ones, in levels they were not trained in."""
    results = [read(f"{name.replace('-', '_')}_regret") for name in RULES]

    def cell(interval):
        return f"{interval['mean']:.3f} [{interval['low']:.3f}, {interval['high']:.3f}]"

    rows = []
    for found, rule in zip(results, RULES.values(), strict=True):
        settings, regret = found["settings"], found["regret"]
        untrained = regret.get("before learning")
        lifetimes = settings["num_lifetimes"]
        if "sigma" in settings:
            lifetimes *= 2  # pairs, of opposite perturbations
        rows.append(
            [
                rule,
                f"{lifetimes} x {settings['lifetime']}",
                f"{found['meta_training_steps'] / 1e6:.0f} M",
                f"{min(found['training_seconds']):.0f} to "
                f"{max(found['training_seconds']):.0f}",
                "" if untrained is None else f"{untrained['end']['mean']:.3f}",
                cell(regret["learned rule"]["end"]),
                *(
                    cell(regret[kind]["end"]) if kind in regret else ""
                    for kind in ("A2C", "PPO")
                ),
                "; ".join(
                    f"{kind} {cell(more['end'])}"
                    for kind, more in found[
                        "regret_above_that_of_the_learned_rule"
                    ].items()
                ),
            ]
        )
    first = results[0]
    pictures = " ".join(
        f"![Return by updates of an agent, {rule}]"
        f"(results/{name.replace('-', '_')}_regret.png)"
        for name, rule in RULES.items()
        if name in ("lpg-gridworld", "open-gridworld")
    )
    return (
        "Rules learned on small grids with objects, from nothing, and what agents come "
        f"to that live by them: regret of tables in {first['num_levels']} held-out "
        f"levels, whose best return is {first['optimum']:.2f} on average and exact, at "
        "the end of a life, with 95% intervals over levels and "
        f"{first['num_seeds']} seeds. Agents act in "
        f"{first['settings']['num_environments']} environments, "
        f"{first['settings']['length']} steps an update. A2C and PPO descend plain "
        "gradients, their critics Adam, and are tuned on training levels by their "
        f"return over a life, to rates of {_chosen(results, 'A2C')} (A2C) and "
        f"{_chosen(results, 'PPO')} (PPO, beside LPO by LPO's own optimizer, epochs "
        f"and minibatches). LPG has an LSTM of {first['settings']['size']} and follows "
        "meta-gradients, OPEN and LPO evolve by how pairs of agents end. The last "
        "column is the regret of A2C and PPO less that of the rule on the same levels, "
        "with seeds and levels resampled:\n\n"
        + table(
            [
                "rule",
                "agents x updates of a life",
                "steps of meta-training",
                "seconds",
                "regret before learning",
                "learned rule",
                "A2C",
                "PPO",
                "of known ones less its own",
            ],
            rows,
        )
        + f"\n\n{pictures}\n\n"
        + " ".join(f"{versions(found)}." for found in results)
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
        f"(results/discounting_chain.png)\n\n{versions(found)}."
    )


def cross_domain() -> str:
    """Rules learned on grids, elsewhere."""
    found, drift = read("cross_domain"), read("cross_domain_drift")
    return (
        f"The rules of {len(found['num_meta_updates'])} runs each, untouched, in "
        "environments of other kinds, for networks in place of tables: return at the "
        f"end of a life, interquartile means of {found['num_agents']} agents per rule "
        "with 95% bootstrap intervals, each kind of agent tuned for the environment on "
        "other agents. The score is zero where agents begin, and one where A2C ends. "
        "LPG's rule is at home in Catch, and learns next to nothing elsewhere:"
        f"\n\n{_elsewhere(found)}\n\n{versions(found)}.\n\n"
        "The drift that LPO learned is a smaller part of an agent; it holds policies "
        "back elsewhere as it did on grids, and agents of it learn in all of these:"
        f"\n\n{_elsewhere(drift)}\n\n{versions(drift)}."
    )


def _elsewhere(found: dict) -> str:
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
    header = ["environment", "steps", "before", "learned rule", "A2C", "PPO"]
    return table([*header, "score of the rule"], rows)
