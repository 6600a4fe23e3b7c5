"""Recommendation from logged ratings: slates, regrets, linear bandits, the belief."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmeta as jm
from jaxmeta import references, rollouts
from jaxmeta.environments.slates import distinct
from jaxmeta.references import linear

K, T = 2, 3


def table(num_users=4, num_items=9, seed=0):
    """Every user has rated every item; ratings are linear in two of three features."""
    random = np.random.default_rng(seed)
    features = np.c_[random.normal(size=(num_items, 2)), np.ones(num_items)]
    tastes = random.normal(size=(num_users, 3))
    users, items = np.divmod(np.arange(num_users * num_items), num_items)
    order = random.permutation(users.size)
    users, items = users[order], items[order]
    return 10 + 7 * users, items, (features[items] * tastes[users]).sum(1), features


def tasks_of(rows=None):
    return jm.tasks.from_ratings(
        *(rows or table()), num_candidates=K, num_interactions=T
    )


def test_rewards_are_the_ratings_and_regrets_what_is_lost():
    users, items, ratings, features = table()
    tasks = tasks_of()
    environment = tasks.environment
    policy = references.bandits.random(K)

    def play(key):
        key_task, key_start, key_act = jax.random.split(key, 3)
        task = tasks.sample(key_task)
        state = rollouts.start(key_start, environment, policy, task)
        steps, _ = rollouts.rollout(
            key_act, environment, policy, {}, task, state, length=T
        )
        return task.params.user, steps, state.environment_state

    players, steps, state = jax.jit(jax.vmap(play))(
        jax.random.split(jax.random.key(0), 64)
    )
    assert set(np.asarray(players)) == {0, 1, 2, 3}
    known = {(u, i): r for u, i, r in zip(users, items, ratings, strict=True)}
    labels = np.unique(users)
    for n in range(64):
        offered = np.asarray(state.slates[n])
        assert len(set(offered.ravel())) == K * T  # no item twice
        for t in range(T):
            chosen = offered[t, int(steps.action[n, t])]
            expected = known[labels[int(players[n])], chosen]
            np.testing.assert_allclose(steps.reward[n, t], expected, rtol=1e-6)
            np.testing.assert_allclose(
                steps.timestep.observation[n, t], features[offered[t]], rtol=1e-6
            )
    assert np.asarray(steps.terminated).tolist() == [[False, False, True]] * 64
    assert not np.asarray(steps.truncated).any()
    key = jax.random.key(1)
    who, regret = references.slate_regrets(key, tasks, policy, {}, num_tasks=32)
    again, best = references.slate_regrets(
        key, tasks, linear.fixed(environment, jnp.zeros(3)), {}, num_tasks=32
    )
    assert regret.shape == (32, T)
    np.testing.assert_array_equal(who, again)  # the same users for every policy
    assert (np.asarray(regret) >= 0).all()
    assert (np.asarray(best) > 0).any()


def test_knowing_the_weights_leaves_no_regret():
    users, items, _, features = table()
    weights = np.array([1.0, -2.0, 0.5])
    tasks = tasks_of((users, items, features[items] @ weights, features))
    policy = linear.fixed(tasks.environment, weights)
    _, regret = references.slate_regrets(
        jax.random.key(0), tasks, policy, {}, num_tasks=64
    )
    np.testing.assert_allclose(regret, 0.0, atol=1e-5)


def test_distinct_draws_every_ordered_sample_equally_often():
    keys = jax.random.split(jax.random.key(0), 6000)
    drawn = jax.jit(jax.vmap(lambda key: distinct(key, 2, jnp.asarray(3))))(keys)
    counts = np.bincount(np.asarray(drawn) @ [3, 1], minlength=9).reshape(3, 3)
    assert np.diag(counts).sum() == 0
    off = counts[~np.eye(3, dtype=bool)]
    assert np.abs(off - 1000).max() < 5 * np.sqrt(1000 * 5 / 6)


def test_the_posterior_is_that_of_a_dense_solve():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(7, 3)), random.normal(size=7)
    mean = random.normal(size=3)
    believed = linear.ridge_prior(3, penalty=2.0, mean=mean)
    believed = believed._replace(noise_variance=jnp.asarray(0.5))
    for row, reward in zip(x, y, strict=True):
        believed = linear.posterior(believed, jnp.asarray(row, jnp.float32), reward)
    precision = 2.0 * np.eye(3) + x.T @ x / 0.5
    expected = np.linalg.solve(precision, 2.0 * mean + x.T @ y / 0.5)
    np.testing.assert_allclose(believed.mean, expected, rtol=1e-4)
    np.testing.assert_allclose(
        believed.covariance, np.linalg.inv(precision), rtol=1e-4, atol=1e-6
    )


def remembered(policy, params, observations, actions, rewards):
    """The carry and the output after a few steps."""
    carry = policy.initial_carry()
    previous = (-1, 0.0)
    for observation, action, reward in zip(
        observations, [*actions, 0], [*rewards, 0.0], strict=True
    ):
        step = jm.types.Timestep(
            jnp.asarray(observation, jnp.float32),
            jnp.asarray(previous[0]),
            jnp.asarray(previous[1], jnp.float32),
            jnp.asarray(previous[0] < 0),
        )
        output, carry = policy.apply(params, carry, step)
        previous = (action, reward)
    return output, carry


def test_linucb_adds_its_bonus_to_ridge_regression():
    environment = tasks_of().environment
    random = np.random.default_rng(1)
    offered = random.normal(size=(4, K, 3))
    actions, rewards = [0, 1, 1], [1.0, -0.5, 2.0]
    policy = linear.linucb(environment, linear.ridge_prior(3), exploration=0.7)
    output, memory = remembered(policy, {}, offered, actions, rewards)
    x = offered[np.arange(3), actions]
    inverse = np.linalg.inv(np.eye(3) + x.T @ x)
    weights = inverse @ x.T @ np.array(rewards)
    np.testing.assert_allclose(memory.mean, weights, rtol=1e-4)
    bounds = offered[3] @ weights + 0.7 * np.sqrt(
        np.einsum("kf,fg,kg->k", offered[3], inverse, offered[3])
    )
    assert int(output.distribution.mode()) == int(np.argmax(bounds))


def test_thompson_draws_scores_of_the_posterior():
    environment = tasks_of().environment
    offered = np.random.default_rng(2).normal(size=(3, K, 3))
    policy = linear.thompson(environment, linear.ridge_prior(3), scale=2.0)
    output, memory = remembered(policy, {}, offered, [0, 1], [1.0, -1.0])
    drawn = output.distribution
    covariance = 4.0 * offered[2] @ np.asarray(memory.covariance) @ offered[2].T
    np.testing.assert_allclose(drawn.mean, offered[2] @ memory.mean, rtol=1e-5)
    np.testing.assert_allclose(drawn.factor @ drawn.factor.T, covariance, rtol=1e-4)
    # Of two candidates the first is chosen with a known probability.
    gap = drawn.mean[0] - drawn.mean[1]
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    expected = float(jax.scipy.stats.norm.cdf(gap / np.sqrt(variance)))
    error = np.sqrt(expected * (1 - expected) / 4096)
    keys = jax.random.split(jax.random.key(0), 4096)
    share = np.mean(np.asarray(jax.vmap(drawn.sample)(keys)) == 0)
    assert abs(share - expected) < 5 * error
    probability = jnp.exp(drawn.log_prob(jnp.asarray(0)))
    assert abs(float(probability) - expected) < 5 * error
    np.testing.assert_allclose(drawn.probabilities().sum(), 1.0, rtol=1e-5)
    assert int(drawn.mode()) == int(expected < 0.5)
    assert float(drawn.kl(drawn)) == 0.0
    assert 0.0 < float(drawn.entropy()) <= np.log(2) + 1e-6


def test_shared_weights_and_the_population_prior_find_what_made_the_data():
    random = np.random.default_rng(3)
    mean, root = np.array([1.0, -1.0, 3.0]), np.diag([0.8, 0.3, 0.5])
    users = np.repeat(np.arange(400), 12)
    features = np.c_[random.normal(size=(users.size, 2)), np.ones(users.size)]
    tastes = mean + random.normal(size=(400, 3)) @ root
    noise = 0.5 * random.normal(size=users.size)
    rewards = (features * tastes[users]).sum(1) + noise
    prior = references.population_prior(users, features, rewards)
    np.testing.assert_allclose(prior.mean, mean, atol=5 * 0.8 / 20)
    np.testing.assert_allclose(prior.covariance, root**2, atol=0.15)
    np.testing.assert_allclose(prior.noise_variance, 0.25, atol=0.03)
    weights = references.shared_weights(users, features, rewards)
    np.testing.assert_allclose(weights, [1.0, -1.0, 0.0], atol=0.2)


def test_the_belief_of_full_rank_is_the_bayesian_and_is_meta_learned():
    tasks = tasks_of()
    environment = tasks.environment
    mean, factor = np.array([0.1, 0.2, 0.3]), np.diag([1.0, 2.0, 0.5])
    policy = jm.policies.linear_belief(
        environment, mean=mean, factor=factor, noise_variance=0.3, temperature=0.2
    )
    params = policy.init(jax.random.key(0))
    prior = linear.LinearPrior(
        jnp.asarray(mean), jnp.asarray(factor @ factor.T), jnp.asarray(0.3)
    )
    bayes = linear.linucb(environment, prior, exploration=0.0)
    offered = np.random.default_rng(4).normal(size=(4, K, 3))
    steps = (offered, [1, 0, 1], [1.0, 0.5, -1.0])
    output, _ = remembered(policy, params, *steps)
    _, memory = remembered(bayes, {}, *steps)
    scores = offered[3] @ np.asarray(memory.mean)
    logits = np.asarray(output.distribution.logits)
    np.testing.assert_allclose(
        logits[0] - logits[1], (scores[0] - scores[1]) / 0.2, rtol=1e-3
    )
    learner = jm.rl2(tasks, policy, outer_optimizer=optax.adam(0.02), num_tasks=64)
    state, _ = jax.jit(lambda s: jm.train(jax.random.key(1), learner, s, 20))(
        learner.init(jax.random.key(0))
    )

    def regret(params):
        return references.slate_regrets(
            jax.random.key(5), tasks, policy, params, num_tasks=256
        )[1].sum(1)

    gained = np.asarray(regret(params) - regret(state.meta_params))
    assert gained.mean() > 3 * gained.std() / 16


def test_wrong_ratings_are_refused():
    users, items, ratings, features = table()
    options = {"num_candidates": K, "num_interactions": T}

    def make(*rows, **other):
        return jm.tasks.from_ratings(*rows, **{**options, **other})

    with pytest.raises(ValueError, match=r"4 of 4 users have fewer .* = 10 ratings"):
        make(users, items, ratings, features, num_interactions=5)
    with pytest.raises(ValueError, match=r"items must be rows of features, 0 to 4"):
        make(users, items, ratings, features[:5])
    broken = ratings.copy()
    broken[3] = np.nan
    with pytest.raises(ValueError, match=r"ratings must be finite, .* row 3"):
        make(users, items, broken, features)
    with pytest.raises(ValueError, match=r"features must have 2 axes"):
        make(users, items, ratings, features[:, 0])
    with pytest.raises(ValueError, match=r"ratings must have as many rows as users"):
        make(users, items, ratings[1:], features)
    with pytest.raises(TypeError, match=r"users must be integers"):
        make(users / 2, items, ratings, features)
    with pytest.raises(ValueError, match=r"has rated item 0 twice"):
        make(users, np.where(items == 1, 0, items), ratings, features)
    with pytest.raises(ValueError, match=r"num_candidates must be at least 2"):
        make(users, items, ratings, features, num_candidates=1)
    kept = jm.tasks.enough_ratings(np.array([1, 1, 2]), 2)
    assert kept.tolist() == [True, True, False]


def test_what_does_not_fit_is_refused():
    environment = tasks_of().environment
    bandit = jm.tasks.bernoulli_bandit(K)
    with pytest.raises(ValueError, match=r"prior: its mean must have shape \(3,\)"):
        linear.linucb(environment, linear.ridge_prior(2))
    with pytest.raises(ValueError, match=r"needed are features \[k, F\]"):
        linear.thompson(bandit.environment, linear.ridge_prior(2))
    with pytest.raises(ValueError, match=r"exploration must be finite and at least 0"):
        linear.linucb(environment, linear.ridge_prior(3), exploration=-1.0)
    with pytest.raises(ValueError, match=r"weights must have shape \(3,\)"):
        linear.fixed(environment, jnp.zeros(2))
    with pytest.raises(ValueError, match=r"mean must have shape \(3,\)"):
        linear.ridge_prior(3, mean=jnp.zeros(2))
    with pytest.raises(ValueError, match=r"offer no slates"):
        references.slate_regrets(
            jax.random.key(0), bandit, references.bandits.random(K), {}, num_tasks=2
        )
    with pytest.raises(ValueError, match=r"factor must have shape \(3, D\)"):
        jm.policies.linear_belief(
            environment, mean=jnp.zeros(3), factor=jnp.zeros((2, 2))
        )
    with pytest.raises(ValueError, match=r"needed are features \[k, F\]"):
        jm.policies.linear_belief(
            bandit.environment, mean=jnp.zeros(1), factor=jnp.zeros((1, 1))
        )
    users, items, ratings, features = table()
    with pytest.raises(ValueError, match=r"rewards must be finite"):
        references.shared_weights(users, features[items], ratings * np.inf)
    with pytest.raises(ValueError, match=r"needs the rows of two or more"):
        references.population_prior(users * 0, features[items], ratings)
    with pytest.raises(ValueError, match=r"a row for each of the 36 of users"):
        references.population_prior(users, features, ratings)
