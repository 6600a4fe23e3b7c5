import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmeta as jm
from jaxmeta import adaptation, inner, rollouts
from jaxmeta.distributions import DiagonalGaussian
from jaxmeta.environments import MatchProbe, TargetProbe
from jaxmeta.types import Inner, Policy, PolicyOutput

DISCRETE = jm.tasks.from_gymnax(MatchProbe(), params={"bit": jm.tasks.choice([0, 1])})
CONTINUOUS = jm.tasks.navigation2d(horizon=8)
K, N = 3, 6


def learner_on(tasks, *, num_updates=K, optimizer=None, **options):
    policy = jm.policies.mlp(tasks.environment, hidden=(4,))
    return jm.maml(
        tasks,
        policy,
        inner_optimizer=optimizer or optax.sgd(0.3),
        outer_optimizer=optax.sgd(1.0),
        num_tasks=2,
        num_updates=num_updates,
        num_episodes=N,
        **options,
    )


def collected(tasks, learner, key):
    key_init, key_task, key_collect = jax.random.split(key, 3)
    meta_params = learner.init(key_init).meta_params
    # The last layer is small at first; meta-gradients should not be.
    meta_params = jax.tree.map(lambda leaf: leaf * 3.0, meta_params)
    task = tasks.sample(key_task)
    return meta_params, jax.jit(learner.collect)(key_collect, meta_params, task)


def bare_policy():
    """Its params are its distribution, so that a rollout records them."""
    return Policy(
        init=lambda key: DiagonalGaussian(jnp.zeros(1), jnp.zeros(1)),
        initial_carry=lambda: (),
        apply=lambda params, carry, timestep: (PolicyOutput(params, None), carry),
    )


@pytest.mark.parametrize(
    "optimizer", [optax.sgd(0.1, momentum=0.9), jm.optimizers.adam(0.1)]
)
def test_adapt_gives_the_params_collect_acted_with(optimizer, key):
    """After every update: those it acted with are in what it recorded."""
    tasks = jm.tasks.from_gymnax(
        TargetProbe(), params={"target": jm.tasks.choice([-1.0, 1.0])}
    )
    learner = jm.maml(
        tasks,
        bare_policy(),
        inner_optimizer=optimizer,
        outer_optimizer=optax.sgd(1.0),
        num_tasks=1,
        num_updates=K,
        num_episodes=N,
        advantage=jm.advantages.reward_to_go(),
    )
    meta_params = learner.init(key).meta_params
    experience = learner.collect(key, meta_params, tasks.sample(key))
    for count in range(K + 1):
        seen = experience._replace(
            keys=experience.keys[: count + 1],
            support=jax.tree.map(lambda leaf, c=count: leaf[:c], experience.support),
        )
        params, info = learner.adapt(meta_params, seen)
        batch = (
            experience.query
            if count == K
            else jax.tree.map(lambda leaf, c=count: leaf[c], experience.support)
        )
        acted = jax.tree.map(lambda leaf: leaf[0, 0], batch.distribution)
        np.testing.assert_allclose(params.mean, acted.mean, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(params.log_std, acted.log_std, rtol=1e-6, atol=1e-6)
        assert info["gradient_norm"].shape == (count,)
    assert np.abs(params.mean - meta_params.mean).max() > 0.05


@pytest.mark.parametrize(
    "tasks", [DISCRETE, CONTINUOUS], ids=["discrete", "continuous"]
)
def test_adapted_networks_give_the_recorded_query_distributions(tasks, key):
    learner = learner_on(tasks)
    meta_params, experience = collected(tasks, learner, key)
    params, _ = learner.adapt(meta_params, experience)

    def distributions(params):
        def unroll(episode):
            return rollouts.unroll(learner.policy, params, episode)[0]

        return jax.vmap(unroll)(experience.query).distribution

    for got, want in zip(
        distributions(params), experience.query.distribution, strict=True
    ):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    for before, want in zip(
        distributions(meta_params), experience.query.distribution, strict=True
    ):
        assert np.abs(before - want).max() > 1e-3


def as_float64(tree):
    return jax.tree.map(
        lambda leaf: (
            leaf.astype(jnp.float64)
            if jnp.issubdtype(leaf.dtype, jnp.floating)
            else leaf
        ),
        tree,
    )


def post_loss(learner, experience):
    """The meta-objective of one task as a function of a flat float64 vector."""
    loss = jm.losses.policy_gradient(learner.policy, jm.advantages.linear_baseline())

    def value(meta_params):
        params, _ = learner.adapt(meta_params, experience)
        return loss(params, experience.query)[0]

    return value


def central_differences(function, x, step=1e-5):
    """Of fourth order."""
    basis = jnp.eye(x.size)

    def along(direction):
        near = function(x + step * direction) - function(x - step * direction)
        far = function(x + 2 * step * direction) - function(x - 2 * step * direction)
        return (8 * near - far) / (12 * step)

    return jax.lax.map(along, basis)


@pytest.mark.parametrize(
    ("tasks", "name"),
    [
        pytest.param(DISCRETE, "sgd", id="discrete-sgd"),
        pytest.param(CONTINUOUS, "adam", id="continuous-adam", marks=pytest.mark.slow),
    ],
)
def test_the_meta_gradient_equals_central_differences(tasks, name, key):
    """K = 3, in float64, on recorded data; the first-order one must differ."""
    optimizer = {
        "sgd": optax.chain(jm.optimizers.clip_by_global_norm(0.5), optax.sgd(0.3)),
        "adam": jm.optimizers.adam(0.1),
    }[name]
    learner = learner_on(tasks, optimizer=optimizer)
    first_order = learner_on(tasks, optimizer=optimizer, estimator="first_order")
    meta_params, experience = collected(tasks, learner, key)
    with jax.enable_x64(True):
        meta_params, experience = as_float64((meta_params, experience))
        flat, unravel = jax.flatten_util.ravel_pytree(meta_params)
        value = post_loss(learner, experience)
        exact = jax.jit(jax.grad(lambda x: value(unravel(x))))(flat)
        numeric = jax.jit(
            lambda x: central_differences(lambda y: value(unravel(y)), x)
        )(flat)
        approximate = jax.jit(
            jax.grad(lambda x: post_loss(first_order, experience)(unravel(x)))
        )(flat)
    scale = np.linalg.norm(numeric)
    assert np.linalg.norm(exact - numeric) / scale < 1e-6
    assert np.linalg.norm(approximate - numeric) / scale > 1e-2


@pytest.mark.slow
def test_rematerialization_changes_memory_not_gradients(key):
    learner = learner_on(CONTINUOUS, num_updates=6)
    meta_params, experience = collected(CONTINUOUS, learner, key)
    loss = jm.losses.policy_gradient(learner.policy, jm.advantages.linear_baseline())

    def gradient(rematerialize):
        adapter = inner.gradient(loss, optax.sgd(0.3), rematerialize=rematerialize)

        def value(meta_params):
            params, _ = adaptation.adapt(meta_params, experience, inner=adapter)
            return loss(params, experience.query)[0]

        compiled = jax.jit(jax.grad(value)).lower(meta_params).compile()
        return compiled(meta_params), compiled.memory_analysis().temp_size_in_bytes

    (kept, kept_bytes), (again, again_bytes) = gradient(False), gradient(True)
    for a, b in zip(jax.tree.leaves(kept), jax.tree.leaves(again), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7)
    assert again_bytes < kept_bytes


@pytest.mark.slow
@pytest.mark.parametrize(
    "optimizer",
    [
        jm.optimizers.adam(0.1),
        optax.chain(jm.optimizers.clip_by_global_norm(1.0), optax.sgd(0.1)),
    ],
    ids=["adam", "clip"],
)
def test_meta_gradients_are_finite_where_the_inner_gradient_is_zero(optimizer, key):
    """Advantages are all zero: on an environment whose reward does not vary."""
    tasks = jm.tasks.from_gymnax("CartPole-v1", horizon=3)
    learner = learner_on(
        tasks,
        optimizer=optimizer,
        advantage=jm.advantages.reward_to_go(discount=0.0, normalize=True),
    )
    state, info = jax.jit(learner.update)(key, learner.init(key))
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(state))
    assert np.isfinite(info["meta_gradient_norm"])


def test_adapt_repeats_the_noise_of_a_random_inner_learner(key):
    """One that draws its params anew: init and every update must get their own keys."""

    def draw(key):
        noise = jax.random.normal(key, (2, 1))
        return DiagonalGaussian(noise[0], noise[1])

    random = Inner(
        init=lambda key, meta_params: draw(key),
        update=lambda key, meta_params, state, batch: (draw(key), {}),
        params=lambda meta_params, state: state,
    )
    tasks = jm.tasks.from_gymnax(TargetProbe(), params={"target": 1.0})
    experience = adaptation.collect(
        key,
        (),
        tasks.sample(key),
        environment=tasks.environment,
        policy=bare_policy(),
        inner=random,
        num_updates=K,
        num_episodes=2,
        length=1,
    )
    path, _ = adaptation.adaptation_path((), experience, inner=random)
    support, query = experience.support.distribution, experience.query.distribution
    acted = np.concatenate([support.mean[:, 0, 0], query.mean[:1, 0]])
    np.testing.assert_array_equal(path.mean, acted)
    assert len(np.unique(acted)) == K + 1


def test_adaptation_to_logged_data_is_gradient_descent_on_it(key):
    """``adapt`` on episodes somebody else recorded, from params nobody acted with."""
    learner = learner_on(CONTINUOUS, num_updates=1, estimator="plain")
    _, experience = collected(CONTINUOUS, learner, key)
    start = learner.init(jax.random.key(7)).meta_params
    loss = jm.losses.policy_gradient(learner.policy, jm.advantages.linear_baseline())
    batch = jax.tree.map(lambda leaf: leaf[0], experience.support)
    gradient = jax.grad(loss, has_aux=True)(start, batch)[0]
    expected = jax.tree.map(lambda p, g: p - 0.3 * g, start, gradient)
    params, _ = learner.adapt(start, experience)
    for a, b in zip(jax.tree.leaves(params), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_no_gradient_passes_through_collect(key):
    """Gaussian samples could be differentiated; the gradient must not see them."""
    learner = learner_on(CONTINUOUS, num_updates=1)
    meta_params, _ = collected(CONTINUOUS, learner, key)
    task = CONTINUOUS.sample(key)

    def value(meta_params, experience=None):
        if experience is None:
            experience = learner.collect(key, meta_params, task)
        return post_loss(learner, experience)(meta_params)

    recorded = jax.jit(learner.collect)(key, meta_params, task)
    together = jax.jit(jax.grad(value))(meta_params)
    apart = jax.jit(jax.grad(value))(meta_params, recorded)
    for a, b in zip(jax.tree.leaves(together), jax.tree.leaves(apart), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6)


def test_episodes_of_the_support_and_the_query_are_fresh(key):
    """No two batches share their noise."""
    learner = learner_on(CONTINUOUS)
    _, experience = collected(CONTINUOUS, learner, key)
    batches = [*experience.support.action, experience.query.action]
    episodes = np.concatenate([np.asarray(b).reshape(N, -1) for b in batches])
    assert len(np.unique(episodes.round(5), axis=0)) == (K + 1) * N
