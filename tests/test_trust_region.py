from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

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
from jaxmeta.outer.conjugate_gradient import conjugate_gradient
from jaxmeta.returns import first_episode_mask
from jaxmeta.types import Experience, Transition

# ---- policies that are one number, so that every step is known in closed form ----


def recorded(distribution, rewards=None):
    """Experience [M] of which an outer learner sees the recorded distribution."""
    query = Transition(None, None, distribution, rewards, None, None, None)
    return Experience(keys=None, support=None, query=query)


def gaussian(mean, log_std, shape=(1, 1, 1)):
    return DiagonalGaussian(jnp.full((*shape, 1), mean), jnp.full((*shape, 1), log_std))


def of_mean(theta, experience):
    """N(theta, 1) at every step; all steps count."""
    shape = experience.query.distribution.mean.shape
    now = DiagonalGaussian(jnp.broadcast_to(theta, shape), jnp.zeros(shape))
    return now, jnp.ones(shape[:-1])


def of_log_std(theta, experience):
    shape = experience.query.distribution.mean.shape
    now = DiagonalGaussian(jnp.zeros(shape), jnp.broadcast_to(theta, shape))
    return now, jnp.ones(shape[:-1])


def linear(theta, experience):
    return jnp.sum(theta), {}


def update(trust_region, theta, experience):
    theta = jnp.asarray(theta, jnp.float32)
    state = trust_region.init(theta)
    assert state == 0
    theta, state, info = jax.jit(trust_region.update)(
        jax.random.key(0), theta, state, experience
    )
    assert state == 1
    return theta, {name: np.asarray(leaf) for name, leaf in info.items()}


def test_a_step_ends_at_the_border_where_the_divergence_is_quadratic():
    """KL(N(0, 1) || N(theta, 1)) = theta^2 / 2, so theta = -sqrt(2 radius)."""
    learner = outer.trust_region(linear, of_mean, radius=0.02, damping=0.0, shrink=0.99)
    theta, info = update(learner, 0.0, recorded(gaussian(0.0, 0.0)))
    size = info["step_size"]
    assert size == pytest.approx(0.99 ** info["num_backtracks"])
    assert info["num_backtracks"] <= 1  # the border itself is a matter of rounding
    np.testing.assert_allclose(theta, -size * 0.2, rtol=1e-5)
    np.testing.assert_allclose(info["kl"], 0.02 * size**2, rtol=1e-4)
    np.testing.assert_allclose(info["meta_loss_after"], theta)
    assert info["meta_loss"] == 0
    assert info["meta_gradient_norm"] == 1


def test_it_shrinks_the_step_until_the_exact_divergence_is_within_the_radius():
    """KL(N(0, 1) || N(0, e^d)) = e^(-2d) / 2 + d - 1 / 2 outgrows d^2 for d < 0."""

    def kl(d):
        return np.exp(-2 * d) / 2 + d - 0.5

    assert kl(-1.0) > 1 and kl(-0.8) > 1 and kl(-0.64) < 1  # noqa: PT018
    experience = recorded(gaussian(0.0, 0.0))
    learner = outer.trust_region(linear, of_log_std, radius=1.0, num_backtracks=2)
    theta, info = update(learner, 0.0, experience)
    np.testing.assert_allclose(theta, -0.64, rtol=1e-4)
    np.testing.assert_allclose(info["kl"], kl(-0.64), rtol=1e-3)
    np.testing.assert_allclose(info["step_size"], 0.64, rtol=1e-6)
    assert info["num_backtracks"] == 2

    learner = outer.trust_region(linear, of_log_std, radius=1.0, num_backtracks=1)
    theta, info = update(learner, 0.0, experience)
    assert theta == 0
    assert info["num_backtracks"] == 1
    assert info["step_size"] == info["kl"] == info["meta_loss_after"] == 0


def test_it_shrinks_the_step_until_the_objective_improves():
    """The full step is to -1; what is below -0.5 is worse than 0."""

    def valley(theta, experience):
        return (theta + 0.25) ** 2, {}

    learner = outer.trust_region(valley, of_mean, radius=0.5, damping=0.0)
    theta, info = update(learner, 0.0, recorded(gaussian(0.0, 0.0)))
    assert info["num_backtracks"] == 4  # 0.8^3 > 0.5 > 0.8^4
    np.testing.assert_allclose(theta, -(0.8**4), rtol=1e-5)
    assert info["meta_loss_after"] < info["meta_loss"]


def test_damping_is_part_of_the_solve_but_not_of_the_length():
    """With one parameter the length is that of the border, whatever the damping."""
    for damping in (0.0, 3.0):
        learner = outer.trust_region(
            linear, of_mean, radius=0.02, damping=damping, shrink=0.999
        )
        theta, _ = update(learner, 0.0, recorded(gaussian(0.0, 0.0)))
        np.testing.assert_allclose(theta, -0.2, rtol=2e-3)


def test_the_divergence_is_from_what_was_recorded():
    """A re-evaluated old side would give zero before the step, and accept it."""
    experience = recorded(gaussian(1.0, 0.0))
    learner = outer.trust_region(linear, of_mean, radius=0.1)
    theta, info = update(learner, 0.0, experience)
    assert theta == 0
    np.testing.assert_allclose(info["kl"], 0.5, rtol=1e-6)
    # Towards what was recorded the way is free.
    learner = outer.trust_region(lambda theta, _: (-theta, {}), of_mean, radius=0.5)
    theta, info = update(learner, 0.0, experience)
    assert theta > 0
    np.testing.assert_allclose(info["kl"], 0.5 * (1 - theta) ** 2, rtol=1e-4)


def test_steps_of_weight_zero_do_not_count_and_each_task_counts_the_same():
    mean = jnp.array([[[0.0, 1.0, jnp.nan]], [[2.0, jnp.nan, jnp.nan]]])[..., None]
    counts = jnp.array([[[1.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]]])
    experience = recorded(DiagonalGaussian(mean, jnp.zeros_like(mean)), counts)

    def masked(theta, one):
        return of_mean(theta, one)[0], one.query.reward

    _, info = update(outer.trust_region(linear, masked), 0.0, experience)
    np.testing.assert_allclose(info["kl"], (0.25 + 2.0) / 2, rtol=1e-6)


@pytest.mark.parametrize("slope", [0.0, jnp.nan, jnp.inf])
def test_without_a_usable_gradient_nothing_changes(slope):
    def objective(theta, experience):
        return theta * slope, {"seen": jnp.ones(())}

    theta, info = update(
        outer.trust_region(objective, of_mean), 0.5, recorded(gaussian(0.5, 0.0))
    )
    assert theta == 0.5
    assert info["step_size"] == info["num_backtracks"] == info["kl"] == 0
    assert info["seen"] == 1


def test_a_policy_that_does_not_depend_on_the_params_is_left_alone():
    """Damping alone sets no length; what its rounding leaves must not either."""

    def cubic(theta, experience):
        return jnp.sum(theta**3), {}

    def constant(theta, experience):
        return of_mean(0.0 * jnp.sum(theta), experience)

    start = np.random.default_rng(0).normal(size=(20, 100)).astype(np.float32)
    update = jax.vmap(outer.trust_region(cubic, constant).update, (None, 0, None, None))
    experience = recorded(gaussian(0.0, 0.0))
    new, _, info = jax.jit(update)(jax.random.key(0), start, 0, experience)
    np.testing.assert_array_equal(new, start)
    np.testing.assert_array_equal(info["step_size"], np.zeros(20))


def test_a_candidate_that_is_not_finite_is_not_accepted():
    def cliff(theta, experience):
        return jnp.where(theta < -0.15, -jnp.inf, theta), {}

    learner = outer.trust_region(cliff, of_mean, radius=0.02)
    theta, info = update(learner, 0.0, recorded(gaussian(0.0, 0.0)))
    assert -0.15 <= theta < 0
    assert np.isfinite(info["meta_loss_after"])


@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_size_of_a_task_batch_changes_nothing(size):
    def objective(theta, experience):
        return theta * jnp.mean(experience.query.reward), {}

    rewards = jnp.array([1.0, 2.0, 6.0])[:, None, None]
    learner = outer.trust_region(
        objective, of_mean, radius=0.02, shrink=0.999, task_batch_size=size
    )
    theta, info = update(learner, 0.0, recorded(gaussian(0, 0.0, (3, 1, 1)), rewards))
    np.testing.assert_allclose(theta, -0.2, rtol=2e-3)
    np.testing.assert_allclose(info["meta_gradient_norm"], 3.0, rtol=1e-6)


def test_conjugate_gradient_solves():
    """As many iterations as unknowns; any more change nothing, zero asks for none."""
    with jax.enable_x64(True):
        random = np.random.default_rng(0)
        root = random.normal(size=(12, 12))
        matrix = jnp.asarray(root @ root.T + 0.1 * np.eye(12))
        target = jnp.asarray(random.normal(size=12))
        solution = np.linalg.solve(matrix, target)
        for num_iterations in (20, 200):
            x, residual = conjugate_gradient(
                lambda v: matrix @ v, target, num_iterations
            )
            np.testing.assert_allclose(x, solution, rtol=1e-7)
            np.testing.assert_allclose(residual, target - matrix @ x, atol=1e-10)
        x, _ = conjugate_gradient(lambda v: matrix @ v, jnp.zeros(12), 5)
        np.testing.assert_array_equal(x, jnp.zeros(12))
        # After one iteration: the exact minimum along the gradient.
        x, _ = conjugate_gradient(lambda v: matrix @ v, target, 1)
        rate = (target @ target) / (target @ matrix @ target)
        np.testing.assert_allclose(x, rate * target, rtol=1e-12)


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
        mask = jax.vmap(first_episode_mask)(experience.query.timestep.is_first)
        return output.distribution, mask.astype(jnp.float32)

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
    new, weights = jax.vmap(lambda one: adapted(params, one))(experience)
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
    [(DISCRETE, Categorical), (CONTINUOUS, DiagonalGaussian)],
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
        acted, _ = jax.vmap(lambda one: adapted(meta_params, one))(experience)
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
