"""Losses with a number that changes, and numbers that jax traces."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmeta as jm
from jaxmeta import advantages, checks, losses, outer, policies
from jaxmeta.types import Experience

BANDIT = jm.tasks.bernoulli_bandit(2, horizon=3)
POLICY = policies.recurrent(BANDIT.environment, core=policies.gru(4))
ADVANTAGE = advantages.value_baseline(episodes_per_trial=1)
SETTINGS = {"outer_optimizer": optax.sgd(0.1), "num_tasks": 4}


def with_entropy(coefficient):
    return losses.clipped_surrogate(POLICY, ADVANTAGE, entropy_coefficient=coefficient)


def experience_of(trials):
    """Trials as an Outer gets them, of one task."""
    query = jax.tree.map(lambda leaf: leaf[None], trials)
    return Experience(keys=None, support=None, query=query)


def test_each_update_has_its_number(key):
    """The weight is the number of the update, in all epochs and minibatches of it."""

    def weighing(weight):
        return lambda params, batch: (weight * params, {"weight": weight})

    loss = losses.scheduled(weighing, lambda update: 10.0 ** update.astype(float))
    learner = outer.on_trials(loss, optax.sgd(1.0), num_epochs=3, num_minibatches=2)
    trials = jm.types.Transition(*[jnp.zeros((2, 1))] * 7)
    params = jnp.zeros(())
    state = learner.init(params)
    for update, after in enumerate([-6.0, -66.0, -666.0]):
        params, state, info = learner.update(key, params, state, experience_of(trials))
        assert params == after
        assert info["weight"] == 10.0**update


@pytest.mark.slow
def test_a_constant_schedule_is_the_loss_itself(key):
    schedule = optax.constant_schedule(0.3)
    learned = []
    for loss in (with_entropy(0.3), losses.scheduled(with_entropy, schedule)):
        learner = jm.rl2(BANDIT, POLICY, outer_loss=loss, **SETTINGS)
        state, info = jax.jit(learner.update)(key, learner.init(key))
        learned.append((state.meta_params, info))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), *learned
    )


def test_an_entropy_bonus_that_falls(key):
    """With nothing but the bonus the policy moves while there is one, and then not."""
    schedule = optax.piecewise_constant_schedule(1.0, {2: 0.0})
    flat = advantages.value_baseline(discount=0.0, episodes_per_trial=1)
    free = jm.tasks.from_gymnax(
        jm.environments.BernoulliBandit(2), params={"probabilities": jnp.zeros(2)}
    )

    quiet = POLICY._replace(apply=without_values, sequence=None)

    def bonus_alone(coefficient):
        return losses.clipped_surrogate(
            quiet, flat, entropy_coefficient=coefficient, value_coefficient=0.0
        )

    learner = jm.rl2(
        free,
        quiet,
        outer_loss=losses.scheduled(bonus_alone, schedule),
        **SETTINGS,
    )
    state, moved = learner.init(key), []
    for update in range(4):
        after, _ = jax.jit(learner.update)(jax.random.fold_in(key, update), state)
        change = jax.tree.map(jnp.subtract, after.meta_params, state.meta_params)
        moved.append(bool(optax.tree.norm(change) > 0))
        state = after
    assert moved == [True, True, False, False]


def without_values(params, carry, timestep):
    """The policy with a critic that says zero: advantages are zero without rewards."""
    output, carry = POLICY.apply(params, carry, timestep)
    return output._replace(value=jnp.zeros(())), carry


def test_advantages_that_do_not_fit_are_seen_through_the_schedule():
    def make(coefficient):
        return losses.clipped_surrogate(
            POLICY, advantages.value_baseline(), entropy_coefficient=coefficient
        )

    loss = losses.scheduled(make, optax.constant_schedule(0.1))
    with pytest.raises(ValueError, match="each on their own"):
        jm.rl2(BANDIT, POLICY, outer_loss=loss, **SETTINGS)


def test_methods_that_do_not_count_refuse_it():
    policy = policies.mlp(BANDIT.environment)

    def make(coefficient):
        return losses.policy_gradient(
            policy, advantages.reward_to_go(), entropy_coefficient=coefficient
        )

    loss = losses.scheduled(make, optax.constant_schedule(0.1))
    with pytest.raises(TypeError, match="outer_loss: it is scheduled, and this method"):
        jm.maml(
            BANDIT,
            policy,
            inner_optimizer=optax.sgd(0.1),
            outer_loss=loss,
            num_updates=1,
            num_episodes=2,
            **SETTINGS,
        )
    with pytest.raises(TypeError, match="this method does not count its updates"):
        loss(None, None)


@pytest.mark.parametrize("bad", [{"make": 0.1}, {"schedule": 0.1}])
def test_bad_arguments(bad):
    good = {"make": with_entropy, "schedule": optax.constant_schedule(0.1)}
    with pytest.raises(TypeError, match=f"{next(iter(bad))} must be a function"):
        losses.scheduled(**{**good, **bad})


@pytest.mark.slow
def test_learners_with_other_numbers_in_one_program(key):
    """Numbers of losses and advantages may be traced: here, mapped over."""

    def learn(discount, coefficient):
        advantage = advantages.value_baseline(discount=discount, episodes_per_trial=1)
        loss = losses.clipped_surrogate(
            POLICY, advantage, entropy_coefficient=coefficient
        )
        learner = jm.rl2(BANDIT, POLICY, outer_loss=loss, **SETTINGS)
        state, _ = learner.update(key, learner.init(key))
        return state.meta_params

    numbers = jnp.array([0.5, 0.9]), jnp.array([0.0, 0.1])
    together = jax.jit(jax.vmap(learn))(*numbers)
    for index in range(2):
        alone = jax.jit(learn)(*(float(values[index]) for values in numbers))
        jax.tree.map(
            lambda a, b, i=index: np.testing.assert_allclose(a[i], b, atol=1e-6),
            together,
            alone,
        )


@pytest.mark.parametrize("check", [checks.finite, checks.positive])
def test_traced_numbers_pass_and_others_do_not(check):
    assert jax.jit(lambda x: check("x", x))(-jnp.inf) == -jnp.inf
    with pytest.raises(ValueError, match="x must be"):
        check("x", -jnp.inf)


def test_a_critic_in_other_units(key):
    """Values are multiplied, in both modes; all else stays."""
    scaled = policies.scale_values(POLICY, 20.0)
    params = POLICY.init(key)
    step = policies.first_timestep(BANDIT.environment)
    steps = jax.tree.map(lambda leaf: jnp.stack([leaf] * 3), step)
    together = scaled.sequence(params, steps), POLICY.sequence(params, steps)
    carry = POLICY.initial_carry()
    (one, _), (base, _) = (
        policy.apply(params, carry, step) for policy in (scaled, POLICY)
    )
    for found, expected in (together, (one, base)):
        np.testing.assert_allclose(found.value, 20.0 * expected.value, rtol=1e-6)
        np.testing.assert_array_equal(
            found.distribution.logits, expected.distribution.logits
        )


def test_scales_of_critics_that_are_refused():
    blind = policies.mlp(BANDIT.environment)
    with pytest.raises(ValueError, match="scale must be positive"):
        policies.scale_values(POLICY, 0.0)
    timestep = policies.first_timestep(BANDIT.environment)
    scaled = policies.scale_values(blind, 2.0)
    params = scaled.init(jax.random.key(0))
    with pytest.raises(ValueError, match="no critic whose values could be scaled"):
        scaled.apply(params, (), timestep)
