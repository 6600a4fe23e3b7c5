"""How long until one gradient step reaches a return on 2D navigation.

``JAX_NUM_CPU_DEVICES=2 python benchmarks/time_to_return.py``: trains
``maml-trpo-navigation2d`` and tests it on held-out goals after every few updates, which
does not count, until their mean return after one step is at least ``--return``, and
tests it then on others; seconds of training without compilation, of each seed.
"""

import argparse
import time
from typing import Any

import harness
import jax
import machine

import jaxmeta as jm
from jaxmeta import recipes, sharding

RECIPE = "maml-trpo-navigation2d"
ARGUMENTS: dict[str, Any] = {"outer_loss_weights": (1.0,)}
NUM_TEST_TASKS, EVERY, MOST = 100, 2, 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--return", dest="target", type=float, default=-15.0)
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    experiment = recipes.get(RECIPE).build(**ARGUMENTS)
    learner = sharding.over_all_devices(experiment.learner)
    state = learner.init(jax.random.key(0))
    program, compile_seconds = machine.compiled(
        learner.update, jax.random.key(0), state
    )

    @jax.jit
    def test(key, meta_params):
        tested, tasks = experiment.test_learner, experiment.test_tasks
        return jm.adaptation_curve(
            key, tested, meta_params, tasks, num_tasks=NUM_TEST_TASKS
        ).mean(0)[1]

    found = []
    for seed in range(given.seeds):
        key_init, key_train, key_test = jax.random.split(jax.random.key(seed), 3)
        state, seconds, reached = learner.init(key_init), 0.0, float("-inf")
        jax.block_until_ready(program(key_init, state))
        while reached < given.target and state.step < MOST:
            for _ in range(EVERY):
                key = jax.random.fold_in(key_train, state.step)
                started = time.perf_counter()
                state, _ = jax.block_until_ready(program(key, state))
                seconds += time.perf_counter() - started
            key = jax.random.fold_in(key_test, state.step)
            reached = float(test(key, state.meta_params))
        if reached < given.target:
            raise SystemExit(f"seed {seed} does not reach it in {MOST} updates")
        on_others = float(test(key_test, state.meta_params))
        found.append(
            {"seconds": seconds, "num_updates": int(state.step), "return": on_others}
        )
        print(seed, found[-1], flush=True)
    harness.save(
        "time_to_return",
        f"python benchmarks/time_to_return.py --return {given.target:g} --seeds "
        f"{given.seeds}",
        recipe=RECIPE,
        arguments=ARGUMENTS,
        target=given.target,
        num_test_tasks=NUM_TEST_TASKS,
        compile_seconds=compile_seconds,
        seeds=found,
    )


if __name__ == "__main__":
    main()
