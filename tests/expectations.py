"""What each meta-gradient estimator must be in the mean, from definitions.

Sums over trajectories and batches of probabilities, and the policy-gradient estimate
with the closed form of the score of a softmax. Nothing here is a surrogate loss, and
nothing is taken from jaxmeta. Notation as in ``enumeration``.
"""

import jax
import jax.numpy as jnp
from enumeration import (
    Batches,
    Setting,
    Trajectories,
    batch_mean,
    batch_probabilities,
    expected_return,
    log_policy,
    returns_to_go,
)


def scores(theta, tau: Trajectories, shape) -> jax.Array:
    """``grad log pi(a_t|s_t)`` ``[M, T, d]``: the chosen action less the policy."""
    policy = jnp.exp(log_policy(theta, shape))
    state = jax.nn.one_hot(tau.states, shape[0])
    action = jax.nn.one_hot(tau.actions, shape[1]) - policy[tau.states]
    return (state[..., None] * action[..., None, :]).reshape(*tau.states.shape, -1)


def score_derivatives(theta, tau: Trajectories, shape) -> jax.Array:
    """``grad^2 log pi(a_t|s_t)`` ``[M, T, d, d]``: minus the policy's covariance."""
    policy = jnp.exp(log_policy(theta, shape))
    covariance = jax.vmap(lambda p: jnp.diag(p) - jnp.outer(p, p))(policy)
    state = jax.nn.one_hot(tau.states, shape[0])
    blocks = jnp.einsum("mts,mtu,mtab->mtsaub", state, state, covariance[tau.states])
    size = shape[0] * shape[1]
    return -blocks.reshape(*tau.states.shape, size, size)


def worths(tau: Trajectories, setting: Setting) -> tuple[jax.Array, jax.Array]:
    """``gamma^t G_t`` and ``gamma^t b_t(s_t)``, both ``[M, T]``."""
    time = jnp.arange(tau.states.shape[1])
    fade = (setting.discount**time)[None]
    baseline = setting.baseline[time[None], tau.states]
    return fade * returns_to_go(tau, setting.discount), fade * baseline


def estimates(theta, tau: Trajectories, setting: Setting) -> jax.Array:
    """The policy-gradient estimate ``ghat`` of each trajectory ``[M, d]``."""
    to_go, baseline = worths(tau, setting)
    return jnp.einsum("mtd,mt->md", scores(theta, tau, setting.shape), to_go - baseline)


def curvatures(
    kind: str, theta, tau: Trajectories, setting: Setting, trace_decay: float = 1.0
) -> jax.Array:
    """What each estimator takes for the derivative of ``ghat`` ``[M, d, d]``.

    With ``s_t`` the score, ``h_t`` its derivative, ``A_t`` the advantage, discounted,
    and ``v_t = sum_{u < t} lambda^(t - u) s_u``:

    - first_order: 0
    - plain: ``sum_t h_t A_t``
    - lvc: ``sum_t (h_t + s_t s_t^T) A_t``
    - loaded_dice: ``sum_t (h_t + s_t s_t^T + v_t s_t^T + s_t v_t^T) A_t``
    - dice: the same with lambda 1, where the baseline is not subtracted from the
      returns that multiply the terms across time
    """
    s = scores(theta, tau, setting.shape)
    h = score_derivatives(theta, tau, setting.shape)
    to_go, baseline = worths(tau, setting)
    worth = to_go - baseline
    size = s.shape[-1]
    if kind == "first_order":
        return jnp.zeros((s.shape[0], size, size))
    total = jnp.einsum("mtde,mt->mde", h, worth)
    if kind == "plain":
        return total
    total = total + jnp.einsum("mtd,mte,mt->mde", s, s, worth)
    if kind == "lvc":
        return total
    across = {"loaded_dice": worth, "dice": to_go}[kind]
    horizon = s.shape[1]
    for t in range(horizon):
        for u in range(t):
            product = jnp.einsum("md,me,m->mde", s[:, u], s[:, t], across[:, t])
            weight = trace_decay ** (t - u)
            total = total + weight * (product + product.transpose(0, 2, 1))
    return total


def adapted(theta, tau: Trajectories, setting: Setting, drawn: Batches) -> jax.Array:
    """``U(theta, D) = theta + alpha ghat(theta, D)`` ``[B, d]``."""
    gradient = batch_mean(estimates(theta, tau, setting), drawn)
    return theta[None] + setting.rate * gradient


def finite_sample(theta, acting, tau, setting, drawn: Batches, num_updates: int):
    """``E[J(theta_K)]`` with every batch drawn by ``acting_k``, adapted alike.

    As a function of both arguments, at the same value, it is the finite-sample
    objective; its derivative by ``theta`` alone takes the data for given.
    """
    if num_updates == 0:
        return expected_return(theta, tau, setting)
    weight = batch_probabilities(acting, tau, setting.shape, drawn)
    later = jax.vmap(
        lambda t, a: finite_sample(t, a, tau, setting, drawn, num_updates - 1)
    )(adapted(theta, tau, setting, drawn), adapted(acting, tau, setting, drawn))
    return weight @ later


def mean_meta_gradient(kind, theta, tau, setting, drawn, num_updates, trace_decay=1.0):
    """``E[prod_k (I + alpha C(theta_k, D_k))^T grad J(theta_K)]``, C the curvature."""
    if num_updates == 0:
        return jax.grad(expected_return)(theta, tau, setting)
    weight = batch_probabilities(theta, tau, setting.shape, drawn)
    curvature = batch_mean(curvatures(kind, theta, tau, setting, trace_decay), drawn)
    later = jax.vmap(
        lambda t: mean_meta_gradient(
            kind, t, tau, setting, drawn, num_updates - 1, trace_decay
        )
    )(adapted(theta, tau, setting, drawn))
    moved = later + setting.rate * jnp.einsum("bde,bd->be", curvature, later)
    return weight @ moved


def mean_sampling_term(theta, tau, setting, drawn, num_updates):
    """``E[J(theta_K) sum_k (d theta_k / d theta_0)^T score(D_k; theta_k)]``."""
    if num_updates == 0:
        return jnp.zeros_like(theta)
    weight = batch_probabilities(theta, tau, setting.shape, drawn)
    curvature = batch_mean(curvatures("plain", theta, tau, setting), drawn)
    score = drawn.counts @ scores(theta, tau, setting.shape).sum(1)
    after = adapted(theta, tau, setting, drawn)
    value = jax.vmap(
        lambda t: finite_sample(t, t, tau, setting, drawn, num_updates - 1)
    )(after)
    later = jax.vmap(
        lambda t: mean_sampling_term(t, tau, setting, drawn, num_updates - 1)
    )(after)
    moved = later + setting.rate * jnp.einsum("bde,bd->be", curvature, later)
    return weight @ (value[:, None] * score + moved)


def limit_gradient(theta, tau, setting, num_updates: int):
    """The gradient of ``J`` after ``K`` exact gradient steps."""

    def value(theta):
        for _ in range(num_updates):
            theta = theta + setting.rate * jax.grad(expected_return)(
                theta, tau, setting
            )
        return expected_return(theta, tau, setting)

    return jax.grad(value)(theta)
