"""Learning with different memories: seconds of one gradient on long trials.

``python benchmarks/memory.py``: the loss of the policy of ``rl2`` and its gradient on
trials of 1,000 steps, acted in GridNavi. Each memory is timed by itself, right after
calls that warm it up: in turns, a small one would pay for what the one before it left
in the caches.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import harness
import jax
import numpy as np

import jaxmeta as jm
from jaxmeta import advantages, losses, policies, rollouts

HORIZON = 20


def gradient(core: policies.Core, length: int, num_trials: int):
    """A compiled gradient, its arguments, its compile seconds and its FLOPs."""
    tasks = jm.tasks.gridnavi(horizon=HORIZON)
    environment: Any = tasks.environment
    num_episodes = length // HORIZON
    policy = policies.recurrent(environment, core=core)
    advantage = advantages.value_baseline(episodes_per_trial=num_episodes)
    loss = losses.clipped_surrogate(policy, advantage, entropy_coefficient=0.01)
    key_init, key_task, key_act = jax.random.split(jax.random.key(0), 3)
    params = policy.init(key_init)

    @jax.jit
    def act(key):
        return rollouts.episodes(
            key,
            environment,
            policy,
            params,
            tasks.sample(key_task),
            num_episodes=num_trials,
            length=length,
        )

    trials = act(key_act)
    started = time.perf_counter()
    compiled = jax.jit(jax.grad(lambda p, t: loss(p, t)[0])).lower(params, trials)
    compiled = compiled.compile()
    seconds = time.perf_counter() - started
    costs = compiled.cost_analysis() or {}
    return partial(compiled, params, trials), seconds, costs.get("flops")


def timed(call: Callable[[], Any], repeats: int) -> list[float]:
    """Seconds of each of some calls, made one after the other, after two more."""
    seconds = []
    for _ in range(repeats + 2):
        started = time.perf_counter()
        jax.block_until_ready(call())
        seconds.append(time.perf_counter() - started)
    return seconds[2:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--length", type=int, default=1000)
    parser.add_argument("--num-trials", type=int, default=16)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=20)
    given = parser.parse_args()
    cores = {
        "gru": policies.gru(given.size),
        "lstm": policies.lstm(given.size),
        "lru, 1 layer": policies.lru(given.size, num_layers=1),
        "lru, 2 layers": policies.lru(given.size, num_layers=2),
        "attention": policies.attention(given.size, length=given.length),
    }
    made = {
        name: gradient(core, given.length, given.num_trials)
        for name, core in cores.items()
    }
    seconds = {name: timed(call, given.repeats) for name, (call, _, _) in made.items()}
    harness.save(
        f"memory_{given.length}",
        f"python benchmarks/memory.py --length {given.length} "
        f"--num-trials {given.num_trials} --size {given.size} "
        f"--repeats {given.repeats}",
        memories={
            name: {
                "compile_seconds": made[name][1],
                "flops": made[name][2],
                "median": float(np.median(runs)),
                "lower_quartile": float(np.quantile(runs, 0.25)),
                "upper_quartile": float(np.quantile(runs, 0.75)),
            }
            for name, runs in seconds.items()
        },
    )


if __name__ == "__main__":
    main()
