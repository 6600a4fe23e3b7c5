"""The picture of the project's README: an agent adapts to a goal it never saw.

After ``jaxmeta train maml-navigation2d``::

    python benchmarks/front_page_picture.py runs/maml-navigation2d/seed-0
"""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from harness import RESULTS

import jaxmeta as jm
from jaxmeta import plots, runs
from jaxmeta.types import Transition

GOAL = (-0.3, 0.4)
NUM_EPISODES = 6


def paths(key: jax.Array, directory: Path) -> list[list[np.ndarray]]:
    """Positions ``[T, 2]`` of each episode, before and after each gradient step."""
    _, _, experiment, state = runs.restore(directory)
    learner = experiment.test_learner
    key_task, key_collect = jax.random.split(key)
    task = experiment.test_tasks.sample(key_task)
    task = task._replace(params=task.params.replace(goal=jnp.asarray(GOAL)))
    experience = jax.jit(learner.collect)(key_collect, state.meta_params, task)
    panels = []
    for count in range(experience.support.reward.shape[0] + 1):
        batch = experience.query
        if count < experience.support.reward.shape[0]:
            batch = jm.trees.at(experience.support, count)
        panels.append([_episode(batch, n) for n in range(NUM_EPISODES)])
    return panels


def _episode(batch: Transition, index: int) -> np.ndarray:
    """Positions of one episode, up to where it ends."""
    positions = np.asarray(batch.next_observation[index])
    over = np.asarray(batch.terminated[index] | batch.truncated[index])
    start = np.asarray(batch.timestep.observation[index])[:1]
    return np.concatenate([start, positions[: int(over.argmax()) + 1]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    arguments = parser.parse_args()
    picture = plots.trajectories(
        paths(jax.random.key(0), arguments.directory), goal=GOAL
    )
    plots.save(picture, RESULTS / "front_page.png")


if __name__ == "__main__":
    main()
