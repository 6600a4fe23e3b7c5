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
    """Before the first pull both arms are as likely to pay, after it one is certain."""
    learner, state, _ = trained
    params = state.meta_params
    experience = jax.jit(learner.collect)(key, params, TASKS.sample(key))
    trial = jax.tree.map(lambda leaf: leaf[0], experience.query)
    beliefs = POLICY.beliefs(params.policy, trial.timestep)
    arms = jnp.arange(HORIZON * NUM_EPISODES) % 2
    asked = trial._replace(action=arms, reward=jnp.ones(HORIZON * NUM_EPISODES))

    @jax.vmap
    def pays(latent):  # each arm, by the decoder
        return jnp.exp(DECODER.log_prob(params.decoder, latent, asked))[:2]

    keys = jax.random.split(key, 500)
    drawn = jax.vmap(beliefs.sample)(keys)
    found = np.asarray(jax.vmap(pays)(drawn)).mean(0)  # [T, 2]
    paying = int(trial.action[-1])
    np.testing.assert_allclose(found[0], 0.5, atol=0.15)
    np.testing.assert_allclose(found[1:, paying], 1.0, atol=0.1)
    np.testing.assert_allclose(found[1:, 1 - paying], 0.0, atol=0.1)


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


def of_two(log_prob):
    return Decoder(DECODER.init, log_prob)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"decoder": decoders.reward(ENVIRONMENT, values=(-1.0, 1.0))},
            ValueError,
            r"decoder: it explains rewards of \(-1\.0, 1\.0\) alone, .* such as 0",
        ),
        (
            {"decoder": of_two(lambda p, latent, trial: jnp.zeros(3))},
            ValueError,
            r"decoder: its log_prob of a trial of shape \(10,\) has shape \(3,\)",
        ),
        ({"decoder": "reward"}, TypeError, "decoder must be a Decoder"),
        ({"capacity": 63}, ValueError, "capacity must be at least 64, got 63"),
        ({"num_model_updates": -1}, ValueError, "num_model_updates must be at least 0"),
        ({"model_batch_size": 0}, ValueError, "model_batch_size must be at least 1"),
        ({"model_optimizer": 0.1}, TypeError, "model_optimizer"),
        ({"num_minibatches": 3}, ValueError, "must divide the number of trials, 64"),
        ({"length": 9}, ValueError, "length must be at least the horizon"),
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
