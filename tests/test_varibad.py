"""VariBAD: what it refuses, and that its beliefs pay."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmeta as jm
from jaxmeta import decoders, policies
from jaxmeta.decoders import Decoder
from jaxmeta.environments import BernoulliBandit

NUM_EPISODES, HORIZON = 2, 5


def one_pays(key):
    return jax.nn.one_hot(jax.random.bernoulli(key).astype(int), 2)


# One of two arms pays, always.
TASKS = jm.tasks.from_gymnax(
    BernoulliBandit(2), params={"probabilities": one_pays}, horizon=HORIZON
)
ENVIRONMENT = TASKS.environment
POLICY = policies.belief(ENVIRONMENT, core=policies.gru(8), num_latents=2)
DECODER = decoders.reward(ENVIRONMENT, values=(0.0, 1.0), inputs=("action",))


def made(*, policy=POLICY, tasks=TASKS, **options):
    settings = {
        "decoder": DECODER,
        "outer_optimizer": optax.adam(1e-2),
        "model_optimizer": optax.adam(1e-2),
        "num_tasks": 64,
        "num_episodes": NUM_EPISODES,
    }
    return jm.varibad(tasks, policy, **{**settings, **options})


@pytest.fixture(scope="module")
def trained():
    learner = made(num_model_updates=6, capacity=512)
    key = jax.random.key(0)
    state, info = jax.jit(lambda s: jm.train(key, learner, s, 150))(learner.init(key))
    return learner, state, info


def test_it_learns_which_arm_pays_within_a_trial(trained, key):
    """The first pull is a guess, all later ones are right: 4.5 + 5; 2.5 + 2.5 blind."""
    learner, state, _ = trained
    curve = jm.adaptation_curve(key, learner, state.meta_params, TASKS, num_tasks=1000)
    first, second = curve.mean(0)
    error = curve[:, 0].std() / 1000**0.5
    assert 4.3 < first < 4.5 + 4 * error
    assert 4.9 < second <= 5.0


def test_beliefs_are_the_posterior(trained, key):
    """Where the first pull got nothing, it is certain from then on which arm pays.

    Before it, and of an arm that is never pulled, a trial tells nothing to learn from.
    """
    learner, state, _ = trained
    params = state.meta_params
    keys = jax.random.split(key, 32)
    tasks = jax.vmap(TASKS.sample)(keys)
    experience = jax.vmap(jax.jit(learner.collect), (0, None, 0))(keys, params, tasks)
    trials = jax.tree.map(lambda leaf: leaf[:, 0], experience.query)
    wrong_first = np.flatnonzero(trials.reward[:, 0] == 0)
    assert len(wrong_first) > 5
    steps = HORIZON * NUM_EPISODES

    @jax.jit
    def paying(trial, key):  # the chance of each arm to pay, by latent: [T, 2]
        arms = jnp.arange(steps, dtype=jnp.int32) % 2
        asked = trial._replace(action=arms, reward=jnp.ones(steps))
        latents = POLICY.beliefs(params.policy, trial.timestep).sample(key)
        decode = jax.vmap(DECODER.log_prob, in_axes=(None, 0, None))
        return jnp.exp(decode(params.decoder, latents, asked))[:, :2]

    chosen = jax.tree.map(lambda leaf: leaf[wrong_first], trials)
    found = np.asarray(jax.vmap(paying)(chosen, keys[: len(wrong_first)]))[:, 1:]
    pulled = np.asarray(chosen.action[:, 0])
    rows = np.arange(len(pulled))
    assert found[rows, :, pulled].mean() < 0.1
    assert found[rows, :, 1 - pulled].mean() > 0.9


def test_the_replay_keeps_the_trials_acted(trained):
    _, state, info = trained
    kept = state.outer_state.replay
    assert int(kept.size) == 512
    assert np.all(np.isfinite(kept.items.reward))
    first = kept.items.timestep.is_first
    assert np.all(first == (np.arange(10) % HORIZON == 0)[None])
    assert {"log_likelihood", "belief_kl", "meta_loss", "returns"} <= set(info)


def test_without_model_updates_encoder_and_decoder_stay_as_they_are(key):
    learner = made(num_model_updates=0, num_tasks=4)
    state = learner.init(key)
    after, _ = jax.jit(learner.update)(key, state)
    before, learned = state.meta_params, after.meta_params
    fixed = [
        (before.decoder, learned.decoder),
        *(
            (before.policy[name], learned.policy[name])
            for name in ("core", "posterior")
        ),
    ]
    for old, new in fixed:
        jax.tree.map(np.testing.assert_array_equal, old, new)
    head = (before.policy["head"], learned.policy["head"])
    assert any(np.any(a != b) for a, b in zip(*map(jax.tree.leaves, head), strict=True))


def heads(index, count=2):
    return decoders.reward(ENVIRONMENT, heads=(count, index))


@pytest.mark.slow
def test_the_whole_state_can_be_donated(key):
    learner = made(num_tasks=4)
    update = jax.jit(learner.update, donate_argnums=1)
    for _ in range(2):
        state = learner.init(key)
        state, _ = update(key, state)
        state, _ = update(key, state)
    assert int(state.step) == 2


@pytest.mark.slow
def test_beliefs_of_one_step_are_the_prior():
    """And the gradient leads back from beliefs that were pushed to be too sure."""
    for core in (policies.gru(4), policies.lru(4), policies.attention(4, length=1)):
        policy = policies.belief(ENVIRONMENT, core=core, num_latents=2)
        params = policy.init(jax.random.key(0))
        timesteps = jax.tree.map(
            lambda leaf: leaf[None], policies.first_timestep(ENVIRONMENT)
        )
        bias = params["posterior"]["params"]

        def log_std(shift, policy=policy, params=params, bias=bias, steps=timesteps):
            moved = {**bias, "bias": bias["bias"] + shift}
            moved = {**params, "posterior": {"params": moved}}
            return policy.beliefs(moved, steps).log_std.sum()

        assert log_std(0.0) == pytest.approx(0.0, abs=1e-2)
        assert np.all(np.asarray([jax.grad(log_std)(x) for x in (-9.0, 9.0)]) > 0.05)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"decoder": decoders.reward(ENVIRONMENT, values=(-1.0, 1.0))},
            ValueError,
            r"decoder: it explains rewards of \(-1\.0, 1\.0\) alone, .* such as 0",
        ),
        (
            {"decoder": heads(lambda step: step.action - 1)},
            ValueError,
            "decoder: the index of its heads must be an integer from 0 to 1, .* -1 to",
        ),
        (
            {
                "decoder": decoders.both(
                    DECODER, decoders.reward(ENVIRONMENT, values=(0, 2))
                )
            },
            ValueError,
            r"decoder: it explains rewards of \(0\.0, 2\.0\) alone, .* such as 1",
        ),
        (
            {
                "decoder": decoders.both(
                    heads(lambda step: step.action), heads(lambda step: step.action, 1)
                )
            },
            ValueError,
            "decoder: the index of its heads must be an integer from 0 to 0, .* 0 to 1",
        ),
        (
            {"decoder": heads(lambda step: step.reward)},
            ValueError,
            "decoder: the index of its heads must be an integer",
        ),
        (
            {"decoder": Decoder(DECODER.init, lambda p, latent, trial: jnp.zeros(3))},
            ValueError,
            r"decoder: its log_prob of a trial of shape \(10,\) has shape \(3,\)",
        ),
        (
            {"decoder": decoders.reward(jm.tasks.gridnavi().environment)},
            ValueError,
            r"decoder: it cannot explain BernoulliBandit, whose observations have "
            r"shape \(1,\) and whose actions are .*; make it for tasks\.environment",
        ),
        (
            {"policy": policies.belief(jm.tasks.gridnavi().environment)},
            ValueError,
            "policy: it cannot act in BernoulliBandit, .*; make it for",
        ),
        ({"decoder": "reward"}, TypeError, "decoder must be a Decoder"),
        ({"capacity": 63}, ValueError, "capacity must be at least 64, got 63"),
        ({"num_model_updates": -1}, ValueError, "num_model_updates must be at least 0"),
        ({"model_batch_size": 0}, ValueError, "model_batch_size must be at least 1"),
        ({"model_optimizer": 0.1}, TypeError, "model_optimizer"),
        ({"num_minibatches": 3}, ValueError, "must divide the number of trials, 64"),
        ({"length": 9}, ValueError, "length must be at least the horizon"),
        ({"length": 30.5}, TypeError, r"length must be an integer, got 30\.5"),
        ({"policy": None}, ValueError, "no beliefs about its task"),
        (
            {
                "policy": policies.belief(
                    ENVIRONMENT, core=policies.attention(4, length=8)
                )
            },
            ValueError,
            "its memory holds 8 steps, and a trial has 10",
        ),
        (
            {"policy": policies.recurrent(ENVIRONMENT)},
            ValueError,
            "it has no beliefs about its task to learn; use policies.belief",
        ),
        (
            {"policy": policies.belief(ENVIRONMENT, critic=False)},
            ValueError,
            "needs a policy with a critic",
        ),
    ],
)
def test_it_refuses(options, error, message):
    with pytest.raises(error, match=message):
        made(**options)
