"""Lives by proposals: what evolution strategies estimate, and who goes on."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmeta as jm
from jaxmeta import adaptation, lifetimes, objectives, outer, policies
from jaxmeta.environments import MatchProbe
from jaxmeta.lifetimes import Returns, Window
from jaxmeta.types import Experience, Inner, Outer

TASKS = jm.tasks.from_gymnax(MatchProbe(), params={"bit": jm.tasks.choice([0, 1])})
POLICY = policies.mlp(TASKS.environment, hidden=(4,))
DECAY, TARGET, THETA = 0.9, 3.0, 0.4
WINDOWS, UPDATES = 3, 2

# ``x <- DECAY x + theta``: what a window does to the next is known.
LINEAR = Inner(
    init=lambda key, meta_params: {"params": POLICY.init(key), "x": jnp.zeros(())},
    update=lambda key, meta_params, state, batch: (
        {**state, "x": DECAY * state["x"] + meta_params},
        {},
    ),
    params=lambda meta_params, state: state["params"],
)


def distance(meta_params, experience):
    """``(x - TARGET)^2 / 2`` at the end of the window."""
    states, _ = adaptation.adaptation_states(meta_params, experience, inner=LINEAR)
    x = states["x"][-1]
    return 0.5 * (x - TARGET) ** 2, {"x": x}


def kept_gradient():
    """An optimizer that changes nothing, and whose state is the last gradient."""
    return optax.GradientTransformation(
        lambda params: jax.tree.map(jnp.zeros_like, params),
        lambda updates, state, params=None: (
            jax.tree.map(jnp.zeros_like, updates),
            updates,
        ),
    )


def made(outer_learner, **options):
    settings = {
        "num_lifetimes": 6,
        "lifetime": WINDOWS * UPDATES,
        "num_updates": UPDATES,
        "num_environments": 2,
        "length": 3,
    }
    return jm.lifetime_learner(
        TASKS,
        POLICY,
        LINEAR,
        outer_learner,
        lambda key: jnp.asarray(THETA),
        **{**settings, **options},
    )


def exact(*, whole):
    """The mean over windows of the slope of their loss, through the window or all."""
    x, slope, slopes = 0.0, 0.0, []
    for _ in range(WINDOWS):
        slope = slope if whole else 0.0
        for _ in range(UPDATES):
            x, slope = DECAY * x + THETA, DECAY * slope + 1.0
        slopes.append((x - TARGET) * slope)
    return np.mean(slopes)


def estimates_of(key, learner, count=150):
    """Meta-gradients of so many updates, once all agents have lived from birth."""

    def step(state, key):
        state, _ = learner.update(key, state)
        return state, state.outer_state.outer

    state, _ = jm.train(key, learner, learner.init(key), WINDOWS)
    return jax.lax.scan(step, state, jax.random.split(key, count))[1]


def evolution(**options):
    return outer.evolution(distance, kept_gradient(), sigma=0.1, **options)


@pytest.mark.parametrize(
    ("persistent", "whole"), [(False, False), (True, True)], ids=["ES", "PES"]
)
def test_what_is_estimated(key, persistent, whole):
    """Truncated strategies miss what a window does to later ones; persistent do not."""
    learner = made(evolution(), persistent=persistent, num_lifetimes=300)
    found = jax.jit(lambda key: estimates_of(key, learner))(key)
    error = found.std(ddof=1) / len(found) ** 0.5
    assert abs(exact(whole=True) - exact(whole=False)) > 20 * error
    assert abs(found.mean() - exact(whole=whole)) < 4 * error


def test_truncated_backpropagation_is_what_truncated_strategies_estimate(key):
    learner = made(outer.gradient(distance, kept_gradient()))
    found = jax.jit(lambda key: estimates_of(key, learner, 1))(key)
    np.testing.assert_allclose(found, exact(whole=False), rtol=1e-5)


def test_agents_go_on_by_the_meta_params(key):
    """Proposals that do not persist leave no trace."""
    learner = made(evolution())
    state, _ = jax.jit(learner.update)(key, learner.init(key))
    lives = state.outer_state.lifetimes
    once = DECAY * THETA + THETA
    np.testing.assert_array_equal(lives.age, [2, 2, 4, 4, 0, 0])
    np.testing.assert_allclose(lives.agent["x"], [once] * 4 + [0, 0], rtol=1e-6)
    assert state.outer_state.lives.perturbation is None


@pytest.mark.slow
def test_pairs_that_persist_drift_apart_by_what_is_remembered(key):
    """``x`` is linear, so the pair is as far apart as the perturbations say."""
    learner = made(evolution(), persistent=True, num_lifetimes=3)
    update = jax.jit(learner.update)
    states = [learner.init(key)]
    for step in range(WINDOWS):
        states.append(update(jax.random.fold_in(key, step), states[-1])[0])
    # The first of the three is born at the start, and lives to the end.
    total, apart = 0.0, 0.0
    for state in states[1:WINDOWS]:
        lives = state.outer_state.lives
        this = lives.perturbation[0] - total
        apart = DECAY**UPDATES * apart + 2 * this * (1 + DECAY)
        total = lives.perturbation[0]
        x = lives.lifetimes.agent["x"][0]
        np.testing.assert_allclose(x[0] - x[1], apart, rtol=1e-4)
    last = states[-1].outer_state.lives
    assert last.perturbation[0] == 0
    np.testing.assert_array_equal(last.lifetimes.agent["x"][0], 0)
    np.testing.assert_array_equal(last.lifetimes.age, [[0, 0], [2, 2], [4, 4]])


@pytest.mark.parametrize("persistent", [False, True])
def test_both_of_a_pair_see_the_same_random_numbers(key, persistent):
    """Their params are the same here, and so is all that they do."""
    caught = Outer(
        lambda meta_params: (),
        lambda key, meta_params, state, experience: (
            meta_params,
            state,
            {"experience": experience},
        ),
        lambda key, meta_params: jnp.stack([meta_params + 1, meta_params - 1]),
    )
    learner = made(caught, persistent=persistent)
    state, update = learner.init(key), jax.jit(learner.update)
    for step in range(2):
        state, info = update(jax.random.fold_in(key, step), state)
        actions = info["experience"].support.action
        assert actions.shape == (6, 2, UPDATES, 2, 3)
        np.testing.assert_array_equal(actions[:, 0], actions[:, 1])
        assert np.any(actions[0, 0] != actions[1, 0])


def test_a_life_in_one_window_is_followed_by_another(key):
    learner = made(evolution(), lifetime=UPDATES)
    state, info = jax.jit(learner.update)(key, learner.init(key))
    np.testing.assert_array_equal(state.outer_state.lifetimes.age, 0)
    # A pair, and nobody has to go on.
    assert info["environment_steps"] == 6 * 2 * (UPDATES + 1) * 2 * 3
    assert info["returns"].shape == (UPDATES + 1,)


@pytest.mark.parametrize(("persistent", "lives"), [(False, 3), (True, 2)])
def test_all_steps_are_counted(key, persistent, lives):
    learner = made(evolution(), persistent=persistent)
    _, info = jax.jit(learner.update)(key, learner.init(key))
    assert info["environment_steps"] == 6 * lives * (UPDATES + 1) * 2 * 3


def test_ranked_pairs_count_by_their_sign(key):
    """Losses of very different size weigh the same."""

    def scaled(meta_params, experience):
        return experience.query * meta_params, {}

    scales = jnp.array([1.0, -100.0, 1e-3])
    experience = Experience(None, None, jnp.stack([scales, scales], axis=1))
    learner = outer.evolution(scaled, optax.sgd(1.0), sigma=0.5, ranked=True)
    start = jnp.asarray(2.0)
    after, _, _ = learner.update(key, start, learner.init(start), experience)
    proposals = jax.vmap(learner.propose, in_axes=(0, None))(
        jax.random.split(key, 3), start
    )
    noise = (proposals[:, 0] - start) / 0.5
    expected = np.mean(np.sign(scales) * np.abs(noise)) / (2 * 0.5)
    np.testing.assert_allclose(start - after, expected, rtol=1e-5)


def test_returns_of_a_window_are_what_is_to_grow():
    returns = Returns(jnp.array([1.0, 2.0, 4.0]), jnp.ones(3))
    experience = Experience(None, None, None, window=Window(returns))
    assert objectives.lifetime_return()(None, experience)[0] == -3.0
    assert objectives.lifetime_return(final=True)(None, experience)[0] == -4.0


def test_rewards_count_once_an_agent_has_learned(key):
    parts = {"environment": TASKS.environment, "policy": POLICY, "inner": LINEAR}
    theta = jnp.asarray(THETA)
    life = lifetimes.born(key, theta, TASKS.sample(key), num_environments=4, **parts)
    _, seen = lifetimes.live(key, theta, life, num_updates=2, length=5, **parts)
    rewards = [seen.support.reward[1], seen.query.reward]
    found, _ = objectives.lifetime_reward()(theta, seen)
    np.testing.assert_allclose(found, -np.mean(rewards), rtol=1e-6)


def test_what_persists_ends():
    with pytest.raises(ValueError, match="persistent: what is remembered of a life"):
        made(evolution(), persistent=True, lifetime=None)


def test_more_steps_than_can_be_counted_are_refused(key):
    learner = made(evolution(), num_environments=2**17, length=2**17)
    state = jax.eval_shape(learner.init, key)
    with pytest.raises(ValueError, match=r"length=131072: an update of .* steps is"):
        jax.eval_shape(learner.update, key, state)


def test_nothing_persists_that_is_not_proposed():
    with pytest.raises(ValueError, match="persistent: agents live for life by what"):
        made(outer.gradient(distance, optax.sgd(0.1)), persistent=True)
