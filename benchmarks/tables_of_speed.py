"""How fast meta-updates are, as Markdown."""

from typing import Any

from sections import between, read, table, versions

UPDATES = {
    "MAML, Adam, 2 x 64, each core a device": "maml_navigation2d_2x64_two_devices",
    "the same, one device": "maml_navigation2d_2x64",
    "MAML, Adam, 2 x 256, each core a device": "maml_navigation2d_2x256_two_devices",
    "MAML-TRPO, 2 x 64, curvature of 4 episodes": "maml_trpo_navigation2d_4_episodes",
    "MAML-TRPO, of 2 episodes, which some seeds do not learn with": (
        "maml_trpo_navigation2d_2_episodes"
    ),
    "MAML-TRPO, of all 20 episodes": "maml_trpo_navigation2d_20_episodes",
}
LIBRARIES = ("torchopt", "learn2learn")


def meta_updates() -> str:
    """One meta-update of several methods, and of other libraries."""
    found = {label: read(f"meta_update_{name}") for label, name in UPDATES.items()}
    speed = max(one["matrix_operations_per_second"] for one in found.values())
    rows = [
        [
            label,
            _seconds(one["run_seconds"]),
            f"{one['environment_steps_per_second']:,.0f}",
            _share(one, speed),
            f"{max(one['compile_seconds']):.0f}",
        ]
        for label, one in found.items()
    ]
    others = {name: read(f"torch_maml_{name}") for name in LIBRARIES}
    rows += [
        [
            f"MAML, Adam, 2 x 64, by {name} {one['versions'][name]}",
            _seconds(one["run_seconds"]),
            f"{one['environment_steps_per_second']:,.0f}",
            "",
            "",
        ]
        for name, one in others.items()
    ]
    torch = " ".join(
        f"{one['device']}, Python {one['versions']['python']}, torch "
        f"{one['versions']['torch']}, the faster of 1 and 2 threads, "
        f"{one['threads']}; `{one['command']}`."
        for one in others.values()
    )
    return (
        "One meta-update on 2D navigation: 20 tasks, 20 episodes of 100 steps before "
        "and after one inner update; 10 conjugate-gradient iterations of MAML-TRPO. "
        "Median and quartiles of repeated calls, environment steps a second, and the "
        "share of the operations a second that the two cores reach on large matrices, "
        f"{speed / 1e9:.0f} G, that the matrix products of the update alone make up "
        "(of MAML-TRPO they depend on the line search). The other libraries do the "
        "same work as their examples do, task after task, in Python:\n\n"
        + table(
            ["", "seconds", "steps a second", "matrix speed", "compilation, s"], rows
        )
        + "\n\n"
        + " ".join(f"{versions(one)}." for one in found.values())
        + f" {torch}"
    )


def time_to_return() -> str:
    """Until one gradient step is worth a return."""
    found = read("time_to_return")
    seconds = sorted(one["seconds"] for one in found["seeds"])
    updates = sorted(one["num_updates"] for one in found["seeds"])
    after = sorted(one["return"] for one in found["seeds"])
    return (
        f"Training until one gradient step reaches {found['target']:g} on "
        f"{found['num_test_tasks']} held-out goals, compilation "
        f"({found['compile_seconds']:.0f} s) and tests apart: {seconds[0]:.1f} to "
        f"{seconds[-1]:.1f} s, {updates[0]} to {updates[-1]} meta-updates of "
        f"MAML-TRPO, {len(seconds)} seeds, which then have {after[0]:.1f} to "
        f"{after[-1]:.1f} on other goals. {versions(found)}."
    )


def growth() -> str:
    """How cost grows with the size of an update."""
    found = read("scaling")
    tasks = found["sweeps"]["tasks"]["points"]
    last, floor = tasks[-1], found["floor_steps_per_second"]
    memory = read("scaling_memory")
    by_task = {
        name: (memory[name][-1]["temporary_bytes"] - memory[name][0]["temporary_bytes"])
        / (memory[name][-1]["num_tasks"] - memory[name][0]["num_tasks"])
        for name in ("in_pieces", "at_once")
    }
    acted = memory["in_pieces"][-1]
    kept, remade = (
        [row["compiler"]["temporary_bytes"] for row in found["sweeps"][name]["points"]]
        for name in ("inner updates", "inner updates, rematerialized")
    )
    updates = [
        row["size"]["num_updates"] for row in found["sweeps"]["inner updates"]["points"]
    ]
    ratio = (remade[-1] - remade[0]) / (kept[-1] - kept[0])
    return (
        "How a meta-update of MAML grows, one axis at a time, from the sizes above (of "
        "tasks and seeds: 5 episodes of 20 steps); dotted lines are in proportion. "
        f"{last['size']['num_tasks']:,} tasks take {_seconds(last['run_seconds'])} s, "
        f"{last['environment_steps_per_second']:,.0f} environment steps a second. "
        "Random actions alone, in the same environments, make "
        f"{floor['20 x 20 x 100']:,.0f} (20 tasks of 20 episodes of 100 steps) and "
        f"{floor['1024 x 5 x 20']:,.0f} (1,024 of 5 of 20).\n\n"
        "![Seconds by tasks, episodes, horizon, width, inner updates and seeds]"
        "(results/scaling.png)\n\n"
        f"Of a task, {acted['experience_bytes'] / acted['num_tasks'] / 1e3:.1f} kB of "
        "experience, memory is "
        f"{by_task['in_pieces'] / 1e3:.1f} kB where {memory['piece']} learn at a time "
        f"and {by_task['at_once'] / 1e3:.0f} kB where all do at once. From "
        f"{updates[0]} to {updates[-1]} inner updates it grows by "
        f"{(kept[-1] - kept[0]) / 1e6:.1f} MB with activations kept and by "
        f"{(remade[-1] - remade[0]) / 1e6:.1f} MB, "
        f"{ratio:.0%} of that, with `rematerialize=True`, experience included. "
        f"{versions(found)}. {versions(memory)}.\n\n"
        "[SCALING.md](SCALING.md) says how to run on several "
        "hosts, and what it should cost on up to 1,024 devices."
    )


WORK = {
    "maml 20": "MAML, 20 tasks",
    "maml 1024": "MAML, 1,024 tasks",
    "maml 4096": "MAML, 4,096 tasks",
    "maml 1024, 2 x 256": "MAML, 1,024 tasks, 2 x 256",
    "maml-trpo 20": "MAML-TRPO, 20 tasks",
    "rl2 16384": "RL^2, 16,384 bandits of 10 pulls",
    "rl2 262144": "RL^2, 262,144 bandits of 10 pulls",
    "lpg 128": "LPG, 128 lifetimes of 64 environments, an LSTM of 256",
}
SHORT = {"float32": "float32", "tensorfloat32": "TF32", "bfloat16": "bfloat16"}


def accelerator() -> str:
    """Meta-updates at sizes for an accelerator."""
    found, trained = read("accelerator"), read("precision")
    speeds, rows = found["matrix_operations_per_second"], []
    for name, label in WORK.items():
        work = found["workloads"][name]
        for precision, one in work["by_precision"].items():
            steps = one["environment_steps_per_second"]
            rows.append(
                [
                    label,
                    SHORT[precision],
                    _seconds(one["run_seconds"]),
                    f"{steps / 1e6:.1f}",
                    f"{steps / work['random_steps_per_second']:.1%}",
                    f"{one['matrix_operations_per_second'] / speeds[precision]:.0%}",
                    f"{one['compile_seconds']:.0f}",
                ]
            )
    ceilings = ", ".join(f"{SHORT[k]} {v / 1e12:.0f} T" for k, v in speeds.items())
    learned = "; ".join(
        f"{SHORT[precision]} {between(one, 1)}, {one['seconds']:.0f} s"
        for precision, one in trained["by_precision"].items()
    )
    return (
        "Meta-updates on an accelerator, navigation with 20 episodes of 100 steps: "
        "seconds, million environment steps a second, these as a share of what random "
        "actions alone make of as many environments side by side, and the matrix "
        "products as a share of what the device makes of large ones at the same "
        f"precision ({ceilings} operations a second; memory moves "
        f"{found['memory_bytes_per_second'] / 1e12:.1f} TB/s). Random actions ask no "
        "network and keep nothing, so that they are a small part of training; each row "
        "has its own five calls of them:\n\n"
        + table(
            [
                *("", "precision", "seconds", "M steps/s", "of random"),
                *("of matrix speed", "compilation, s"),
            ],
            rows,
        )
        + f"\n\n{versions(found)}.\n\nWhat the precision does to what is learned "
        f"(`{trained['recipe']}`, return after one gradient step on "
        f"{trained['num_test_tasks']} held-out goals, mean and 95% interval of "
        f"{len(trained['by_precision']['float32']['test_curves'])} seeds; all of them "
        f"trained side by side, compilation included): {learned}. A GPU takes TF32 "
        f"where bfloat16 is asked for. {versions(trained)}."
    )


def seeds() -> str:
    """Many seeds in one program."""
    found = read("seeds")
    count = found["num_seeds"]
    parts = []
    for name, one in found["recipes"].items():
        many, single = (
            one[f"{which}_seconds"]["total"] for which in ("all_seeds", "one_seed")
        )
        parts.append(
            f"`{name}`, {one['num_updates']} updates: {many:.0f} s against {count} x "
            f"{single:.0f} s, {one['times_cheaper']:.1f} times cheaper, and "
            f"{one['times_cheaper_once_compiled']:.1f} times without imports and "
            "compilation"
        )
    return (
        f"{count} seeds under one `jax.vmap`, beside {count} runs, each in a process "
        f"of its own that compiles anew: {'; '.join(parts)}. What vmap saves on a CPU "
        "is compilation; the work of a seed remains. "
        f"{versions(found)}."
    )


def deployment() -> str:
    """What is exported, on one core."""
    found = read("deployment")
    act, adapt = (
        f"{found[name]['median'] * 1e3:.2g} ms "
        f"({found[name]['lower_quartile'] * 1e3:.2g} to "
        f"{found[name]['upper_quartile'] * 1e3:.2g})"
        for name in ("act", "adapt")
    )
    return (
        "An exported agent (MAML, 2 x 64) in a process with JAX alone, on one core: an "
        f"action in {act}, one step of adaptation to 20 episodes of 100 steps in "
        f"{adapt}, medians and quartiles; the first adaptation, compilation included, "
        f"takes {found['compile_seconds']:.1f} s. {versions(found)}."
    )


def _seconds(found: dict[str, float]) -> str:
    return (
        f"{found['median']:.3g} ({found['lower_quartile']:.3g} to "
        f"{found['upper_quartile']:.3g})"
    )


def _share(found: dict[str, Any], speed: float) -> str:
    if "trpo" in found["recipe"]:
        return ""
    done = found["matrix_operations"] / found["run_seconds"]["median"]
    return f"{done / speed:.0%}"
