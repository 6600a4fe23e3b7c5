"""How the cost of a meta-update grows, and what of the machine it uses.

``python benchmarks/scaling.py``: MAML with Adam on 2D navigation, one axis of its size
at a time; tasks are spread over all devices (``JAX_NUM_CPU_DEVICES=2`` makes two cores
devices). Every point is compiled and run in one process, beside the machine's own speed
and the floor: a random policy in the same environments.
"""

import argparse
import json
import shlex
from typing import Any, NamedTuple

import harness
import jax
import machine
import numpy as np
import optax
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

import jaxmeta as jm
from jaxmeta.types import MetaLearner


class Size(NamedTuple):
    """Of a meta-update."""

    num_tasks: int = 20
    num_episodes: int = 20
    horizon: int = 100
    width: int = 64
    num_updates: int = 1
    rematerialize: bool = False
    task_batch_size: int | None = None
    seeds: int = 1


SMALL = Size(num_episodes=5, horizon=20)  # so that many tasks fit
SWEEPS: dict[str, tuple[str, Size, list[Any]]] = {
    "tasks": ("num_tasks", SMALL, [2, 8, 32, 128, 512, 2048, 8192, 16384]),
    "episodes": ("num_episodes", Size(), [1, 4, 16, 64, 256]),
    "horizon": ("horizon", Size(), [10, 30, 100, 300, 1000]),
    "width": ("width", Size(), [16, 32, 64, 128, 256, 512]),
    "inner updates": ("num_updates", Size(), [1, 2, 4, 8]),
    "inner updates, rematerialized": (
        "num_updates",
        Size(rematerialize=True),
        [1, 2, 4, 8],
    ),
    "seeds": ("seeds", SMALL, [1, 2, 4, 8, 16, 32]),
}
PIECE = 4  # tasks at a time, where the memory of a fixed piece is measured
MEMORY_OF = [8, 32, 128, 512]  # tasks


def made(size: Size) -> MetaLearner:
    tasks = jm.tasks.navigation2d(horizon=size.horizon)
    maml = jm.maml(
        tasks,
        jm.policies.mlp(tasks.environment, hidden=(size.width, size.width)),
        inner_optimizer=optax.sgd(0.1),
        outer_optimizer=optax.adam(4e-3),
        num_tasks=size.num_tasks,
        num_updates=size.num_updates,
        num_episodes=size.num_episodes,
        task_batch_size=size.task_batch_size,
        rematerialize=size.rematerialize,
    )
    return jm.sharded(maml) if jax.device_count() > 1 else maml


def measure(size: Size, speed: float) -> dict[str, Any]:
    """One point: seconds, operations, bytes and steps of a meta-update."""
    learner = made(size)
    keys = jax.random.split(jax.random.key(0), size.seeds)
    if size.seeds == 1:
        key, state, update = keys[0], learner.init(keys[0]), learner.update
    else:
        key, state = keys, jax.vmap(learner.init)(keys)
        update = jax.vmap(learner.update)
    program, compile_seconds = machine.compiled(update, key, state)
    first = machine.timed(program, key, state, repeats=1)[0]
    repeats = int(np.clip(2.0 / first, 3, 30))
    runs = machine.summary(machine.timed(program, key, state, repeats=repeats))
    operations = machine.matrix_operations(update, key, state)
    num_batches = size.seeds * (size.num_updates + 1)
    steps = num_batches * size.num_tasks * size.num_episodes * size.horizon
    return {
        "size": size._asdict(),
        "compile_seconds": compile_seconds,
        "run_seconds": runs,
        "environment_steps_per_second": steps / runs["median"],
        "matrix_operations": operations,
        "share_of_matrix_speed": operations / runs["median"] / speed,
        "compiler": machine.compilers_count(program),
    }


def floor(size: Size) -> float:
    """Environment steps a second of random actions."""
    tasks = jm.tasks.navigation2d(horizon=size.horizon)
    return machine.random_actions(
        tasks, size.num_tasks, size.num_episodes, size.horizon
    )


def memory(num_tasks: int, piece: int | None) -> dict[str, Any]:
    """Bytes of the intermediates of an update, and of what was acted in it."""
    size = SMALL._replace(num_tasks=num_tasks, task_batch_size=piece or num_tasks)
    learner, key = made(size), jax.random.key(0)
    state = learner.init(key)
    program, _ = machine.compiled(learner.update, key, state)
    task = jm.tasks.navigation2d(horizon=size.horizon).sample(key)
    experience = jax.eval_shape(learner.collect, key, state.meta_params, task)
    acted = jax.tree.leaves((experience.support, experience.query))
    return {
        "num_tasks": num_tasks,
        "temporary_bytes": machine.compilers_count(program)["temporary_bytes"],
        "experience_bytes": num_tasks * sum(x.size * x.dtype.itemsize for x in acted),
    }


def draw(sweeps: dict[str, Any]) -> Figure:
    """Seconds by size, one panel per axis, with a line of slope one."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    panels = figure.subplots(2, 3).ravel()
    names = [name for name in sweeps if "rematerialized" not in name]
    for axes, name in zip(panels, names, strict=True):
        x = []
        for label, color in ((name, "#0072B2"), (f"{name}, rematerialized", "#D55E00")):
            if label not in sweeps:
                continue
            rows = sweeps[label]["points"]
            x = [row["size"][sweeps[label]["axis"]] for row in rows]
            y = [row["run_seconds"]["median"] for row in rows]
            remade = "rematerialized" if label != name else "activations kept"
            shown = remade if f"{name}, rematerialized" in sweeps else None
            axes.loglog(x, y, color=color, marker="o", label=shown)
            if label == name:
                line = np.array(x) * y[-1] / x[-1]
                axes.loglog(x, line, color="black", linestyle=":", linewidth=1)
            if shown:
                axes.legend(frameon=False, fontsize="small")
        axes.set_xlabel(name)
        axes.minorticks_off()
        shown = x[:: len(x) // 4] if len(x) > 6 else x
        axes.set_xticks(shown, [f"{value:,}" for value in shown])
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=6))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels[::3]:
        axes.set_ylabel("seconds per meta-update")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(SWEEPS), default=list(SWEEPS))
    parser.add_argument("--label", default="", help="of the files")
    parser.add_argument("--memory", action="store_true", help="bytes, and no seconds")
    parser.add_argument("--draw", action="store_true", help="what was measured")
    given = parser.parse_args()
    name = f"scaling{given.label}"
    command = "python benchmarks/scaling.py"
    if given.only != list(SWEEPS):
        command += f" --only {shlex.join(given.only)}"
    if given.label:
        command += f" --label {given.label}"
    if given.draw:
        found = json.loads((harness.RESULTS / f"{name}.json").read_text())
        draw(found["sweeps"]).savefig(harness.RESULTS / f"{name}.png", dpi=150)
        return
    if given.memory:
        harness.save(
            "scaling_memory",
            f"{command} --memory",
            piece=PIECE,
            in_pieces=[memory(count, PIECE) for count in MEMORY_OF],
            at_once=[memory(count, None) for count in MEMORY_OF],
        )
        return
    speed, bandwidth = machine.matrix_speed(), machine.memory_bandwidth()
    sweeps = {}
    for sweep in given.only:
        axis, base, values = SWEEPS[sweep]
        points = []
        for value in values:
            points.append(measure(base._replace(**{axis: value}), speed))
            print(sweep, value, points[-1]["run_seconds"]["median"], flush=True)
            jax.clear_caches()
        sweeps[sweep] = {"axis": axis, "points": points}
    harness.save(
        name,
        command,
        num_devices=jax.device_count(),
        matrix_operations_per_second=speed,
        memory_bytes_per_second=bandwidth,
        floor_steps_per_second={
            "20 x 20 x 100": floor(Size()),
            "1024 x 5 x 20": floor(SMALL._replace(num_tasks=1024)),
        },
        sweeps=sweeps,
    )
    if given.only == list(SWEEPS):
        draw(sweeps).savefig(harness.RESULTS / f"{name}.png", dpi=150)


if __name__ == "__main__":
    main()
