"""One agent for three environments, beside one for each of them.

``python benchmarks/domains.py``: RL^2 on cart-poles, acrobots and mountain cars (the
recipe ``rl2-control``), and the same learner on one of them at a time: the same
interface, network and updates, with a third of the trials, so that both spend as many
environment steps in a domain. The learner of all takes three times the steps of each of
the others, as many as they take together. Writes the returns of each episode of a trial
in each domain along training; ``--draw`` draws what was measured.
"""

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any

import harness
import jax
import jax.numpy as jnp
import numpy as np

import jaxmeta as jm
from jaxmeta import files, plots
from jaxmeta.recipes import control

NUM_EPISODES = 2
PER_DOMAIN = 12  # trials of an update, in the mean of the learner of all domains
ALL = "all domains"
ONE_FOR_ALL, ONE_ALONE = "one learner for all domains", "one for this domain alone"


def train(name: str, given: argparse.Namespace) -> dict[str, Any]:
    """Train seeds of one learner, and test it along the way.

    Args:
        name: of a domain, or ``ALL``.
        given: the arguments of the command line.

    Returns:
        For each domain it is trained in, returns ``[seeds, points, E]`` on held-out
        tasks; the points in environment steps in that domain; all its steps; seconds.
    """
    names = list(control.domains())
    trained_on = names if name == ALL else [name]
    learner = control.build(
        domain="all" if name == ALL else name,
        num_episodes=NUM_EPISODES,
        num_tasks=PER_DOMAIN * len(trained_on),
        decay_updates=given.num_updates,
    ).learner
    each = given.num_updates // given.num_points
    started = time.perf_counter()
    go_on = jax.jit(lambda key, state: jm.train(key, learner, state, each)[0])
    tested_on = {domain: control.mixed(domain) for domain in trained_on}
    curves: dict[str, list[Any]] = {domain: [] for domain in trained_on}
    for seed in range(given.seeds):
        key_init, key_train, key_test = jax.random.split(jax.random.key(seed), 3)
        state = learner.init(key_init)
        points = {domain: [] for domain in trained_on}
        for point in range(given.num_points + 1):
            if point:
                state = go_on(key_train, state)
            for domain, tasks in tested_on.items():
                found = jm.adaptation_curve(
                    key_test,
                    learner,
                    state.meta_params,
                    tasks,
                    num_tasks=given.num_test_tasks,
                )
                points[domain].append(np.asarray(found.mean(0)))
            last = {domain: rows[-1].round(1) for domain, rows in points.items()}
            print(name, seed, point * each, last, flush=True)
        for domain in trained_on:
            curves[domain].append(np.stack(points[domain]))
    per_update = PER_DOMAIN * NUM_EPISODES * learner.environment.horizon
    steps = per_update * each * np.arange(given.num_points + 1)
    return {
        "returns": {domain: np.stack(rows).tolist() for domain, rows in curves.items()},
        "steps_in_a_domain": steps.tolist(),
        "environment_steps": int(steps[-1]) * len(trained_on),
        "num_tasks": PER_DOMAIN * len(trained_on),
        "seconds": time.perf_counter() - started,
    }


def summary(learners: dict[str, Any]) -> dict[str, Any]:
    """The returns in the end ``[E]`` with 95% intervals over seeds, by domain."""
    found: dict[str, Any] = {domain: {} for domain in learners[ALL]["returns"]}
    for label, learner in learners.items():
        for domain, returns in learner["returns"].items():
            ends = jnp.asarray(returns)[:, -1]
            interval = jm.bootstrap_interval(jax.random.key(0), ends)
            found[domain][ONE_FOR_ALL if label == ALL else ONE_ALONE] = {
                end: np.asarray(value).tolist()
                for end, value in interval._asdict().items()
            }
    return found


def draw(learners: dict[str, Any]) -> plots.Picture:
    """A panel for each domain: the return of the last episode along training."""
    panels = {}
    for domain in learners[ALL]["returns"]:
        both = {ONE_FOR_ALL: learners[ALL], ONE_ALONE: learners[domain]}
        panels[f"{domain}: return of episode {NUM_EPISODES}"] = {
            label: (
                learner["steps_in_a_domain"],
                np.asarray(learner["returns"][domain])[:, :, -1],
            )
            for label, learner in both.items()
        }
    return plots.traces(panels, xlabel="environment steps in the domain")


def measure(given: argparse.Namespace) -> None:
    names = (ALL, *control.domains())
    with ProcessPoolExecutor(given.processes, get_context("spawn")) as pool:
        found = pool.map(partial(train, given=given), names)
        learners = dict(zip(names, found, strict=True))
    command = (
        f"python benchmarks/domains.py --seeds {given.seeds} --num-updates "
        f"{given.num_updates} --num-points {given.num_points} --num-test-tasks "
        f"{given.num_test_tasks} --processes {given.processes}"
    )
    harness.save(
        "domains",
        command,
        recipe=control.RECIPE.name,
        num_seeds=given.seeds,
        num_updates=given.num_updates,
        num_test_tasks=given.num_test_tasks,
        num_episodes=NUM_EPISODES,
        after_training=summary(learners),
        learners=learners,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--num-updates", type=int, default=control.RECIPE.num_updates)
    parser.add_argument("--num-points", type=int, default=10)
    parser.add_argument("--num-test-tasks", type=int, default=300)
    parser.add_argument("--processes", type=int, default=2, help="at the same time")
    parser.add_argument("--draw", action="store_true", help="what was measured")
    given = parser.parse_args()
    if not given.draw:
        measure(given)
    results = json.loads((harness.RESULTS / "domains.json").read_text())
    picture = draw(results["learners"])
    files.write_bytes(harness.RESULTS / "domains.png", picture.png())


if __name__ == "__main__":
    main()
