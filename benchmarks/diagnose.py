"""Whether the diagnosis is right where the truth is known.

``python benchmarks/diagnose.py``: tasks made such that one policy does, that nothing is
shared, that adaptation gains and that nothing can be learned; all verdicts of each seed
with the numbers they rest on, and a picture of one of each.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import harness
import jax
import numpy as np
import optax

import jaxmeta as jm
from jaxmeta import diagnosis_files, files
from jaxmeta.environments import BernoulliBandit, Navigation2D

NAVIGATION_UPDATES, BANDIT_UPDATES = 200, 100
NUM_TEST_EPISODES = 40  # of navigation, for every way to learn; 10 in training


class Case(NamedTuple):
    """A distribution of tasks, and what is true of it.

    Attributes:
        why: that is true.
        verdict: the right one.
        learner: to meta-train.
        tasks: the distribution.
        test_learner: how it adapts to held-out tasks.
        num_updates: meta-updates.
        num_tasks: held-out ones, and as many others to tune on.
        optimum: the best possible return after adaptation.
    """

    why: str
    verdict: str
    learner: Any
    tasks: Any
    test_learner: Any
    num_updates: int
    num_tasks: int
    optimum: float


def bandit(num_arms: int, num_pulls: int, why: str, verdict: str) -> Case:
    """One arm pays one and the others nothing; which, is drawn for each task."""

    def probabilities(key):
        arm = jax.random.randint(key, (), 0, num_arms)
        return jax.nn.one_hot(arm, num_arms)

    tasks = jm.tasks.from_gymnax(
        BernoulliBandit(num_arms), params={"probabilities": probabilities}, horizon=1
    )
    learner = jm.maml(
        tasks,
        jm.policies.mlp(tasks.environment, hidden=()),
        inner_optimizer=optax.sgd(25.0),
        outer_optimizer=optax.adam(0.05),
        num_tasks=100,
        num_updates=1,
        num_episodes=num_pulls,
        advantage=jm.advantages.linear_baseline(discount=1.0),
        rematerialize=False,
    )
    return Case(why, verdict, learner, tasks, learner, BANDIT_UPDATES, 1000, 1.0)


def navigation(goal: Any, optimum: float, why: str, verdict: str) -> Case:
    """A goal in the plane, drawn for each task or the same for all."""
    tasks = jm.tasks.from_gymnax(
        Navigation2D(), params={"goal": goal, "action_scale": 0.1}, horizon=100
    )
    decay = optax.cosine_decay_schedule(4e-3, NAVIGATION_UPDATES, alpha=0.02)
    learner = partial(
        jm.maml,
        tasks,
        jm.policies.mlp(tasks.environment, hidden=(48, 48), initial_std=0.8),
        inner_optimizer=optax.sgd(0.1),
        outer_optimizer=optax.adam(decay),
        num_tasks=20,
        num_updates=1,
        advantage=jm.advantages.linear_baseline(),
        inner_advantage=jm.advantages.linear_baseline(discount=0.98, normalize=True),
        rematerialize=False,
    )
    trained, tested = (learner(num_episodes=n) for n in (10, NUM_TEST_EPISODES))
    return Case(why, verdict, trained, tasks, tested, NAVIGATION_UPDATES, 100, optimum)


def steps_to(goal: Any) -> float:
    """Return of who goes straight to a goal of at most one half per coordinate."""
    position, total = np.zeros(2), 0.0
    goal = np.asarray(goal)
    while True:
        position = position + np.clip(goal - position, -0.1, 0.1)
        offset = goal - position
        total -= np.sqrt(np.sum(offset**2))
        if np.all(np.abs(offset) < 0.01):
            return total


GOAL = np.asarray([0.3, -0.4], np.float32)

CASES: dict[str, Callable[[], Case]] = {
    "one goal for all": lambda: navigation(
        GOAL,
        steps_to(GOAL),
        "all tasks are the same: one policy that goes to the goal does",
        "one policy already does",
    ),
    "unrelated bandits": lambda: bandit(
        5,
        20,
        "of 20 pulls of a fresh policy one finds the arm that pays with probability "
        "1 - 0.8^20 = 0.99, after which nothing can be gained; which arm it is, is "
        "independent of all other tasks",
        "tasks share too little",
    ),
    "navigation": lambda: navigation(
        jm.tasks.uniform(-0.5, 0.5, (2,)),
        -0.506,
        "what is shared is how the rewards of a goal tell where it is; a policy that "
        "does not adapt can do no better than to stay in the middle",
        "adaptation gains",
    ),
    "a needle in a haystack": lambda: bandit(
        100,
        5,
        "5 pulls find the arm that pays, of 100, with probability 0.05, and the others "
        "tell next to nothing: no agent can have more than 0.06 of 1",
        "nothing is learned",
    ),
}


def measure(name: str, case: Case, num_seeds: int) -> dict[str, Any]:
    """The verdicts of all seeds, and the picture of the first."""
    rows = []
    for seed in range(num_seeds):
        started = time.perf_counter()
        diagnosis = jm.diagnose(
            jax.random.key(seed),
            case.learner,
            case.tasks,
            num_updates=case.num_updates,
            test_learner=case.test_learner,
            num_tasks=case.num_tasks,
            num_tuning_tasks=case.num_tasks,  # as many: one program tunes and tests
            optimum=case.optimum,
        )
        seconds = time.perf_counter() - started
        row = {"seconds": seconds, **diagnosis_files.as_json(diagnosis)}
        print(name, seed, f"{seconds:.0f} s", *diagnosis.words, sep="\n  ", flush=True)
        if seed == 0:
            path = harness.RESULTS / f"diagnose_{name.replace(' ', '_')}.png"
            files.write_bytes(path, diagnosis_files.picture(row))
        for single in ("returns", "untrained"):  # of each task, too many to keep
            row.pop(single)
        rows.append(row)
    return {
        "why": case.why,
        "right": case.verdict,
        "verdicts": [row["verdict"] for row in rows],
        "num_right": sum(row["verdict"] == case.verdict for row in rows),
        "seeds": rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--cases", nargs="+", default=list(CASES), choices=CASES, help="to measure anew"
    )
    arguments = parser.parse_args()
    command = f"python benchmarks/diagnose.py --seeds {arguments.seeds}"
    found: dict[str, Any] = {}
    if arguments.cases != list(CASES) and (harness.RESULTS / "diagnose.json").exists():
        found = harness.load("diagnose", command)["cases"]  # to replace a part of
    for name in arguments.cases:
        found[name] = measure(name, CASES[name](), arguments.seeds)
        in_order = {each: found[each] for each in CASES if each in found}
        harness.save("diagnose", command, num_seeds=arguments.seeds, cases=in_order)


if __name__ == "__main__":
    main()
