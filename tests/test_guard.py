"""Updates that are not finite are skipped, counted, and in the end stop a run."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import checkify
from killable import KEY_SEED, learner

import jaxmeta as jm
from jaxmeta.environments import MatchProbe
from jaxmeta.fit import fit

KEY = jax.random.key(KEY_SEED)


def poisoned(steps, value=jnp.nan):
    """A learner one of whose params, and whose returns, go bad in these updates."""
    one = learner()

    def update(key, state):
        after, info = one.update(key, state)
        bad = jnp.isin(state.step, jnp.asarray(steps))
        leaves, structure = jax.tree.flatten(after.meta_params)
        leaves[0] = jnp.where(bad, leaves[0].at[..., 0].set(value), leaves[0])
        params = jax.tree.unflatten(structure, leaves)
        info = {**info, "returns": jnp.where(bad, jnp.nan, info["returns"])}
        return after._replace(meta_params=params), info

    return one._replace(update=update)


def assert_same_bits(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


BAD = [jnp.nan, pytest.param(jnp.inf, marks=pytest.mark.slow)]


@pytest.mark.parametrize("value", BAD)
def test_an_update_that_is_not_finite_changes_nothing_but_the_step(value, key):
    guarded = jm.skip_nonfinite(poisoned([1], value))
    update = jax.jit(guarded.update)
    start, _ = update(key, guarded.init(key))
    after, info = update(key, start)
    assert int(info["skipped_updates"]) == 1
    assert_same_bits(after._replace(step=start.step), start)
    assert int(after.step) == 2
    later, info = update(key, after)
    assert int(info["skipped_updates"]) == 0
    before, now = (jax.tree.leaves(s.meta_params)[0] for s in (start, later))
    assert np.any(before != now)


@pytest.mark.slow
def test_a_learner_that_is_guarded_already_is_counted_all_the_same():
    guarded = jm.skip_nonfinite(poisoned(range(100)))
    with pytest.raises(FloatingPointError, match="4 of them in a row"):
        fit(KEY, guarded, 40, chunk_size=4, max_skipped=3, progress=False)


@pytest.mark.slow
def test_where_all_is_finite_the_guard_changes_no_bit(key):
    one = learner()

    def trained(learner):
        return jax.jit(lambda s: jm.train(key, learner, s, 3))(learner.init(key))[0]

    assert_same_bits(trained(one), trained(jm.skip_nonfinite(one)))


@pytest.mark.slow
def test_what_was_never_finite_does_not_count(key):
    """A bound kept in the state of an environment, say."""
    one = learner()

    def init(key):
        state = one.init(key)
        bounds = jnp.array([1.0, jnp.inf])
        return state._replace(outer_state=(state.outer_state, bounds))

    def update(key, state):
        inner, bounds = state.outer_state
        after, info = one.update(key, state._replace(outer_state=inner))
        return after._replace(outer_state=(after.outer_state, bounds)), info

    guarded = jm.skip_nonfinite(one._replace(init=init, update=update))
    after, info = jax.jit(guarded.update)(key, guarded.init(key))
    assert int(info["skipped_updates"]) == 0
    assert int(after.step) == 1


def rows(directory):
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.slow
def test_a_few_are_counted_and_left_out_of_the_means(tmp_path, caplog):
    options = {"chunk_size": 4, "directory": tmp_path, "progress": False}
    state = fit(KEY, poisoned([1, 2, 4, 5, 6, 7]), 12, max_skipped=7, **options)
    assert int(state.step) == 12
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(state))
    found = rows(tmp_path)
    assert [row["skipped_updates"] for row in found] == [2, 4, 0]
    assert np.all(np.isfinite(found[0]["returns"]))
    assert found[1]["returns"] is None  # there was no other update
    assert "2 of the 4 updates up to 4 would not be finite" in caplog.text


def test_too_many_in_a_row_stop_a_run_that_keeps_its_last_good_state(tmp_path):
    """In a row across chunks, too; and it says what went bad."""
    options = {"chunk_size": 4, "directory": tmp_path, "progress": False}
    with pytest.raises(FloatingPointError) as found:
        fit(KEY, poisoned(range(3, 100)), 40, max_skipped=6, **options)
    message = str(found.value)
    assert "stopped after 12 updates: 9 of them in a row would not be finite" in message
    assert "meta_params/params/policy_0/bias" in message
    assert "info/returns" in message
    # The state after three updates, with the steps it was tried in.
    good = fit(KEY, learner(), 3, progress=False)
    state = fit(KEY, learner(), 12, directory=tmp_path, progress=False)
    assert_same_bits(state._replace(step=good.step), good)
    # With what was wrong put right, the same call goes on.
    assert int(fit(KEY, learner(), 15, directory=tmp_path, progress=False).step) == 15


@pytest.mark.parametrize("reward", BAD)
def test_bad_rewards_stop_a_run(reward):
    class Broken(MatchProbe):
        def step_env(self, key, state, action, params):
            observation, state, _, done, info = super().step_env(
                key, state, action, params
            )
            return observation, state, jnp.float32(reward), done, info

    one = learner(Broken())
    with pytest.raises(FloatingPointError, match="info/returns"):
        fit(KEY, one, 40, chunk_size=4, max_skipped=3, progress=False)


def test_debug_stops_where_a_nan_is_made():
    one = learner()

    def update(key, state):
        after, info = one.update(key, state)
        loss = jnp.log(jnp.where(state.step == 2, -1.0, 1.0))
        return after, {**info, "loss": loss}

    bad = one._replace(update=update)
    options = {"chunk_size": 4, "debug": True, "progress": False}
    with pytest.raises(checkify.JaxRuntimeError, match="nan generated by primitive"):
        fit(KEY, bad, 4, **options)
    # And nothing else: the method itself makes none.
    assert int(fit(KEY, one, 4, **options).step) == 4


def test_the_limit_is_checked():
    with pytest.raises(ValueError, match="max_skipped must be at least 1, got 0"):
        fit(KEY, learner(), 4, max_skipped=0)
