import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmeta import (
    outer,
)
from jaxmeta.distributions import DiagonalGaussian
from jaxmeta.outer.conjugate_gradient import conjugate_gradient
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
    return now, experience.query.distribution, jnp.ones(shape[:-1])


def of_log_std(theta, experience):
    shape = experience.query.distribution.mean.shape
    now = DiagonalGaussian(jnp.zeros(shape), jnp.broadcast_to(theta, shape))
    return now, experience.query.distribution, jnp.ones(shape[:-1])


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
        return (*of_mean(theta, one)[:2], one.query.reward)

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


@pytest.mark.parametrize(
    ("count", "curvature"), [(None, 0.5), (1, 1.0), (2, 1.0), (3, 2 / 3), (9, 0.5)]
)
@pytest.mark.parametrize("where", ["query", "support"])
def test_the_curvature_is_that_of_the_first_episodes(where, count, curvature):
    """KL(N(0, s) || N(theta, s)) = theta^2 / (2 s^2), of s = 1, 1, 100, 100."""

    def of_mean_alone(theta, experience):
        then = experience.query.distribution
        if where == "support":
            then = jax.tree.map(lambda leaf: leaf[0], experience.support.distribution)
        mean = jnp.broadcast_to(theta, then.mean.shape)
        return then._replace(mean=mean), then, jnp.ones(then.mean.shape[:-1])

    shape = (2, 4, 1, 1)
    log_std = jnp.array([0.0, 0.0, jnp.log(100.0), jnp.log(100.0)])[:, None, None]
    then = DiagonalGaussian(jnp.zeros(shape), jnp.broadcast_to(log_std, shape))
    learner = outer.trust_region(
        linear,
        of_mean_alone,
        radius=0.02,
        damping=0.0,
        shrink=0.999,
        num_backtracks=2000,
        num_curvature_episodes=count,
    )
    experience = recorded(then)
    support = jax.tree.map(lambda leaf: leaf[:, None], experience.query)
    theta, info = update(learner, 0.0, experience._replace(support=support))
    full_step = theta / info["step_size"]
    np.testing.assert_allclose(full_step, -np.sqrt(0.04 / curvature), rtol=1e-3)
    # What is bounded is the divergence of all, whatever the curvature is of.
    np.testing.assert_allclose(info["kl"], theta**2 / 4, rtol=1e-3)
    assert info["kl"] <= 0.02


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
