"""Small decision problems of which every trajectory and every batch is enumerated.

Nothing here is taken from jaxmeta, so that it cannot be wrong in the same way.

Notation: ``M`` trajectories, ``T`` steps, ``B`` batches of ``N`` trajectories each,
``S`` states, ``A`` actions, ``d = S A`` params of a table of logits, flat ``[d]`` here.
Functions of params expect float64 (``with jax.enable_x64(True)``).
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
    """All multisets of ``size`` out of ``count``: ``[B, N]``, and orderings ``[B]``.

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
    weight = jnp.where(power >= 0, discount ** jnp.maximum(power, 0), 0.0)
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


def batch_probabilities(theta, tau: Trajectories, shape, drawn: Batches) -> jax.Array:
    """``p(D | theta)`` ``[B]``, all orderings together."""
    each = probabilities(theta, tau, shape)
    return drawn.orderings * jnp.prod(each[None] ** drawn.counts, axis=1)


def batch_mean(per_trajectory, drawn: Batches) -> jax.Array:
    """The mean over the trajectories of each batch ``[B, ...]``."""
    size = drawn.counts[0].sum()
    return jnp.tensordot(drawn.counts, per_trajectory, 1) / size
