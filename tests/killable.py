"""A run that a test can kill: ``python killable.py DIRECTORY NUM_UPDATES CACHE``."""

import sys

import jax
import optax

import jaxmeta as jm
from jaxmeta.environments import MatchProbe
from jaxmeta.fit import fit

KEY_SEED = 11


def learner(environment=None):
    environment = MatchProbe() if environment is None else environment
    tasks = jm.tasks.from_gymnax(environment, params={"bit": jm.tasks.choice([0, 1])})
    return jm.maml(
        tasks,
        jm.policies.mlp(tasks.environment, hidden=(4,)),
        inner_optimizer=optax.sgd(0.5),
        outer_optimizer=optax.adam(1e-2),
        num_tasks=2,
        num_updates=1,
        num_episodes=2,
    )


def run(directory, num_updates):
    key = jax.random.key(KEY_SEED)
    return fit(
        key,
        learner(),
        num_updates,
        directory=directory,
        chunk_size=3,
        checkpoint_every=6,
        progress=False,
    )


if __name__ == "__main__":
    if sys.argv[3] == "none":
        jax.config.update("jax_enable_compilation_cache", False)
    else:
        jax.config.update("jax_compilation_cache_dir", sys.argv[3])
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    run(sys.argv[1], int(sys.argv[2]))
