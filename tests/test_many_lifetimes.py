"""Thousands of agents that live on, through a run that is cut and goes on."""

import jax
import numpy as np
import optax
import pytest

import jaxmeta as jm
from jaxmeta import advantages, hyperparameters, inner, losses, objectives, outer
from jaxmeta.environments import MatchProbe

NUM_LIFETIMES = 2048
TASKS = jm.tasks.from_gymnax(MatchProbe(), params={"bit": jm.tasks.choice([0, 1])})
POLICY = jm.policies.mlp(TASKS.environment, hidden=(), critic=True)
NUMBERS = {"rate": hyperparameters.positive(0.1)}


def learner(outer_learner, **options):
    agent = inner.tuned(
        POLICY.init,
        NUMBERS,
        lambda values: losses.policy_gradient(POLICY, advantages.value_baseline()),
        lambda values: optax.sgd(values["rate"]),
    )
    return jm.lifetime_learner(
        TASKS,
        POLICY,
        agent,
        outer_learner(agent),
        lambda key: hyperparameters.init(NUMBERS),
        num_lifetimes=NUM_LIFETIMES,
        lifetime=6,
        num_updates=2,
        num_environments=1,
        length=4,
        lifetime_batch_size=256,
        **options,
    )


def gradient(agent):
    loss = losses.policy_gradient(POLICY, advantages.value_baseline())
    return outer.gradient(
        objectives.after_adaptation(agent, loss),
        optax.adam(0.01),
        task_batch_size=256,
    )


def persistent(agent):
    return outer.evolution(objectives.lifetime_reward(), optax.adam(0.01), sigma=0.1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("outer_learner", "options"),
    [
        (gradient, {}),
        pytest.param(persistent, {"persistent": True}, marks=pytest.mark.slow),
    ],
    ids=["gradient", "persistent"],
)
def test_a_run_that_was_cut_ends_in_the_same_bits(
    key, outer_learner, options, tmp_path
):
    made = learner(outer_learner, **options)
    settings = {"chunk_size": 2, "checkpoint_every": 2, "progress": False}
    jm.fit(key, made, 2, directory=tmp_path, **settings)
    resumed = jm.fit(key, made, 6, directory=tmp_path, **settings)
    whole = jm.fit(key, made, 6, **settings)
    ages = np.asarray(resumed.outer_state.lifetimes.age).reshape(NUM_LIFETIMES, -1)
    assert set(ages[:, 0].tolist()) == {0, 2, 4}
    for ours, theirs in zip(
        jax.tree.leaves(resumed), jax.tree.leaves(whole), strict=True
    ):
        if jax.dtypes.issubdtype(ours.dtype, jax.dtypes.prng_key):
            ours, theirs = jax.random.key_data(ours), jax.random.key_data(theirs)
        np.testing.assert_array_equal(ours, theirs)
