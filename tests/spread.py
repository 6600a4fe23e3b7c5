"""What test_sharding.py runs on several devices: ``python spread.py WHAT [...]``."""

import collections
import json
import re
import sys

import jax

if __name__ == "__main__" and sys.argv[1] == "processes":
    # Before the first import of gymnax, which makes arrays.
    jax.distributed.initialize(sys.argv[3], 2, int(sys.argv[2]))

import numpy as np
import optax

import jaxmeta as jm
from jaxmeta.environments import MatchProbe
from jaxmeta.sharding import over_all_devices, sharded, task_mesh

SEED = 0
LIVES = {"lpg", "learned_optimizer"}


def made(name, count=8):
    from test_algorithms import LEARNERS

    return LEARNERS[name](**{"num_lifetimes" if name in LIVES else "num_tasks": count})


def trained(learner):
    """Values after three updates, collectives of the program, times compiled."""
    update, state = jax.jit(learner.update), learner.init(jax.random.key(SEED))
    for step in range(3):
        state, info = update(jax.random.fold_in(jax.random.key(SEED), step), state)
    text = update.lower(jax.random.key(SEED), state).compile().as_text()
    pattern = r"(all-reduce|all-gather|all-to-all|collective-permute)(?:-start)?\("
    leaves = jax.tree.leaves((state.meta_params, info["returns"]))
    return {
        "leaves": [np.asarray(leaf).tolist() for leaf in leaves],
        "collectives": dict(collections.Counter(re.findall(pattern, text))),
        "compiled": update._cache_size(),
    }


def devices(name, *counts):
    learner = made(name)
    return {
        str(count): trained(sharded(learner, task_mesh(jax.devices()[:count])))
        for count in counts
    }


def processes(name, directory):
    assert jax.device_count() == 2 * jax.local_device_count() > 2
    return fitted(sharded(made(name)), 3, directory)


def fitted(learner, num_updates, directory):
    key = jax.random.key(SEED)
    options = {"directory": directory, "chunk_size": 2, "progress": False}
    state = jm.fit(key, learner, num_updates, **options)
    # Lifetimes are spread over processes, and compared when they are restored.
    leaves = jax.tree.leaves(state.meta_params)
    return {"leaves": [np.asarray(leaf).tolist() for leaf in leaves]}


def flops():
    tasks = jm.tasks.from_gymnax(MatchProbe(), params={"bit": jm.tasks.choice([0, 1])})
    learner = jm.maml(
        tasks,
        jm.policies.mlp(tasks.environment, hidden=(64, 64)),
        inner_optimizer=optax.sgd(0.5),
        outer_optimizer=optax.sgd(0.1),
        num_tasks=8,
        num_updates=1,
        num_episodes=16,
        task_batch_size=8,  # all at once: a loop's FLOPs are counted once
    )

    def count(learner):
        key = jax.random.key(SEED)
        program = jax.jit(learner.update).lower(key, learner.init(key)).compile()
        return program.cost_analysis()["flops"]

    return {"alone": count(learner), "spread": count(sharded(learner))}


def uneven():
    found = {}
    for name in ("maml", "lpg"):
        try:
            sharded(made(name, 6))
        except ValueError as error:
            found[name] = str(error)
    six, eight = made("maml", 6), made("maml", 8)
    found["six_are_left_alone"] = over_all_devices(six) is six
    found["eight_are_spread"] = over_all_devices(eight) is not eight
    return found


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    if what == "processes":
        found = processes(*rest[2:])
    elif what in ("flops", "uneven"):
        found = {"flops": flops, "uneven": uneven}[what]()
    else:
        found = devices(what, *map(int, rest))
    print(json.dumps(found))
