"""The results of adaptation at work, as Markdown."""

from typing import Any

from sections import between, read, row, table, versions


def locomotion() -> str:
    """MAML on half-cheetahs, beside what was published."""
    runs = {
        "tanh units, radius .01": read("locomotion_halfcheetah_direction"),
        "ReLU units, radius .02": read("locomotion_halfcheetah_direction_relu"),
    }
    speed = read("locomotion_speed")
    first = next(iter(runs.values()))
    (published,) = first["published"].items()
    lines = ["| gradient steps | 0 | 1 | 2 | 3 | forwards | backwards |"]
    lines.append("|---" * 7 + "|")
    for label, found in runs.items():
        last = found["tests"][-1]
        each = [_mean(last[f"{way}_of_seeds"], 1) for way in ("forwards", "backwards")]
        lines.append(
            row(f"{label}, {len(last['curves'])} seeds", [*last["curve"], *each])
        )
    lines.append(row(f"published: {published[0]}", published[1]) + " | |")
    last = first["tests"][-1]
    bodies = ", ".join(
        f"{one['steps_per_second'] / 1e6:.2f} M with {one['bodies']:,}"
        for one in speed["bodies"]
    )
    return (
        "Half-cheetahs that have to run forwards or backwards, by MuJoCo XLA, in the "
        "protocol of MAML's paper (40 tasks of 20 episodes of 200 steps before and "
        f"after one gradient step): after {last['num_updates']} meta-updates, "
        f"{last['environment_steps'] / 1e6:.0f} M environment steps a seed, in "
        f"{last['seconds']:.0f} s of training (and {_compilation(first)} s of "
        "compilation); the run was cut there, by its clock. The other is after "
        f"{runs['ReLU units, radius .02']['tests'][-1]['num_updates']}. On "
        f"{len(last['curves'][0])} fresh adaptations for each seed, half to each "
        "direction (there are no others, so both were trained on), final params; "
        "forwards and backwards are after one step:\n\n" + "\n".join(lines) + "\n\n"
        f"Environment steps a second of random actions: {bodies} bodies. "
        + " ".join(f"{versions(found)}." for found in (*runs.values(), speed))
    )


def _compilation(found: dict[str, Any]) -> str:
    return f"{sum(found['compile_seconds'].values()):.0f}"


def _mean(rows: list[list[float]], column: int) -> float:
    return sum(one[column] for one in rows) / len(rows)


def domains() -> str:
    """One learner for three environments beside one for each."""
    found = read("domains")
    rows = [
        [domain, *(f"{between(one, 0)}; {between(one, 1)}" for one in each.values())]
        for domain, each in found["after_training"].items()
    ]
    header = ["", *next(iter(found["after_training"].values()))]
    return (
        "RL² on cart-poles, acrobots and mountain cars behind one interface "
        "(`tasks.mixture`), and on one of them at a time, with as many environment "
        f"steps in a domain. Returns of the {found['num_episodes']} episodes of a "
        f"trial on {found['num_test_tasks']} held-out tasks, mean and 95% interval of "
        f"{found['num_seeds']} seeds, about their range. Seeds differ more than "
        "learners do:\n\n"
        + table(header, rows)
        + "\n\n![Return by environment steps in each domain](results/domains.png)\n\n"
        + f"{versions(found)}."
    )


def diagnosis() -> str:
    """What `diagnose` says where the truth is known."""
    found = read("diagnose")
    rows = []
    for name, case in found["cases"].items():
        first = case["seeds"][0]
        count = f"{case['num_right']} of {len(case['seeds'])}"
        rows.append([name, case["why"], case["right"], count, first["words"][1]])
    return (
        "`jaxmeta.diagnose` on tasks for which the right answer is known. Scratch and "
        "fine-tuning have as many updates as the learner, of rates tuned on other "
        "draws of tasks; there are five unrelated bandits and one goal for all, so "
        "that no task is new there:\n\n"
        + table(["tasks", "what is true", "answer", "seeds with it", "the first"], rows)
        + "\n\n![Adaptation of all ways to learn, navigation]"
        f"(results/diagnose_navigation.png)\n\n{versions(found)}."
    )


def drifting_goals() -> str:
    """Ways to forget where the task drifts."""
    found = read("drifting_goals")
    kinds = list(found["returns"])
    rows = [
        [way, *(_interval(found["returns"][kind][way]) for kind in kinds)]
        for way in found["returns"][kinds[0]]
    ]
    return (
        "Navigation without an end, the goal of which jumps every "
        f"{found['jump_every']} batches of {found['num_episodes']} episodes, or "
        "walks at random: mean return of a batch over a life of "
        f"{found['num_batches']}, by `jm.continual`, with 95% intervals over "
        f"{found['num_seeds']} seeds of {found['num_streams']} streams each:\n\n"
        + table(["", *kinds], rows)
        + "\n\nReturns of jumps, which come at other times in each stream; means:\n\n"
        "![Return by batches, jumps](results/drifting_goals_jumps.png)\n\n"
        + f"{versions(found)}."
    )


def recommendation() -> str:
    """Regret on held-out households, and on held-out users."""
    panels = {name: read(f"recommendation_{name}") for name in ("tuna", "crackers")}
    films = read("recommendation")
    strategies = list(panels["tuna"]["cumulative_regret"])
    rows = [
        [
            name,
            *(_end(found["cumulative_regret"][name]) for found in panels.values()),
            _end(films["cumulative_regret"][label]) if label else "",
        ]
        for name in strategies
        for label in [_FILMS.get(name)]
    ]
    counts = {name: found["households"] for name, found in panels.items()}
    header = [
        "",
        *(f"{name}, {count} households" for name, count in counts.items()),
        f"films, {sum(films['held_out_users'])} users",
    ]
    return (
        "Recommendation: which brand to offer to a household at its next purchase, of "
        "scanner panels, and which of five films to a user, of MovieLens; the reward "
        "is that it is what was bought, or the stars. Cumulative regret over ten "
        "interactions of those who were held out, in five splits that hold everybody "
        "out once, with 95% intervals over them. All are fitted and tuned on the "
        "others alone, but for what films are kept and the rate of meta-learning on "
        "them, which were chosen with all users in view. On tuna the beliefs that "
        "are meta-learned are below LinUCB, Thompson sampling and one model for "
        "all; LinUCB that starts from that model, or empirical Bayes, can be as good, "
        "and on crackers and films meta-training adds nothing to empirical Bayes. "
        "Purchases of tuna are sorted by brand in the data, so they are drawn in a "
        "random order:\n\n" + table(header, rows) + "\n\n![Regret by purchases of tuna]"
        "(results/recommendation_tuna_regret.png)\n\n"
        + " ".join(f"{versions(found)}." for found in (*panels.values(), films))
    )


# The same strategies by the names they have in the other file.
_FILMS = {
    "random": "random",
    "global model": "global",
    "LinUCB": "LinUCB",
    "Thompson": "Thompson",
    "LinUCB from the global model": "LinUCB from global",
    "empirical Bayes UCB": "empirical Bayes UCB",
    "empirical Bayes Thompson": "empirical Bayes Thompson",
    "meta-learned belief from empirical Bayes": "meta-learned",
    "meta-learned belief from empirical Bayes, before meta-training": (
        "before meta-training"
    ),
}


def _end(one: dict[str, list[float]]) -> str:
    return f"{one['mean'][-1]:.2f} [{one['low'][-1]:.2f}, {one['high'][-1]:.2f}]"


def _interval(one: dict[str, float]) -> str:
    if "diverged" in one:
        return "diverges in some streams"
    return f"{one['mean']:.2f} [{one['low']:.2f}, {one['high']:.2f}]"
