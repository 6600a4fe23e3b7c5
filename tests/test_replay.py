"""The ring of the newest items."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmeta import replay


def filled(num_added, capacity, batch=1):
    ring = replay.empty({"n": jnp.zeros((), jnp.int32), "x": jnp.zeros(2)}, capacity)
    for start in range(0, num_added, batch):
        numbers = jnp.arange(start, start + batch, dtype=jnp.int32)
        items = {"n": numbers, "x": jnp.stack([numbers, -numbers], 1).astype(float)}
        ring = replay.add(ring, items)
    return ring


@pytest.mark.parametrize(("num_added", "batch"), [(2, 1), (5, 1), (6, 3), (12, 4)])
def test_it_keeps_the_newest_items_and_draws_from_no_others(num_added, batch, key):
    ring = filled(num_added, 5, batch)
    newest = set(range(max(num_added - 5, 0), num_added))
    assert int(ring.size) == len(newest)
    drawn = jax.jit(replay.sample, static_argnums=2)(key, ring, 300)
    assert set(drawn["n"].tolist()) == newest
    np.testing.assert_array_equal(drawn["x"][:, 0], drawn["n"])
    np.testing.assert_array_equal(drawn["x"][:, 1], -drawn["n"])


def test_items_are_drawn_with_equal_probability(key):
    drawn = replay.sample(key, filled(9, 7), 70_000)["n"]
    counts = np.bincount(np.asarray(drawn), minlength=9)[2:]
    assert np.all(np.abs(counts - 10_000) < 5 * np.sqrt(10_000))


def test_it_lives_in_a_scan_and_under_vmap(key):
    def run(key):
        def step(ring, number):
            ring = replay.add(ring, jnp.full((2,), number))
            return ring, replay.sample(key, ring, 3)

        return jax.lax.scan(
            step, replay.empty(jnp.zeros((), jnp.int32), 4), jnp.arange(5)
        )

    ring, drawn = jax.jit(jax.vmap(run))(jax.random.split(key, 6))
    np.testing.assert_array_equal(np.sort(ring.items), [[3, 3, 4, 4]] * 6)
    assert np.all(np.asarray(drawn) <= np.arange(5)[:, None])


def test_bad_arguments():
    with pytest.raises(ValueError, match="capacity must be at least 1, got 0"):
        replay.empty(jnp.zeros(2), 0)
    with pytest.raises(ValueError, match="3 of them do not fit a replay of capacity 2"):
        replay.add(replay.empty(jnp.zeros(()), 2), jnp.zeros(3))
