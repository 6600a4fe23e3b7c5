"""The tables of the project's README, made of the files in ``results/``."""

import re
from typing import Any

from front_page_methods import methods
from sections import HERE, read, table, versions

from jaxmeta import references

README = HERE.parent / "README.md"
INTRODUCTION = """# Results

Every figure here is made of a file in `results/`, and every file by the command that
stands beside it, on the hardware and with the versions that are named. Final params, on
tasks that were not trained on, but where it is said that there are no others. Intervals
over so few seeds as three are about the range of them."""


def environments() -> str:
    """Each distribution over tasks, and the best that is possible in it."""
    navigation, grids = read("maml_navigation2d"), read("lpg_gridworld_regret")
    tabular = read("maml_tabular")["optimum"][0]
    arms, pulls = 5, 10
    exact = references.bayes_optimal_bandit_value(arms, pulls)
    rows = [
        ["`navigation2d`", "a goal in the plane", f"oracle {navigation['optimum'][0]}"],
        [
            "`corners`",
            "which corner of a grid pays",
            f"oracle {references.corners_oracle():.0f}",
        ],
        [
            "`bernoulli_bandit`",
            "the chance that each arm pays",
            f"{arms} arms, {pulls} pulls: **exact {exact:.3f}**, oracle "
            f"{references.bernoulli_bandit_oracle(arms, pulls):.2f}",
        ],
        [
            "`gaussian_bandit`",
            "the mean reward of each arm",
            f"{arms} arms, {pulls} pulls: oracle "
            f"{references.gaussian_bandit_oracle(arms, pulls):.2f}",
        ],
        [
            "`tabular_mdp`",
            "transitions and rewards of 10 states and 5 actions",
            f"oracle {tabular} an episode",
        ],
        [
            "`gridnavi`",
            "a goal among the cells of a grid",
            "**exact "
            + ", ".join(f"{value:.2f}" for value in read("rl2_gridnavi")["optimum"])
            + f"** in four episodes, oracle {references.gridnavi_oracle():.2f}",
        ],
        [
            "`dark_room`",
            "a goal in a dark room",
            f"**exact {references.darkroom_bayes_optimal():.2f}** in the first "
            f"episode, oracle {references.darkroom_oracle():.2f}",
        ],
        [
            "`dark_key_to_door`",
            "a key and a door in a dark room",
            f"oracle {references.key_to_door_oracle():.2f}",
        ],
        [
            "`semicircle`",
            "a goal on a half circle",
            f"oracle {references.semicircle_oracle():.2f}",
        ],
        [
            "`grid_world`, `random_grids`",
            "objects, walls, rewards and lifetimes in a grid",
            f"exact for each level; {grids['optimum']:.2f} on average over the "
            f"{grids['num_levels']} held-out ones",
        ],
        ["`sinusoids`", "amplitude, phase and frequency of a wave", "error 0"],
        [
            "`half_cheetah_direction`, `half_cheetah_velocity`, `ant_direction`, "
            "`ant_goal`, `walker_params`",
            'where to run, or the body; `pip install ".[locomotion]"`',
            "not known",
        ],
        [
            "`from_gymnax`",
            "any parameter, or state, of any gymnax environment",
            "",
        ],
        ["`from_xland`", "rules or layout, of XLand-MiniGrid", ""],
        ["`mixture`", "the environment itself: tasks of several of them", ""],
        [
            "`from_ratings`, `from_choices`",
            "the user to recommend to, of logged data",
            "regret 0",
        ],
        ["`supervised`, `from_arrays`", "labelled examples of your own", ""],
    ]
    return table(
        ["`jm.tasks.`", "what differs from task to task", "best possible"], rows
    )


def comparison() -> str:
    """The same meta-update by other libraries."""
    ours = read("meta_update_maml_navigation2d_2x64_two_devices")
    others = {
        f"{name} {found['versions'][name]}": found
        for name in ("torchopt", "learn2learn")
        for found in [read(f"torch_maml_{name}")]
    }
    rows = [
        [name, f"{_median(found):.3f}", f"{_median(found) / _median(ours):.1f}"]
        for name, found in {"**jaxmeta**": ours, **others}.items()
    ]
    return (
        table(["", "seconds a meta-update", "times as long"], rows)
        + f"\n\nCompilation takes {max(ours['compile_seconds']):.0f} s more, once. "
        + f"{versions(ours)}."
    )


def diagnosis() -> str:
    """What it says of navigation and of tasks that share nothing, in its words."""
    cases = read("diagnose")["cases"]
    said = [
        f"> {name}: *{' '.join(cases[name]['seeds'][0]['words'][:2])}*"
        for name in ("navigation", "unrelated bandits", "one goal for all")
        if name in cases
    ]
    return "\n>\n".join(said)


def _median(found: dict[str, Any]) -> float:
    return found["run_seconds"]["median"]


SECTIONS = {
    "methods": methods,
    "environments": environments,
    "comparison": comparison,
    "diagnosis": diagnosis,
}


def render() -> str:
    """The README with its tables made anew.

    Raises:
        ValueError: if the place of one is missing.
    """
    text = README.read_text()
    for name, make in SECTIONS.items():
        place = re.compile(
            rf"(?<=<!-- {name} -->\n).*?(?=<!-- end of {name} -->)", re.DOTALL
        )
        if not place.search(text):
            raise ValueError(f"README.md has no place for the {name}")
        written = f"\n{make()}\n\n"
        text = place.sub(lambda _, written=written: written, text)
    return text
