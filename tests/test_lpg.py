"""Learned policy gradients: what the rule sees and does, and exact meta-gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmeta as jm
from jaxmeta import inner, learned_rules, policies
from jaxmeta.environments import MatchProbe
from jaxmeta.learned_rules import Advice, Rule, Seen
from jaxmeta.ruled import Weights

TASKS = jm.tasks.from_gymnax(MatchProbe(), params={"bit": jm.tasks.choice([0, 1])})
AGENT = policies.predictive(TASKS.environment, num_predictions=4)
RULE = learned_rules.backward_lstm(size=5, embedding=3, num_predictions=4)


def made(policy=AGENT, tasks=TASKS, **options):
    settings = {
        "agent_optimizer": optax.sgd(1.0),
        "outer_optimizer": optax.adam(1e-2),
        "critic_optimizer": optax.adam(1e-2),
        "num_lifetimes": 3,
        "lifetime": 8,
        "num_environments": 2,
        "length": 7,
        "num_updates": 2,
        "rule": RULE,
    }
    return jm.lpg(tasks, policy, **{**settings, **options})


def seen(key, length=6):
    keys = jax.random.split(key, 4)
    return Seen(
        reward=jax.random.normal(keys[0], (length,)),
        discount=jnp.full(length, 0.9),
        is_last=jnp.zeros(length, bool),
        probability=jax.random.uniform(keys[1], (length,)),
        prediction=jax.nn.softmax(jax.random.normal(keys[2], (length, 4))),
        next_prediction=jax.nn.softmax(jax.random.normal(keys[3], (length, 4))),
        lifetime=jnp.full(length, 0.25),
    )


def test_advice_looks_ahead_to_the_end_of_its_episode_and_no_further(key):
    """A reward at step 3 is heard of by steps 0 to 3, unless step 1 ends an episode."""
    params = RULE.init(key)

    def changed(is_last):
        base = seen(key)._replace(is_last=is_last)
        other = base._replace(reward=base.reward.at[3].add(1.0))
        gains = [RULE.advise(params, one).gain for one in (base, other)]
        return np.asarray(gains[0] != gains[1])

    whole = jnp.zeros(6, bool)
    np.testing.assert_array_equal(changed(whole), [1, 1, 1, 1, 0, 0])
    np.testing.assert_array_equal(changed(whole.at[1].set(True)), [0, 0, 1, 1, 0, 0])
    np.testing.assert_array_equal(changed(whole.at[3].set(True)), [1, 1, 1, 1, 0, 0])


def test_a_new_rule_hardly_moves_an_agent(key):
    """Of 20 new rules; with the usual weights, gains would be about 0.2."""
    keys = jax.random.split(key, 20)
    gains = jax.vmap(lambda k: RULE.advise(RULE.init(k), seen(k)).gain)(keys)
    assert 0 < jnp.abs(gains).max() < 0.03


@pytest.mark.slow
def test_a_time_limit_is_no_termination(key):
    """The rule is told of a discount of zero where there is nothing more to come."""

    def advise(params, seen):
        return Advice(seen.discount + 10.0 * seen.is_last, jnp.zeros((2, 4)))

    def regularizer_of(**ends):
        batch = jax.jit(made(length=2).collect)(key, RULE.init(key), TASKS.sample(key))
        no = jnp.zeros((2, 2), bool)
        batch = batch.query._replace(terminated=no, truncated=no)
        batch = batch._replace(**dict.fromkeys(ends, ~no))
        agent = inner.learned_rule(
            AGENT, Rule(lambda key: {}, advise, 4), optax.sgd(0.1), discount=0.9
        )
        _, info = agent.update(key, {}, agent.init(key, {}), batch)
        return info["regularizer"] + 0.001 * info["prediction_entropy"]

    told = [regularizer_of(), regularizer_of(truncated=1), regularizer_of(terminated=1)]
    expected = [0.005 * gain**2 for gain in (0.9, 10.9, 10.0)]
    np.testing.assert_allclose(told, expected, rtol=1e-4)


def test_only_a_rule_that_sees_the_lifetime_depends_on_it(key):
    for sees in (False, True):
        rule = learned_rules.backward_lstm(
            size=5, embedding=3, num_predictions=4, sees_lifetime=sees
        )
        params, now = rule.init(key), seen(key)
        later = now._replace(lifetime=now.lifetime + 0.5)
        same = rule.advise(params, now).gain == rule.advise(params, later).gain
        assert np.all(same) != sees


def test_the_lifetime_a_rule_sees_is_the_part_that_is_over(key):
    """A rule that only passes it on makes every action that much more likely."""
    told = []

    def advise(params, seen):
        told.append(seen.lifetime)
        return Advice(seen.lifetime, jnp.zeros((len(seen.lifetime), 4)))

    agent = inner.learned_rule(
        AGENT, Rule(lambda key: {}, advise, 4), optax.sgd(0.1), lifetime=8
    )
    batch = jax.jit(made().collect)(key, RULE.init(key), TASKS.sample(key)).query
    state = agent.init(key, {})
    for age in range(3):
        _, info = agent.update(key, {}, state, batch)
        state, _ = agent.update(key, {}, state, batch)
        expected = 0.005 * (age / 8) ** 2 - 0.001 * info["prediction_entropy"]
        np.testing.assert_allclose(info["regularizer"], expected, rtol=1e-5)


def test_with_rewards_for_gains_it_is_reinforce(key):
    """And predictions move towards their targets, by half the gradient of the KL."""
    target = jnp.array([2.0, 0.0, -1.0, 0.5])

    def advise(params, seen):
        return Advice(seen.reward, jnp.broadcast_to(target, (len(seen.reward), 4)))

    agent = inner.learned_rule(AGENT, Rule(lambda key: {}, advise, 4), optax.sgd(1.0))
    batch = jax.jit(made().collect)(key, RULE.init(key), TASKS.sample(key)).query
    state = agent.init(key, {})
    before = state.agent.params
    after = agent.update(key, {}, state, batch)[0].agent.params

    def loss(params):
        def of_step(step):
            output, _ = AGENT.policy.apply(params, (), step.timestep)
            y = jax.nn.softmax(AGENT.predict(params, step.timestep))
            aim = jax.nn.log_softmax(target)
            divergence = jnp.sum(y * (jnp.log(y) - aim))
            gain = output.distribution.log_prob(step.action) * step.reward
            return -gain + 0.5 * divergence

        return jnp.mean(jax.vmap(jax.vmap(of_step))(batch))

    expected = jax.tree.map(lambda p, g: p - g, before, jax.grad(loss)(before))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
        after,
        expected,
    )


def test_the_entropy_of_predictions_is_that_after_the_update(key):
    """So that the last update counts, were it the only one."""
    target = jnp.array([2.0, 0.0, -1.0, 0.5])

    def advise(scale, seen):
        logits = jnp.broadcast_to(scale * target, (len(seen.reward), 4))
        return Advice(jnp.zeros_like(seen.reward), logits)

    free = Weights(prediction_entropy=1.0, gain=0.0, target=0.0)
    agent = inner.learned_rule(
        AGENT, Rule(lambda key: 1.0, advise, 4), optax.sgd(0.5), weights=free
    )
    batch = jax.jit(made().collect)(key, RULE.init(key), TASKS.sample(key)).query
    state = agent.init(key, 1.0)

    def regularizer(scale):
        return agent.update(key, scale, state, batch)[1]["regularizer"]

    found, slope = jax.value_and_grad(regularizer)(1.0)
    assert slope > 1e-3  # sharper targets make predictions less uncertain
    params = agent.update(key, 1.0, state, batch)[0].agent.params
    predict = jax.vmap(jax.vmap(lambda step: AGENT.predict(params, step)))
    entropy = jm.distributions.Categorical(predict(batch.timestep)).entropy()
    np.testing.assert_allclose(found, -jnp.mean(entropy), rtol=1e-5)


def test_every_meta_param_and_the_outer_critics_get_a_gradient(key):
    learner = made()
    state = learner.init(key)
    experience = jax.jit(learner.collect)(key, state.meta_params, TASKS.sample(key))
    by_rule = jax.jit(jax.grad(learner.objective, has_aux=True))
    gradients, _ = by_rule(state.meta_params, experience)
    for path in jm.trees.paths(gradients):
        leaf = jm.trees.path_mask(gradients, lambda p, path=path: p == path)
        values = [
            g
            for g, chosen in zip(
                jax.tree.leaves(gradients), jax.tree.leaves(leaf), strict=True
            )
            if chosen
        ]
        assert np.any(values[0] != 0), path
    after, _ = jax.jit(learner.update)(key, state)
    old, new = (s.outer_state.lifetimes.agent.critic.params for s in (state, after))
    moved = jax.tree.map(lambda a, b: bool(np.any(a != b)), old, new)
    assert all(jax.tree.leaves(moved))


@pytest.mark.parametrize("num_updates", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_the_meta_gradient_is_that_of_central_differences(num_updates):
    """Along directions at random; no part of the outer critic depends on the rule."""
    with jax.enable_x64(True):
        learner = made(num_updates=num_updates, lifetime=2 * num_updates)
        key = jax.random.key(5)
        params = RULE.init(key)
        experience = jax.jit(learner.collect)(key, params, TASKS.sample(key))
        params, experience = jax.tree.map(
            lambda x: x.astype(jnp.float64) if x.dtype == jnp.float32 else x,
            (params, experience),
        )
        objective = jax.jit(lambda p: learner.objective(p, experience)[0])
        gradient = jax.jit(jax.grad(objective))(params)
        step = 1e-5
        for seed in range(3):
            direction = jm.trees.normal_like(jax.random.key(seed), params)
            ahead, behind = (
                jax.tree.map(lambda p, d, s=sign: p + s * step * d, params, direction)
                for sign in (1, -1)
            )
            difference = (objective(ahead) - objective(behind)) / (2 * step)
            pairs = zip(
                jax.tree.leaves(gradient), jax.tree.leaves(direction), strict=True
            )
            found = sum(jnp.vdot(g, d) for g, d in pairs)
            np.testing.assert_allclose(found, difference, rtol=1e-6)


def test_a_rule_fits_agents_and_environments_it_was_not_made_for(key):
    """What it reads has no observation and no action in it."""
    params = made().init(key).meta_params
    tasks = jm.tasks.from_gymnax("CartPole-v1", horizon=20)
    agent = policies.predictive(tasks.environment, hidden=(6,), num_predictions=4)
    other = made(agent, tasks, agent_optimizer=optax.sgd(0.1))
    drawn = jax.vmap(tasks.sample)(jax.random.split(key, 2))
    curves = jm.life_curves(
        key,
        other,
        params,
        tasks.environment,
        drawn,
        num_updates=4,
        num_environments=3,
        length=10,
        num_tests=2,
    )
    for curve in curves:
        assert curve.shape == (2, 3)
        assert np.all(np.isfinite(curve))


def test_without_hidden_layers_an_agent_is_a_table(key):
    params = AGENT.policy.init(key)
    shapes = sorted(leaf.shape for leaf in jax.tree.leaves(params))
    assert shapes == [(2, 2), (2, 4)]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"rule": learned_rules.backward_lstm(size=4)},
            ValueError,
            "it teaches 30 predictions, and the agent makes 4",
        ),
        ({"policy": AGENT.policy}, TypeError, "policy must be one of policies.predict"),
        ({"agent_optimizer": 1.0}, TypeError, "agent_optimizer must be an optax"),
        ({"critic_optimizer": 1.0}, TypeError, "critic_optimizer must be an optax"),
        ({"agent_optimizer": optax.adam(0.1)}, ValueError, "agent_optimizer cannot be"),
        ({"lifetime": 7}, ValueError, "must be a multiple of num_updates=2, got 7"),
        ({"num_updates": 9}, ValueError, "num_updates must be at most the lifetime, 8"),
        ({"num_updates": 0}, ValueError, "num_updates must be at least 1, got 0"),
        ({"num_updates": 2.0}, TypeError, r"num_updates must be an integer, got 2\.0"),
        ({"discount": 1.5}, ValueError, r"discount must lie in \[0, 1\]"),
        (
            {"weights": Weights(gain=-1.0)},
            ValueError,
            r"weights\.gain must be finite and at least 0, got -1\.0",
        ),
    ],
)
def test_bad_arguments(options, error, message):
    with pytest.raises(error, match=message):
        made(**options)


def test_a_rule_that_sees_the_lifetime_must_be_told_of_it():
    rule = learned_rules.backward_lstm(size=5, num_predictions=4, sees_lifetime=True)
    with pytest.raises(ValueError, match="lifetime: the rule reads how much"):
        inner.learned_rule(AGENT, rule, optax.sgd(1.0))
    with pytest.raises(ValueError, match="prediction_weight must be finite and at"):
        inner.learned_rule(AGENT, RULE, optax.sgd(1.0), prediction_weight=-1.0)


@pytest.mark.parametrize("name", ["size", "embedding", "num_predictions"])
def test_bad_sizes_of_a_rule(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        learned_rules.backward_lstm(**{name: 0})
