import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmeta as jm
from jaxmeta import advantages, losses
from jaxmeta.distributions import Categorical
from jaxmeta.types import Policy, PolicyOutput, Timestep, Transition

ALL = [losses.policy_gradient, losses.likelihood_ratio, losses.clipped_surrogate]


def table_policy(critic=False):
    """One row of logits per time step, which is the observation; values likewise."""

    def apply(params, carry, timestep):
        row = timestep.observation[0].astype(int)
        value = params["values"][row] if critic else None
        return PolicyOutput(Categorical(params["logits"][row]), value), carry

    return Policy(lambda key: None, lambda: (), apply)


def batch_of(params, actions, rewards):
    """Episodes ``[N, T]`` of those actions and rewards, acted by ``params``."""
    actions, rewards = jnp.asarray(actions, jnp.int32), jnp.asarray(rewards)
    time = jnp.broadcast_to(jnp.arange(actions.shape[1])[None], actions.shape)
    no = jnp.zeros(actions.shape, bool)
    timestep = Timestep(time[..., None] * 1.0, actions, rewards, time == 0)
    is_last = time == actions.shape[1] - 1
    distribution = Categorical(jnp.asarray(params["logits"])[time])
    return Transition(
        timestep, actions, distribution, rewards, is_last, no, time[..., None] + 1.0
    )


PARAMS = {
    "logits": jnp.array([[0.2, -0.3], [0.5, 0.1]]),
    "values": jnp.array([0.4, -0.2]),
}
OTHER = {**PARAMS, "logits": PARAMS["logits"] + jnp.array([[0.3, 0.0], [0.0, -0.8]])}
ACTIONS = [[0, 1], [1, 1], [0, 0]]
REWARDS = [[1.0, 2.0], [0.0, -1.0], [3.0, 0.5]]


def reference(params, kind, average, clip=0.2):
    """The surrogates again, in numpy."""

    def log_probs(params):
        logits = np.asarray(params["logits"], np.float64)
        table = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        return np.stack([table[t, np.asarray(ACTIONS)[:, t]] for t in range(2)], 1)

    rewards = np.asarray(REWARDS)
    to_go = np.stack([rewards[:, 0] + 0.9 * rewards[:, 1], rewards[:, 1]], 1)
    log_prob, old = log_probs(params), log_probs(PARAMS)
    ratio = np.exp(log_prob - old)
    gains = {
        losses.policy_gradient: log_prob * to_go,
        losses.likelihood_ratio: ratio * to_go,
        losses.clipped_surrogate: np.minimum(
            ratio * to_go, np.clip(ratio, 1 - clip, 1 + clip) * to_go
        ),
    }[kind]
    return -gains.sum() / {"step": 6, "episode": 3}[average]


@pytest.mark.parametrize("average", ["step", "episode"])
@pytest.mark.parametrize("kind", ALL)
def test_surrogates_are_their_formulas(kind, average):
    loss = kind(table_policy(), advantages.reward_to_go(discount=0.9), average=average)
    total, info = loss(OTHER, batch_of(PARAMS, ACTIONS, REWARDS))
    np.testing.assert_allclose(total, reference(OTHER, kind, average), rtol=1e-5)
    np.testing.assert_array_equal(info["loss"], total)


@pytest.mark.parametrize("kind", ALL)
def test_the_mean_gradient_is_that_of_the_return(kind):
    """Over all trajectories of a two-step problem, weighted by their probability."""
    paid = jnp.array([[1.0, -2.0], [0.5, 4.0]])  # by first and second action
    actions = np.array(list(itertools.product([0, 1], repeat=2)))
    rewards = np.stack([np.zeros(4), paid[actions[:, 0], actions[:, 1]]], 1)
    logits = {"logits": PARAMS["logits"]}

    def value(params):
        p = jax.nn.softmax(params["logits"])
        return p[0] @ paid @ p[1]

    loss = kind(
        table_policy(), advantages.reward_to_go(discount=1.0), average="episode"
    )
    p = jax.nn.softmax(PARAMS["logits"])
    mean = jnp.zeros((2, 2))
    for action, reward in zip(actions, rewards, strict=True):
        batch = batch_of(PARAMS, action[None], reward[None])
        gradient = jax.grad(loss, has_aux=True)(logits, batch)[0]["logits"]
        mean += p[0, action[0]] * p[1, action[1]] * gradient
    np.testing.assert_allclose(mean, -jax.grad(value)(logits)["logits"], atol=1e-6)


@pytest.mark.slow
def test_only_the_ratio_has_the_curvature_of_the_return():
    """One step: the mean Hessian of the ratio surrogate is that of the return."""
    paid, logits = jnp.array([1.0, -2.0]), jnp.array([[0.2, -0.3]])
    p = jax.nn.softmax(logits[0])
    exact = -jax.hessian(lambda x: jax.nn.softmax(x[0]) @ paid)(logits)

    def mean_hessian(kind):
        loss = kind(table_policy(), advantages.reward_to_go(discount=1.0))

        def total(logits, action):
            batch = batch_of({"logits": PARAMS["logits"][:1]}, [[action]], [[0.0]])
            batch = batch._replace(reward=paid[action].reshape(1, 1))
            return loss({"logits": logits}, batch)[0]

        return sum(p[a] * jax.hessian(total)(logits, a) for a in (0, 1))

    np.testing.assert_allclose(mean_hessian(losses.likelihood_ratio), exact, atol=1e-6)
    assert np.abs(mean_hessian(losses.policy_gradient) - exact).max() > 0.1


def test_clipping_stops_the_gradient_where_the_ratio_gained_enough():
    advantage = advantages.reward_to_go(discount=0.0)
    clipped = losses.clipped_surrogate(table_policy(), advantage, clip=0.1)

    def gradient(reward, shift):
        batch = batch_of(PARAMS, [[0, 0]], [[reward, 0.0]])
        params = {"logits": PARAMS["logits"].at[0, 0].add(shift)}
        return np.abs(jax.grad(clipped, has_aux=True)(params, batch)[0]["logits"]).max()

    assert gradient(1.0, 1.0) == 0  # a good action, already much likelier
    assert gradient(-1.0, -1.0) == 0  # a bad one, already much less likely
    assert gradient(1.0, -1.0) > 0  # a good one that became less likely
    assert gradient(1.0, 0.0) > 0


@pytest.mark.parametrize("kind", ALL)
def test_the_critic_learns_from_its_error_alone(kind):
    """Advantages are made of its values, without gradient unless it is asked for."""
    loss = kind(
        table_policy(critic=True),
        advantages.value_baseline(discount=0.9, trace_decay=0.5),
        value_coefficient=0.0,
    )
    batch = batch_of(PARAMS, ACTIONS, REWARDS)
    gradient = jax.grad(loss, has_aux=True)(OTHER, batch)[0]["values"]
    np.testing.assert_array_equal(gradient, 0.0)

    def judged(critic_params):
        return loss.judged_by(OTHER, batch, critic_params)

    (total, _), by_critic = jax.value_and_grad(judged, has_aux=True)(OTHER)
    np.testing.assert_allclose(total, loss(OTHER, batch)[0], rtol=1e-6)
    assert np.all(by_critic["values"] != 0)
    np.testing.assert_array_equal(by_critic["logits"], 0.0)


def test_entropy_and_critic_terms():
    loss = losses.policy_gradient(
        table_policy(critic=True),
        advantages.value_baseline(discount=0.9, trace_decay=1.0),
        entropy_coefficient=0.1,
        value_coefficient=0.25,
    )
    plain = losses.policy_gradient(
        table_policy(critic=True),
        advantages.value_baseline(discount=0.9, trace_decay=1.0),
        value_coefficient=0.0,
    )
    batch = batch_of(PARAMS, ACTIONS, REWARDS)
    (total, info), (rest, _) = loss(PARAMS, batch), plain(PARAMS, batch)
    p = np.asarray(jax.nn.softmax(PARAMS["logits"]))
    entropy = -(p * np.log(p)).sum(-1).mean()
    np.testing.assert_allclose(info["entropy"], entropy, rtol=1e-5)
    rewards = np.asarray(REWARDS)
    to_go = np.stack([rewards[:, 0] + 0.9 * rewards[:, 1], rewards[:, 1]], 1)
    value_loss = 0.5 * np.mean((to_go - np.asarray(PARAMS["values"])) ** 2)
    np.testing.assert_allclose(info["value_loss"], value_loss, rtol=1e-5)
    np.testing.assert_allclose(
        total - rest, 0.25 * value_loss - 0.1 * entropy, rtol=1e-4
    )
    gradient = jax.grad(loss, has_aux=True)(PARAMS, batch)[0]["values"]
    expected = 0.25 * (np.asarray(PARAMS["values"]) - to_go).mean(0) / 2
    np.testing.assert_allclose(gradient, expected, rtol=1e-5)


def test_bad_arguments():
    policy, advantage = table_policy(), advantages.reward_to_go()
    with pytest.raises(ValueError, match="average must be 'step' or 'episode', got 3"):
        losses.policy_gradient(policy, advantage, average=3)
    with pytest.raises(ValueError, match="clip must be positive and finite, got 0"):
        losses.clipped_surrogate(policy, advantage, clip=0)
    batch = batch_of(PARAMS, ACTIONS, REWARDS)
    untrained = losses.policy_gradient(table_policy(critic=True), advantage)
    with pytest.raises(ValueError, match="never train; use value_baseline"):
        untrained(PARAMS, batch)
    assert jm.losses is losses
