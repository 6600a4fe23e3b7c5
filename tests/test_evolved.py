"""Optimizers and objectives that evolve: how agents live by them, and what is said of
arguments that do not fit."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmeta as jm
from jaxmeta import advantages, inner, learned_optimizers, losses, policies
from jaxmeta.environments import MatchProbe

TASKS = jm.tasks.from_gymnax(MatchProbe(), params={"bit": jm.tasks.choice([0, 1])})
POLICY = policies.mlp(TASKS.environment, hidden=(4,), critic=True)
SETTINGS = {
    "outer_optimizer": optax.sgd(1e-2),
    "sigma": 0.1,
    "num_lifetimes": 2,
    "lifetime": 2,
    "num_environments": 4,
    "length": 5,
    "num_epochs": 2,
    "num_minibatches": 2,
}
SMALL = learned_optimizers.recurrent(size=3, memory=2)
DRIFT = losses.learned_drift(size=3)


def drift(policy=POLICY, **options):
    settings = {**SETTINGS, "agent_optimizer": optax.sgd(0.1)}
    return jm.learned_drift(TASKS, policy, **{**settings, **options})


def optimizer(policy=POLICY, **options):
    settings = {**SETTINGS, "optimizer": SMALL}
    return jm.learned_optimizer(TASKS, policy, **{**settings, **options})


def lived(learner, meta_params, key):
    """The agent before and after one update, and its batch."""
    experience = jax.jit(learner.collect)(key, meta_params, TASKS.sample(key))
    batch = jm.trees.at(experience.support, 0)
    update = jax.jit(learner.inner.update)
    key = experience.keys[1]
    after, _ = update(key, meta_params, experience.initial, batch)
    return experience.initial, after, batch, key


@pytest.mark.slow
def test_agents_whose_drift_is_that_of_clipping_are_ppo(key):
    """A drift without weights that clips, against a known agent on the same batch."""
    clip = losses.clipping_drift(0.1)
    clipping = losses.LearnedDrift(
        lambda key: {"unused": jnp.zeros(1)},
        lambda params, log_ratio, advantage: clip(log_ratio, advantage),
    )
    learner = drift(drift=clipping, num_epochs=4, agent_optimizer=optax.sgd(0.5))
    before, after, batch, key = lived(learner, clipping.init(key), key)
    loss = losses.clipped_surrogate(
        POLICY,
        advantages.value_baseline(normalize=True),
        clip=0.1,
        entropy_coefficient=0.01,
    )
    known = inner.descent(
        POLICY.init,
        lambda _: loss,
        optax.sgd(0.5),
        num_epochs=4,
        num_minibatches=2,
    )
    expected, _ = jax.jit(known.update)(key, (), before, batch)
    for a, b in zip(
        jax.tree.leaves(after.params), jax.tree.leaves(expected.params), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_a_learned_optimizer_counts_the_steps_of_a_life_and_clips_gradients(key):
    """Two epochs of two minibatches; and none of it sees a gradient that is longer."""

    def transform(meta_params, schedule):
        assert schedule == learned_optimizers.Schedule(2, 2, 2)
        known = SMALL.transform(meta_params, schedule)

        def update(updates, state, params=None, **told):
            assert set(told) == {"key", "dormancy"}
            norm = jm.trees.safe_norm(updates)
            moves, inside = known.update(updates, state[0], params, **told)
            return moves, (inside, jnp.maximum(state[1], norm))

        def init(params):
            return known.init(params), jnp.zeros(())

        return optax.GradientTransformationExtraArgs(init, update)

    seen = learned_optimizers.LearnedOptimizer(SMALL.init, transform)
    meta_params = SMALL.init(key)
    for limit in (1e-3, None):
        learner = optimizer(optimizer=seen, max_gradient_norm=limit)
        _, after, _, _ = lived(learner, meta_params, key)
        state, norm = after.optimizer if limit is None else after.optimizer[1]
        assert int(state.num_steps) == 4
        if limit is None:
            assert norm > 0.01
        else:
            np.testing.assert_allclose(norm, limit, rtol=1e-5)


@pytest.mark.parametrize("make", [drift, optimizer])
def test_a_life_may_be_judged_by_its_end_or_in_windows(make):
    assert make().num_updates == 2
    assert make(num_updates=1, persistent=True).num_updates == 1


@pytest.mark.slow
def test_a_window_is_judged_by_its_steps_and_a_life_by_its_end(key):
    """What ends no episode must not look better than what does, where rewards cost."""
    for lifetime, is_whole in ((2, True), (4, False)):
        made = drift(drift=DRIFT, lifetime=lifetime, num_updates=2)
        _, info = jax.jit(made.update)(key, made.init(key))
        found = -float(info["meta_loss"])
        returns = np.asarray(info["returns"])
        expected = returns[-1] if is_whole else returns[1:].mean() / 5
        np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("make", "options", "error", "message"),
    [
        *[
            (make, *row)
            for make in (drift, optimizer)
            for row in (
                ({"sigma": 0.0}, ValueError, "sigma must be positive"),
                ({"lifetime": 2.5}, TypeError, "lifetime must be an integer"),
                ({"num_updates": 3}, ValueError, "num_updates must be at most the"),
                ({"num_epochs": 0}, ValueError, "num_epochs must be at least 1"),
                ({"length": 1}, ValueError, "lifetime: its 2 updates of length=1 are"),
                (
                    {"num_minibatches": 3},
                    ValueError,
                    "num_minibatches must divide num_environments=4, got 3",
                ),
                (
                    {"policy": policies.mlp(TASKS.environment)},
                    ValueError,
                    "policy: it has no critic.*critic=True",
                ),
                ({"outer_optimizer": 0.1}, TypeError, "outer_optimizer must be an opt"),
            )
        ],
        (drift, {"drift": 3}, TypeError, "drift must be a LearnedDrift.* got 3"),
        (
            drift,
            {"advantage": advantages.reward_to_go()},
            ValueError,
            "advantage: its advantages need complete episodes",
        ),
        (drift, {"agent_optimizer": None}, TypeError, "agent_optimizer must be an op"),
        (
            optimizer,
            {"optimizer": optax.sgd(0.1)},
            TypeError,
            "optimizer must be a LearnedOptimizer",
        ),
        (optimizer, {"agent_loss": 3}, TypeError, "agent_loss must give a loss, got 3"),
        (
            optimizer,
            {"max_gradient_norm": -1.0},
            ValueError,
            "max_gradient_norm must be positive",
        ),
    ],
)
def test_bad_arguments_are_named(make, options, error, message):
    with pytest.raises(error, match=message):
        make(**options)


@pytest.mark.slow
def test_what_is_learned_fits_other_agents_in_other_environments(key):
    """No observation, no action and no size of a network is part of either rule."""
    tasks = jm.tasks.navigation2d(horizon=5)
    other = policies.mlp(tasks.environment, hidden=(3, 2), critic=True)
    sizes = {"num_updates": 2, "num_environments": 4, "length": 5, "num_tests": 2}
    drawn = jax.vmap(tasks.sample)(jax.random.split(key, 3))
    for method, made, options in (
        (jm.learned_drift, DRIFT, {"drift": DRIFT, "agent_optimizer": optax.sgd(0.1)}),
        (jm.learned_optimizer, SMALL, {"optimizer": SMALL}),
    ):
        rule = made.init(key)
        there = method(tasks, other, **{**SETTINGS, **options})
        curves = jm.life_curves(key, there, rule, tasks.environment, drawn, **sizes)
        assert curves[0].shape == (3, 3)
        assert np.all(np.isfinite(curves[0]))
