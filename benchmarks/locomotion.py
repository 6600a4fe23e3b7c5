"""Half-cheetahs at the scale of the field: how fast they run, and how MAML learns.

``python benchmarks/locomotion.py speed``: random actions in so many bodies side by
side. ``python benchmarks/locomotion.py train``: trains seeds of a recipe side by side
until so many seconds after its start, and tests each on both directions before
training, on the way, and at the end, with no choice among them. What was measured is
written after every test, so a run that is cut short leaves what it has.
"""

import argparse
import contextlib
import io
import json
import shlex
import time
from concurrent import futures
from typing import Any

import harness
import jax
import jax.numpy as jnp
import machine
import numpy as np

from jaxmeta import learner, recipes, tasks
from jaxmeta.recipes import Experiment

LENGTH = 200
STARTED = time.perf_counter()


def save(name: str, command: str, **numbers: Any) -> None:
    """Write the result so far; printed it would be long."""
    with contextlib.redirect_stdout(io.StringIO()):
        harness.save(name, command, **numbers)


def say(*words: Any) -> None:
    """Print at once: the run may be cut."""
    print(*words, flush=True)


def speed(given: argparse.Namespace, command: str) -> None:
    """Environment and physics steps a second, by the number of bodies."""
    distribution = tasks.half_cheetah_direction(
        frame_skip=given.frame_skip, horizon=LENGTH
    )
    found = []
    for bodies in given.bodies:
        started = time.perf_counter()
        per_second = machine.random_actions(distribution, 1, bodies, LENGTH)
        found.append(
            {
                "bodies": bodies,
                "steps_per_second": per_second,
                "physics_steps_per_second": per_second * given.frame_skip,
                "measured_in_seconds": time.perf_counter() - started,
            }
        )
        say(found[-1])
        save(
            f"locomotion_speed{given.label}",
            command,
            frame_skip=given.frame_skip,
            length=LENGTH,
            bodies=found,
        )


def held_out(experiment: Experiment, num_tasks: int) -> tuple[Any, list[float]]:
    """Tasks to test on, and what each asks for; of directions, half of each."""
    keys = jax.random.split(jax.random.key(2), num_tasks)
    drawn = jax.vmap(experiment.test_tasks.sample)(keys)
    if not hasattr(drawn.params, "direction"):
        return drawn, np.asarray(drawn.params.velocity).tolist()
    directions = jnp.where(jnp.arange(num_tasks) % 2 == 0, 1.0, -1.0)
    params = drawn.params.replace(direction=directions)
    return drawn._replace(params=params), np.asarray(directions).tolist()


def tester(experiment: Experiment) -> Any:
    """``(key, meta_params [S], tasks [n]) -> [S, n, K + 1]`` mean returns."""
    tested, environment = experiment.test_learner, experiment.test_tasks.environment

    def one(key, meta_params, task):
        experience = tested.collect(key, meta_params, task)
        return learner.performance(
            meta_params,
            experience,
            environment=environment,
            policy=tested.policy,
            inner=tested.inner,
        )

    def of_seed(key, meta_params, drawn):
        num_tasks = jax.tree.leaves(drawn)[0].shape[0]
        keys = jax.random.split(key, num_tasks)
        return jax.vmap(lambda key, task: one(key, meta_params, task))(keys, drawn)

    def of_all(key, meta_params, drawn):
        keys = jax.random.split(key, jax.tree.leaves(meta_params)[0].shape[0])
        return jax.vmap(of_seed, in_axes=(0, 0, None))(keys, meta_params, drawn)

    return of_all


def tested_row(curves: np.ndarray, asked: list[float]) -> dict[str, Any]:
    """Means over tasks, of each seed, and of each direction where there are two."""
    row: dict[str, Any] = {
        "curve": curves.mean((0, 1)).tolist(),
        "curve_of_seeds": curves.mean(1).tolist(),
        "curves": curves.tolist(),
    }
    if set(asked) == {-1.0, 1.0}:
        for name, sign in (("forwards", 1.0), ("backwards", -1.0)):
            ones = curves[:, np.asarray(asked) == sign]
            row[f"{name}_of_seeds"] = ones.mean(1).tolist()
    return row


def within(seconds: float) -> bool:
    """Whether the whole run is younger than that."""
    return time.perf_counter() - STARTED < seconds


def train(given: argparse.Namespace, command: str) -> None:
    """Train seeds side by side for so many seconds, and test them."""
    arguments = json.loads(given.arguments)
    experiment = recipes.get(given.recipe).build(**arguments)
    trained = experiment.learner
    key_init, key_train, key_test = jax.random.split(jax.random.key(given.seed), 3)
    seeds = jax.random.split(key_init, given.seeds)
    states = jax.jit(jax.vmap(trained.init))(seeds)
    drawn, asked = held_out(experiment, given.test_tasks)

    def update(key, states):
        return jax.vmap(trained.update)(jax.random.split(key, given.seeds), states)

    say(f"compiling, after {time.perf_counter() - STARTED:.0f} s")
    with futures.ThreadPoolExecutor() as pool:  # both at once
        programs = [
            pool.submit(machine.compiled, update, key_train, states),
            pool.submit(
                machine.compiled,
                *(tester(experiment), key_test, states.meta_params, drawn),
            ),
        ]
        (step, step_compile), (test, test_compile) = (p.result() for p in programs)
    analysis = step.memory_analysis()
    say(f"compiled in {step_compile:.0f} s and {test_compile:.0f} s; {analysis}")
    result: dict[str, Any] = {
        "recipe": given.recipe,
        "arguments": arguments,
        "published": recipes.get(given.recipe).published,
        "asked": asked,
        "compile_seconds": {"update": step_compile, "test": test_compile},
        "temporary_bytes": getattr(analysis, "temp_size_in_bytes", None),
        "training": [],
        "tests": [],
    }

    spent, number, steps = 0.0, 0, 0

    def evaluate() -> None:
        key = jax.random.fold_in(key_test, number)
        curves = np.asarray(test(key, states.meta_params, drawn))
        row = tested_row(curves, asked)
        result["tests"].append(
            {"num_updates": number, "seconds": spent, "environment_steps": steps, **row}
        )
        short = {k: np.round(v, 1).tolist() for k, v in row.items() if k != "curves"}
        say(f"test after {number} updates, {spent:.0f} s:", short)
        save(f"locomotion_{given.name}{given.label}", command, **result)

    evaluate()
    next_test = given.test_every
    while within(given.seconds) and number < given.most_updates:
        started = time.perf_counter()
        states, info = step(jax.random.fold_in(key_train, number), states)
        info = jax.block_until_ready(info)
        spent += time.perf_counter() - started
        number += 1
        # Of one seed: each trains on as many.
        steps += int(np.asarray(info["environment_steps"])[0])
        if number % given.print_every == 1 or given.print_every == 1:
            returns = np.asarray(info["returns"]).tolist()
            result["training"].append(
                {"update": number, "seconds": spent, "returns": returns}
            )
            scalars = {
                name: np.round(np.asarray(value), 4).tolist()
                for name, value in scalars_of(info).items()
            }
            say(f"{number} {spent:.0f} s", np.round(returns, 1).tolist(), scalars)
        if spent >= next_test:
            next_test = spent + given.test_every
            evaluate()
    if result["tests"][-1]["num_updates"] != number:
        evaluate()
    say("final:", np.round(result["tests"][-1]["curve"], 1).tolist())


def scalars_of(info: dict[str, Any]) -> dict[str, Any]:
    """What is one number for each seed."""
    return {name: value for name, value in info.items() if np.ndim(value) == 1}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=("speed", "train"))
    parser.add_argument("--label", default="", help="of the file")
    parser.add_argument("--bodies", type=int, nargs="+", default=[800, 8192])
    parser.add_argument("--frame-skip", type=int, default=1)
    parser.add_argument("--recipe", default="maml-halfcheetah-direction")
    parser.add_argument("--arguments", default="{}", help="of the recipe, as JSON")
    parser.add_argument(
        "--seconds", type=float, default=300.0, help="of all before the last test"
    )
    parser.add_argument("--most-updates", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--test-tasks", type=int, default=40)
    parser.add_argument("--test-every", type=float, default=60.0, help="seconds")
    parser.add_argument("--print-every", type=int, default=10)
    given = parser.parse_args()
    given.name = given.recipe.removeprefix("maml-").replace("-", "_")
    mine = {
        "speed": ("label", "bodies", "frame_skip"),
        "train": (
            *("label", "recipe", "arguments", "seconds", "most_updates", "seeds"),
            *("seed", "test_tasks", "test_every", "print_every"),
        ),
    }[given.mode]
    command = ["python", "benchmarks/locomotion.py", given.mode]
    for name in mine:
        value = getattr(given, name)
        if value != parser.get_default(name):
            values = value if isinstance(value, list) else [value]
            command += [f"--{name.replace('_', '-')}", *map(str, values)]
    {"speed": speed, "train": train}[given.mode](given, shlex.join(command))


if __name__ == "__main__":
    main()
