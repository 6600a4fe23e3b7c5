"""Small decision problems of which every trajectory and every batch is enumerated.

What the meta-gradient estimators must be in the mean is written here from definitions:
sums over trajectories of probabilities, and the policy-gradient estimate with the
closed form of the score of a softmax. Nothing here is a surrogate loss, and nothing
is taken from jaxmeta but its types, so it cannot be wrong in the same way.

Notation: ``M`` trajectories, ``T`` steps, ``B`` batches of ``N`` trajectories each,
``S`` states, ``A`` actions, ``d = S A`` params, always flat ``[d]`` here. All functions
expect float64 (``with jax.enable_x64(True)``).
"""

import itertools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Trajectories(NamedTuple):
    """All trajectories of one task that can happen, and what they earn.

    Attributes:
        states: ``[M, T]``.
        actions: ``[M, T]``.
        rewards: ``[M, T]``, of the state, the action and the next state.
        chance: ``[M]`` the environment's part of the probability of each.
    """

    states: jax.Array
    actions: jax.Array
    rewards: jax.Array
    chance: jax.Array


class Setting(NamedTuple):
    """What an inner update is.

    Attributes:
        shape: ``(S, A)``.
        rate: alpha, the step size of the inner update.
        discount: gamma.
        baseline: ``[T, S]``, constant: it does not move with the params.
    """

    shape: tuple[int, int]
    rate: float
    discount: float
    baseline: jax.Array


def enumerate_task(start, transitions, rewards, horizon: int) -> Trajectories:
    """All trajectories of positive probability.

    Args:
        start: ``[S]`` the distribution of the first state.
        transitions: ``[S, A, S]`` probabilities.
        rewards: ``[S, A, S]``.
        horizon: ``T``.
    """
    num_states, num_actions, _ = rewards.shape
    found = []
    for states in itertools.product(range(num_states), repeat=horizon + 1):
        for actions in itertools.product(range(num_actions), repeat=horizon):
            steps = list(zip(states[:-1], actions, states[1:], strict=True))
            chance = start[states[0]] * math.prod(transitions[step] for step in steps)
            if chance > 0:
                paid = [rewards[step] for step in steps]
                found.append((states[:-1], actions, paid, chance))
    return Trajectories(*(np.array(column) for column in zip(*found, strict=True)))


def three_tasks(*, stochastic: bool) -> list[Trajectories]:
    """Three tasks of 3 states, 2 actions, horizon 3: of 8, or of 26, trajectories."""
    tasks = []
    for seed in range(3):
        random = np.random.default_rng(seed)
        order = np.array([[1, 2], [2, 0], [0, 1]])
        if seed == 1:
            order = order[:, ::-1]
        if seed == 2:
            order = np.array([[0, 1], [1, 2], [2, 0]])
        transitions = np.eye(3)[order]
        if stochastic:
            likely = random.uniform(0.3, 0.8, size=3)
            for state, action in [(0, 0), (1, 1), (2, 0)]:
                there = order[state, action]
                transitions[state, action] = 0.0
                transitions[state, action, there] = likely[state]
                transitions[state, action, (there + 1) % 3] = 1.0 - likely[state]
        rewards = random.normal(size=(3, 2, 3))
        tasks.append(enumerate_task(np.eye(3)[0], transitions, rewards, 3))
    return tasks


def bandit(paid) -> Trajectories:
    """One state, horizon one; the reward of each action."""
    count = len(paid)
    zeros = np.zeros((count, 1), int)
    actions, rewards = np.arange(count)[:, None], np.asarray(paid)[:, None]
    return Trajectories(zeros, actions, rewards, np.ones(count))


def batches(count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """All multisets of ``size`` out of ``count``: indices ``[B, N]``, orderings ``[B]``.

    The order of the trajectories of a batch is of no matter, so each multiset stands
    for all its orderings.
    """
    chosen = np.array(
        list(itertools.combinations_with_replacement(range(count), size))
    ).reshape(-1, size)
    orderings = [
        math.factorial(size)
        / math.prod(math.factorial(n) for n in np.bincount(row, minlength=1))
        for row in chosen
    ]
    return chosen, np.array(orderings, np.float64)


def log_policy(theta, shape) -> jax.Array:
    """``log pi(a|s)`` ``[S, A]``."""
    return jax.nn.log_softmax(theta.reshape(shape), axis=-1)


def probabilities(theta, tau: Trajectories, shape) -> jax.Array:
    """``p(tau | theta)`` ``[M]``."""
    steps = log_policy(theta, shape)[tau.states, tau.actions]
    return tau.chance * jnp.exp(steps.sum(-1))


def returns_to_go(tau: Trajectories, discount: float) -> jax.Array:
    """``G_t = sum_{u >= t} discount^(u - t) r_u`` ``[M, T]``."""
    horizon = tau.rewards.shape[1]
    time = jnp.arange(horizon)
    power = time[:, None] - time[None]  # u - t, by u and t
    weight = jnp.where(power >= 0, float(discount) ** jnp.maximum(power, 0), 0.0)
    return tau.rewards @ weight


def expected_return(theta, tau: Trajectories, setting: Setting) -> jax.Array:
    """``J(theta)``, discounted from the start."""
    gains = returns_to_go(tau, setting.discount)[:, 0]
    return probabilities(theta, tau, setting.shape) @ gains


def state_values(theta, tau: Trajectories, setting: Setting) -> jax.Array:
    """``V_t(s) = E[G_t | s_t = s]`` ``[T, S]``, zero where ``s`` cannot be."""
    weight = probabilities(theta, tau, setting.shape)[:, None, None] * jax.nn.one_hot(
        tau.states, setting.shape[0]
    )
    total = jnp.einsum("mts,mt->ts", weight, returns_to_go(tau, setting.discount))
    seen = weight.sum(0)
    return jnp.where(seen > 0, total / jnp.where(seen > 0, seen, 1.0), 0.0)


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
    fade = (float(setting.discount) ** time)[None]
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

    With ``s_t`` the score, ``h_t`` its derivative, ``A_t`` the advantage and ``b_t`` the
    baseline, discounted, and ``v_t = sum_{u < t} lambda^(t - u) s_u``:

    - first_order: 0
    - plain: ``sum_t h_t A_t``
    - lvc: ``sum_t (h_t + s_t s_t^T) A_t``
    - loaded_dice: ``sum_t (h_t + s_t s_t^T + v_t s_t^T + s_t v_t^T) A_t``
    - dice: the same with lambda 1, where the baseline is not subtracted from the
      returns that multiply the terms across time
    """
    s, h = scores(theta, tau, setting.shape), None
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


class Batches(NamedTuple):
    """Batches by how often each trajectory occurs.

    Attributes:
        counts: ``[B, M]``, each row adds up to ``N``.
        orderings: ``[B]``.
    """

    counts: jax.Array
    orderings: jax.Array


def counted(count: int, size: int) -> Batches:
    """All batches of ``size`` out of ``count`` trajectories."""
    chosen, orderings = batches(count, size)
    counts = np.array([np.bincount(row, minlength=count) for row in chosen], float)
    return Batches(counts, orderings)


def batch_probabilities(theta, tau: Trajectories, shape, drawn: Batches) -> jax.Array:
    """``p(D | theta)`` ``[B]``, all orderings together."""
    each = probabilities(theta, tau, shape)
    return drawn.orderings * jnp.prod(each[None] ** drawn.counts, axis=1)


def batch_mean(per_trajectory, drawn: Batches) -> jax.Array:
    """The mean over the trajectories of each batch ``[B, ...]``."""
    size = drawn.counts[0].sum()
    return jnp.tensordot(drawn.counts, per_trajectory, 1) / size


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
