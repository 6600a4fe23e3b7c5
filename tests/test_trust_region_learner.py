"""The trust region through adaptation, and in a meta-learner."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree
from test_trust_region import linear, of_mean

from jaxmeta import (
    adaptation,
    advantages,
    inner,
    learner,
    losses,
    outer,
    policies,
    rollouts,
    tasks,
)
from jaxmeta.distributions import Categorical, DiagonalGaussian
from jaxmeta.environments import MatchProbe, TargetProbe
from jaxmeta.returns import episode_mask

# ---- meta-learners ----


def parts(distribution, *, num_tasks, num_episodes, hidden):
    """MAML's objective and adapted policy, and how it collects experience."""
    policy = policies.mlp(distribution.environment, hidden=hidden)
    loss = losses.likelihood_ratio(policy, advantages.reward_to_go())
    adapter = inner.gradient(loss, optax.sgd(0.5), rematerialize=False)

    def objective(meta_params, experience):
        params, _ = adaptation.adapt(meta_params, experience, inner=adapter)
        return loss(params, experience.query)

    def adapted(meta_params, experience):
        params, _ = adaptation.adapt(meta_params, experience, inner=adapter)
        unroll = partial(rollouts.unroll, policy, params)
        output, _ = jax.vmap(unroll)(experience.query)
        mask = jax.vmap(episode_mask)(experience.query.timestep.is_first)
        recorded = experience.query.distribution
        return output.distribution, recorded, mask.astype(jnp.float32)

    def compose(outer_learner):
        return learner.meta_learner(
            distribution,
            policy,
            adapter,
            outer_learner,
            policy.init,
            num_tasks=num_tasks,
            num_updates=1,
            num_episodes=num_episodes,
        )

    return objective, adapted, compose


def mean_kl(adapted, params, experience):
    """The divergence from what was recorded, written independently."""
    new, _, weights = jax.vmap(lambda one: adapted(params, one))(experience)
    kl = experience.query.distribution.kl(new)
    return jnp.mean(jnp.sum(kl * weights, (1, 2)) / jnp.sum(weights, (1, 2)))


def collect(meta_learner, key, meta_params, distribution, num_tasks):
    drawn = jax.vmap(distribution.sample)(jax.random.split(key, num_tasks))
    keys = jax.random.split(key, num_tasks)
    return jax.vmap(meta_learner.collect, (0, None, 0))(keys, meta_params, drawn)


DISCRETE = tasks.from_gymnax(MatchProbe(), params={"bit": tasks.choice([0, 1])})
CONTINUOUS = tasks.from_gymnax(
    TargetProbe(), params={"target": tasks.choice([-1.0, 1.0])}
)


@pytest.mark.parametrize(
    ("distribution", "kind"),
    [
        (DISCRETE, Categorical),
        pytest.param(CONTINUOUS, DiagonalGaussian, marks=pytest.mark.slow),
    ],
    ids=["discrete", "continuous"],
)
def test_the_step_is_that_of_the_explicit_hessian(distribution, kind, key):
    """-sqrt(2 radius / x'Hx) x with (H + damping I) x = g solved densely, in float64.

    H is the full Hessian of the divergence, third derivatives and all, through
    adaptation; at the params that acted the Gauss-Newton matrix is equal to it.
    """
    objective, adapted, compose = parts(
        distribution, num_tasks=3, num_episodes=4, hidden=(2,)
    )
    options = {"radius": 1e-4, "num_cg": 100, "damping": 1e-2}
    trust_region = outer.trust_region(objective, adapted, **options)
    meta_learner = compose(trust_region)
    meta_params = meta_learner.init(key).meta_params
    # Away from the small last layer, where curvature is all but zero.
    meta_params = jax.tree.map(
        lambda leaf: leaf + jax.random.normal(key, leaf.shape), meta_params
    )
    experience = jax.jit(
        lambda: collect(meta_learner, key, meta_params, distribution, 3)
    )()

    @jax.jit
    def solve(meta_params, experience):
        theta, unravel = ravel_pytree(meta_params)
        acted, _, _ = jax.vmap(lambda one: adapted(meta_params, one))(experience)
        assert isinstance(acted, kind)
        query = experience.query._replace(distribution=acted)
        experience = experience._replace(query=query)

        def divergence(theta):
            return mean_kl(adapted, unravel(theta), experience)

        def loss(theta):
            params = unravel(theta)
            return jnp.mean(jax.vmap(lambda one: objective(params, one)[0])(experience))

        hessian, gradient = jax.hessian(divergence)(theta), jax.grad(loss)(theta)
        x = jnp.linalg.solve(hessian + 1e-2 * jnp.eye(theta.size), gradient)
        full_step = -jnp.sqrt(2e-4 / (x @ hessian @ x)) * x
        new, _, info = trust_region.update(key, meta_params, 0, experience)
        return hessian, full_step, ravel_pytree(new)[0] - theta, info["step_size"]

    with jax.enable_x64(True):
        meta_params = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), meta_params)
        solved = solve(meta_params, experience)
    hessian, full_step, step, size = map(np.asarray, solved)
    assert step.dtype == np.float64
    assert np.linalg.norm(hessian) > 0.1
    assert size > 0
    np.testing.assert_allclose(step, size * full_step, rtol=1e-5)


@pytest.mark.slow
def test_every_step_improves_within_the_radius():
    """At 50 random starts, by a divergence and an objective written independently."""
    navigation = tasks.navigation2d(horizon=10)
    objective, adapted, compose = parts(
        navigation, num_tasks=3, num_episodes=4, hidden=(8,)
    )
    trust_region = outer.trust_region(objective, adapted, radius=0.02)
    meta_learner = compose(trust_region)

    @jax.jit
    @jax.vmap
    def check(key):
        start = meta_learner.init(key).meta_params
        start = jax.tree.map(
            lambda leaf: leaf + 0.1 * jax.random.normal(key, leaf.shape), start
        )
        experience = collect(meta_learner, key, start, navigation, 3)
        params, _, info = trust_region.update(key, start, 0, experience)
        loss = jax.vmap(lambda one, params: objective(params, one)[0], (0, None))
        before = jnp.mean(loss(experience, start))
        after = jnp.mean(loss(experience, params))
        kl = mean_kl(adapted, params, experience)
        return before, after, kl, info

    before, after, kl, info = check(jax.random.split(jax.random.key(1), 50))
    assert np.all(kl > 0)
    assert np.all(kl <= 1.5 * 0.02)
    assert np.mean(kl) > 0.5 * 0.02  # the steps are as long as they may be
    assert np.all(after < before)
    np.testing.assert_allclose(info["kl"], kl, rtol=1e-2)
    np.testing.assert_allclose(info["meta_loss"], before, rtol=1e-4)
    np.testing.assert_allclose(info["meta_loss_after"], after, rtol=1e-4)


@pytest.mark.slow
def test_it_is_a_part_of_a_meta_learner(key):
    """One trace in three updates, no weak types, and it moves."""
    objective, adapted, compose = parts(
        DISCRETE, num_tasks=3, num_episodes=4, hidden=(3,)
    )
    meta_learner = compose(outer.trust_region(objective, adapted))
    traces = []

    @jax.jit
    def step(key, state):
        traces.append(None)
        return meta_learner.update(key, state)

    first = state = meta_learner.init(key)
    for i in range(3):
        state, info = step(jax.random.fold_in(key, i), state)
    assert len(traces) == 1
    assert not any(leaf.weak_type for leaf in jax.tree.leaves((state, info)))
    assert {"loss", "entropy", "kl", "step_size", "returns"} <= set(info)
    assert jax.tree.structure(first) == jax.tree.structure(state)


@pytest.mark.parametrize(
    ("option", "error", "message"),
    [
        ({"radius": 0.0}, ValueError, r"radius must be positive, got 0\.0"),
        ({"radius": -1}, ValueError, "radius must be positive, got -1"),
        ({"radius": float("nan")}, ValueError, "radius must be positive, got nan"),
        ({"num_cg": 0}, ValueError, "num_cg must be at least 1, got 0"),
        ({"num_cg": 1.5}, TypeError, r"num_cg must be an integer, got 1\.5"),
        ({"damping": -0.1}, ValueError, r"damping must not be negative, got -0\.1"),
        ({"num_backtracks": 0}, ValueError, "num_backtracks must be at least 1, got 0"),
        ({"shrink": 0.0}, ValueError, r"shrink must lie in \(0, 1\), got 0\.0"),
        ({"shrink": 1.0}, ValueError, r"shrink must lie in \(0, 1\), got 1\.0"),
        ({"task_batch_size": 0}, ValueError, "task_batch_size must be at least 1"),
    ],
)
def test_bad_arguments(option, error, message):
    with pytest.raises(error, match=message):
        outer.trust_region(linear, of_mean, **option)
