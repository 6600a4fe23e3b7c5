"""Adaptation without an end where the goal moves: never, all, or forgetting.

``python benchmarks/drifting_goals.py`` meta-trains MAML on 2D navigation by its recipe
(a shorter one), then lets it live on in two kinds of stream of batches of episodes: the
goal jumps to a new place every few batches, or walks at random. Each batch is acted
with the params adapted so far and then learned from. All ways to forget meet the same
goals and start from the same meta-params; agents that never adapt are shown beside.
"""

import argparse
from typing import Any, NamedTuple

import harness
import jax
import jax.numpy as jnp
import numpy as np

import jaxmeta as jm
from jaxmeta import plots, recipes, rollouts, trees

NUM_BATCHES, NUM_EPISODES = 40, 20
JUMP_EVERY = 8  # batches
WALK_STD = 0.08  # of the goal's step per batch and coordinate; goals lie within 0.5
WAYS: dict[str, dict[str, Any] | None] = {
    "never adapts": None,
    "never forgets": {},
    "forgetting 0.1": {"forgetting": 0.1},
    "forgetting 0.3": {"forgetting": 0.3},
    "forgetting 1": {"forgetting": 1.0},
    "window of 3": {"window": 3},
    "reset every 8": {"reset_every": JUMP_EVERY},
    "reset on a fall of 5": {"reset_drop": 5.0},
}
# More than five would not be told apart.
DRAWN = (
    "never adapts",
    "never forgets",
    "forgetting 0.1",
    "window of 3",
    "reset on a fall of 5",
)


class Streams(NamedTuple):
    """Goals ``[num_streams, B, 2]`` of every kind of drift."""

    jumps: jax.Array
    walks: jax.Array


def goals(key: jax.Array, num_streams: int) -> Streams:
    """Where the goals are at every batch.

    The first jump of a stream comes at random, so that resets every few batches know
    how often goals jump and not when.
    """
    key_jump, key_phase, key_start, key_walk = jax.random.split(key, 4)
    count = NUM_BATCHES // JUMP_EVERY + 2
    places = jax.random.uniform(
        key_jump, (num_streams, count, 2), minval=-0.5, maxval=0.5
    )
    phase = jax.random.randint(key_phase, (num_streams, 1), 0, JUMP_EVERY)
    index = (jnp.arange(NUM_BATCHES)[None, :] + phase) // JUMP_EVERY
    jumps = jnp.take_along_axis(places, index[:, :, None], axis=1)
    start = jax.random.uniform(key_start, (num_streams, 2), minval=-0.5, maxval=0.5)
    steps = WALK_STD * jax.random.normal(key_walk, (NUM_BATCHES, num_streams, 2))

    def walk(goal, step):
        moved = jnp.abs(goal + step + 0.5)  # reflected at the edges
        return (1.0 - jnp.abs(1.0 - moved)) - 0.5, goal

    _, walks = jax.lax.scan(walk, start, steps)
    return Streams(jumps, walks.swapaxes(0, 1))


def lives(learner, tasks, way: dict[str, Any] | None):
    """``(key, meta_params, goals [B, 2]) -> returns [B]`` of one stream."""
    environment, policy = learner.environment, learner.policy
    stream = None if way is None else jm.continual(learner, **way)

    def live(key, meta_params, places):
        key_like, key_start = (jax.random.fold_in(key, n) for n in (1, 2))
        like = tasks.sample(key_like)  # its goal is replaced

        def act(key, params, goal):
            task = like._replace(params=like.params.replace(goal=goal))
            return rollouts.episodes(
                key,
                environment,
                policy,
                params,
                task,
                num_episodes=NUM_EPISODES,
                length=environment.horizon,
            )

        keys = jax.random.split(key, (NUM_BATCHES, 2))
        if stream is None:
            return jax.lax.map(
                lambda one: act(one[0][0], meta_params, one[1]).reward.sum(-1).mean(),
                (keys, places),
            )

        alive = stream

        def step(state, one):
            (key_act, key_update), goal = one
            batch = act(key_act, alive.params(meta_params, state), goal)
            state, info = alive.update(key_update, meta_params, state, batch)
            return state, info["return"]

        like_batch = jax.eval_shape(act, key, meta_params, places[0])
        empty = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), like_batch)
        state = alive.start(key_start, meta_params, empty)
        return jax.lax.scan(step, state, (keys, places))[1]

    return live


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--num-updates", type=int, default=150)
    parser.add_argument("--num-streams", type=int, default=40)
    given = parser.parse_args()
    build = recipes.get("maml-navigation2d").build
    experiment = build(decay_updates=given.num_updates)
    learner, tasks = experiment.learner, experiment.test_tasks

    @jax.jit
    def train(key):
        key_init, key_train = jax.random.split(key)
        state = learner.init(key_init)
        return jm.train(key_train, learner, state, given.num_updates)[0].meta_params

    metas = jax.lax.map(train, jax.random.split(jax.random.key(0), given.seeds))
    returns: dict[str, dict[str, list[np.ndarray]]] = {}
    for label, way in WAYS.items():
        live = jax.jit(jax.vmap(lives(learner, tasks, way), (0, None, 0)))
        for seed in range(given.seeds):
            key_goals, key_live = jax.random.split(jax.random.key(1000 + seed))
            keys = jax.random.split(key_live, given.num_streams)
            streams = goals(key_goals, given.num_streams)
            for drift, places in streams._asdict().items():
                found = live(keys, trees.at(metas, seed), places)
                returns.setdefault(drift, {}).setdefault(label, []).append(
                    np.asarray(found)
                )
        print(
            label,
            {drift: float(np.mean(of[label])) for drift, of in returns.items()},
            flush=True,
        )
    results = {
        drift: {label: summary(values) for label, values in of.items()}
        for drift, of in returns.items()
    }
    harness.save(
        "drifting_goals",
        f"python benchmarks/drifting_goals.py --seeds {given.seeds} --num-updates "
        f"{given.num_updates} --num-streams {given.num_streams}",
        num_seeds=given.seeds,
        num_streams=given.num_streams,
        num_batches=NUM_BATCHES,
        num_episodes=NUM_EPISODES,
        jump_every=JUMP_EVERY,
        walk_std=WALK_STD,
        returns=results,
    )
    draw(results)


def draw(results: dict[str, Any]) -> None:
    """Mean return of every batch of a life, a picture for each kind of drift."""
    for drift, of in results.items():
        curves = {
            label: (np.arange(1, NUM_BATCHES + 1), np.asarray([found["by_batch"]]))
            for label, found in of.items()
            if label in DRAWN and "diverged" not in found
        }
        picture = plots.learning_curves(
            curves, xlabel="batch", ylabel="return of the batch"
        )
        plots.save(picture, harness.RESULTS / f"drifting_goals_{drift}.png")


def summary(values: list[np.ndarray]) -> dict[str, Any]:
    """Mean return over the life, by seed, with its 95% interval over seeds.

    Where a return is not finite, how many streams came to that instead.
    """
    by_seed = jnp.asarray([seed.mean() for seed in values])
    if not jnp.isfinite(by_seed).all():
        whole = [bool(np.isfinite(stream).all()) for seed in values for stream in seed]
        return {"diverged": whole.count(False)}
    over = jm.bootstrap_interval(jax.random.key(3), by_seed)
    return {
        "per_seed": by_seed.tolist(),
        **{end: float(value) for end, value in over._asdict().items()},
        "by_batch": np.mean([seed.mean(0) for seed in values], axis=0).tolist(),
    }


if __name__ == "__main__":
    main()
