"""The pages of results, made of the files in ``results/``.

``python benchmarks/tables.py`` writes the tables into this folder's README and that of
the project, and SCALING.md; a test holds all of them to the files.
"""

from typing import Any

import front_page
import scaling_model
from sections import HERE, between, read, row, table, versions
from tables_of_rules import (
    cross_domain,
    discounting_chain,
    held_out_levels,
    outer_gradients,
)
from tables_of_speed import (
    accelerator,
    deployment,
    growth,
    meta_updates,
    seeds,
    time_to_return,
)
from tables_of_trials import bandits, finite_mdps, memories, semicircle
from tables_of_use import (
    diagnosis,
    domains,
    drifting_goals,
    locomotion,
    recommendation,
)

PAGE = HERE / "README.md"
RECIPES = (
    "maml-cartpole",
    "maml-bandit",
    "maml-tabular",
    "promp-navigation2d",
    "metasgd-navigation2d",
    "anil-navigation2d",
    "cavia-navigation2d",
    "varibad-gridnavi",
    "rl2-gridnavi",
    "rl2-darkroom",
    "rl2-cartpole",
    "attention-bandit",
    "metagradient-catch",
)


def navigation() -> str:
    """The adaptation curve of the recipe beside the published one."""
    found = read("maml_navigation2d")
    curve, mode = found["adaptation_curve"], found["mode_adaptation_curve"]
    steps = range(len(curve["mean"]))
    introduction = (
        "Find a goal in the plane that is not observed, from the rewards of 40 "
        "episodes per gradient step. 20 tasks of 20 episodes per meta-update, as in "
        "the paper; where the recipe departs from it is said in "
        "`jaxmeta/recipes/maml_navigation2d.py`.\n\n"
    )
    lines = [
        f"| return after ... gradient steps | {' | '.join(map(str, steps))} |",
        "|---" * (len(steps) + 1) + "|",
        row("**jaxmeta**", curve["mean"], curve["standard_error_over_seeds"]),
        row(
            "jaxmeta, mode of the policy",
            mode["mean"],
            mode["standard_error_over_seeds"],
        ),
        *(row(f"published: {name}", v) for name, v in found["published"].items()),
        row("oracle that knows the goal", found["optimum"]),
    ]
    wall = ", ".join(f"{seconds:.0f}" for seconds in found["command_seconds"])
    about = (
        f"Mean and standard error of {found['num_seeds']} seeds, final parameters, "
        f"{found['num_test_tasks_per_seed']} held-out goals each. The whole command, "
        f"imports, compilation, evaluation and picture included, took {wall} s "
        f"({found['environment_steps']:,} environment steps). {versions(found)}."
    )
    return introduction + "\n".join(lines) + "\n\n" + about


def speed() -> str:
    """One meta-update, and the quickstart."""
    update, quick = read("meta_update_maml_navigation2d"), read("quickstart")
    run, compiled = update["run_seconds"], update["compile_seconds"]
    before = quick["return_before_adaptation"]
    after = quick["return_after_adaptation"]
    return (
        "One meta-update of `maml-navigation2d` runs in "
        f"{run['median']:.3f} s on one device (quartiles "
        f"{run['lower_quartile']:.3f} to {run['upper_quartile']:.3f}), "
        f"{update['environment_steps_per_second'] / 1e3:.0f},000 environment steps a "
        f"second, and compiles in {max(compiled):.1f} s at most. {versions(update)}."
        f"\n\nThe quickstart of the project's README prints {before:.1f} before and "
        f"{after:.1f} after "
        f"adaptation, of 100, and takes {quick['seconds']:.0f} s in all. "
        f"{versions(quick)}."
    )


def trust_region() -> str:
    """MAML-TRPO on navigation."""
    found = read("maml_trpo_navigation2d")
    curve = found["adaptation_curve"]
    returns = ", ".join(
        f"{mean:.2f} ± {error:.2f}"
        for mean, error in zip(
            curve["mean"], curve["standard_error_over_seeds"], strict=True
        )
    )
    return (
        f"With a trust region as outer step, after {found['num_updates']} meta-updates "
        f"of {found['num_seeds']} seeds: {returns} after 0, 1, 2 and 3 gradient steps. "
        f"{versions(found)}."
    )


def methods() -> str:
    """Every method of MAML's family on navigation."""
    found = read("methods")
    rows = sorted(found["methods"].items(), key=lambda item: -item[1]["mean"][1])
    steps = range(len(rows[0][1]["mean"]))
    most = max(one["environment_steps"] for _, one in rows)
    return (
        "Every method on the same tasks with equal environment steps "
        f"({most:,}; {found['num_tasks']} tasks of {found['num_episodes']} episodes an "
        "update, one inner update in training), tested in the same way. Mean and 95% "
        "interval "
        f"over {found['num_seeds']} seeds; the settings, in `benchmarks/methods.py`, "
        "are not tuned for each method:\n\n"
        + table(
            ["return after ... gradient steps", *map(str, steps)],
            [[name, *(between(one, step) for step in steps)] for name, one in rows],
        )
        + "\n\n![Return after one inner update by environment steps]"
        f"(results/methods.png)\n\n{versions(found)}."
    )


def exploration() -> str:
    """Estimators where an agent must look before it knows."""
    found = read("exploration")
    rows = sorted(found["estimators"].items(), key=lambda item: item[1]["mean"][-1])
    return (
        "Where an agent must look before it knows (a grid of which one corner pays, "
        "one update from eight episodes; the best return is "
        f"{found['optimum'][-1]:.0f}) the estimator decides. Mean and 95% interval "
        f"over {found['num_seeds']} seeds:\n\n"
        + table(
            ["estimator", "before", "after one update"],
            [[f"`{name}`", between(one, 0), between(one, 1)] for name, one in rows],
        )
        + "\n\n![Return after adaptation by estimator]"
        f"(results/exploration.png)\n\n{versions(found)}."
    )


def regression() -> str:
    """Few-shot regression of sinusoids."""
    found = read("sinusoids")
    labels: dict[str, dict[int, Any]] = {}
    for one in found["results"].values():
        options = [str(value) for value in one["arguments"].values()]
        labels.setdefault(" ".join([one["recipe"], *options]), {})[one["shots"]] = one
    rows = []
    for label, by_shots in labels.items():
        cells = []
        for one in by_shots.values():
            published = one["published_error"]
            text = f"{-one['mean'][1]:.2f}"
            cells.append(text if published is None else f"{text} ({published:.2f})")
        rows.append([f"`{label}`", *cells])
    return (
        "Few-shot regression: mean squared error after one update of so many shots, "
        f"mean of {found['num_seeds']} seeds, {found['num_test_tasks_per_seed']} "
        "held-out sinusoids each; published errors (Li et al., 2017) in brackets. They "
        "agree with those of tasks that differ in frequency too, (0.8, 1.2), so they "
        "are likely of that harder variant.\n\n"
        + table(["recipe", "5 shots", "10 shots", "20 shots"], rows)
        + f"\n\n{versions(found)}."
    )


def others() -> str:
    """What else ``benchmarks/recipe.py`` has measured."""
    rows, found = [], {}
    for name in RECIPES:
        found = read(name.replace("-", "_"))
        curve, optimum = found["adaptation_curve"], found["optimum"]
        errors = curve["standard_error_over_seeds"]
        cells = [f"{mean:.2f}" for mean in curve["mean"]]
        if errors is not None:
            cells = [f"{c} ± {e:.2f}" for c, e in zip(cells, errors, strict=True)]
        best = "" if optimum is None else ", ".join(f"{best:.2f}" for best in optimum)
        seconds = sorted(found["training_seconds"])
        rows.append(
            [
                f"`{name}`",
                ", ".join(cells),
                best,
                f"{found['num_seeds']}",
                f"{found['environment_steps']:,}",
                f"{seconds[0]:.0f} to {seconds[-1]:.0f}",
            ]
        )
    return (
        "The other recipes: return before adaptation and after each unit of it (a "
        "gradient step, or an episode of a trial), mean and standard error over seeds, "
        "final parameters on held-out tasks (of `metagradient-catch`, the agents that "
        "lived); seconds of training on one of two cores, "
        "other work running on the other. The optima of GridNavi, DarkRoom and "
        "`attention-bandit` are what an agent can reach that starts without knowing "
        "the task, as that of Catch, where there is but one; the others are those of "
        "one that is told it.\n\n"
        + table(
            ["recipe", "return", "optimum", "seeds", "environment steps", "seconds"],
            rows,
        )
        + f"\n\n{versions(found)}, and so on."
    )


PARTS = {
    "2D navigation": (navigation, trust_region, methods),
    "Speed": (
        speed,
        meta_updates,
        time_to_return,
        growth,
        accelerator,
        seeds,
        deployment,
    ),
    "Exploration": (exploration,),
    "Few-shot regression": (regression,),
    "Memory": (bandits, finite_mdps, semicircle, memories),
    "Continuous control": (locomotion,),
    "Across domains": (domains,),
    "Does meta-learning help?": (diagnosis,),
    "Recommendation": (recommendation,),
    "Tasks that drift": (drifting_goals,),
    "Learned algorithms": (
        outer_gradients,
        held_out_levels,
        cross_domain,
        discounting_chain,
    ),
    "Other recipes": (others,),
}


def render() -> str:
    """The page."""
    sections = [
        f"## {title}\n\n" + "\n\n".join(part() for part in parts)
        for title, parts in PARTS.items()
    ]
    return "\n\n".join([front_page.INTRODUCTION, *sections]) + "\n"


def main() -> None:
    PAGE.write_text(render())
    front_page.README.write_text(front_page.render())
    scaling_model.PAGE.write_text(scaling_model.render())


if __name__ == "__main__":
    main()
