"""Beliefs about the task: what they are made of, and the bound they are learned by."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmeta as jm
from jaxmeta import decoders, losses, policies, rollouts, trees
from jaxmeta.environments import MatchProbe

TASKS = jm.tasks.from_gymnax(MatchProbe(), params={"bit": jm.tasks.choice([0, 1])})
ENVIRONMENT = TASKS.environment
NUM_STEPS = 7  # an episode has five
POLICY = policies.belief(
    ENVIRONMENT, core=policies.gru(6), num_latents=3, hidden=(8,), critic=True
)
DECODER = decoders.reward(ENVIRONMENT, inputs=("action", "next_observation"))


def noisy(key, params):
    """Away from initial zeros, which hide what is left out."""
    noise = trees.normal_like(key, params)
    return jax.tree.map(lambda p, n: p + 0.3 * n, params, noise)


@pytest.fixture(scope="module")
def acted():
    """Params of policy and decoder, and two trials they were acted with."""
    keys = jax.random.split(jax.random.key(7), 4)
    params = noisy(keys[0], POLICY.init(keys[0]))
    decoder = noisy(keys[1], DECODER.init(keys[1], 3))
    trials = rollouts.episodes(
        keys[2],
        ENVIRONMENT,
        POLICY,
        params,
        TASKS.sample(keys[3]),
        num_episodes=2,
        length=NUM_STEPS,
    )
    return params, decoder, trials


def test_acting_and_learning_see_the_same_beliefs(acted):
    params, _, trials = acted
    for number in range(2):
        trial = trees.at(trials, number)
        output, _ = rollouts.unroll(POLICY, params, trial, next_values=False)
        np.testing.assert_allclose(
            output.distribution.logits, trial.distribution.logits, atol=1e-5
        )
        stepped, _ = rollouts.unroll(POLICY, params, trial)
        np.testing.assert_allclose(output.value, stepped.value, atol=1e-5)


def test_the_first_belief_is_a_prior_and_later_ones_depend_on_all_of_the_past(acted):
    params, _, trials = acted
    timesteps = trees.at(trials, 0).timestep

    def means(rewards):
        return POLICY.beliefs(params, timesteps._replace(previous_reward=rewards)).mean

    jacobian = jax.jacrev(means)(timesteps.previous_reward)  # [T, L, T]
    size = np.abs(jacobian).max(axis=1)
    np.testing.assert_array_equal(np.triu(size, 1), 0)
    assert np.all(np.tril(size)[1:, 1:][np.tril_indices(NUM_STEPS - 1)] > 0)
    np.testing.assert_array_equal(size[:, 0], 0)  # there was no reward before the first
    untrained = POLICY.beliefs(POLICY.init(jax.random.key(1)), timesteps)
    np.testing.assert_array_equal(untrained.mean[0], 0)
    np.testing.assert_allclose(untrained.log_std[0], 0, atol=1e-3)


@pytest.mark.parametrize("policy_gradient", [False, True])
def test_gradients_of_the_policy_reach_the_encoder_only_if_asked(
    policy_gradient, acted
):
    params, _, trials = acted
    policy = policies.belief(
        ENVIRONMENT,
        core=policies.gru(6),
        num_latents=3,
        hidden=(8,),
        policy_gradient=policy_gradient,
    )
    advantage = jm.advantages.value_baseline(episodes_per_trial=2)
    loss = losses.clipped_surrogate(policy, advantage)
    found = jax.grad(lambda p: loss(p, trials)[0])(params)
    for name in ("core", "posterior"):
        moved = [bool(np.any(leaf != 0)) for leaf in jax.tree.leaves(found[name])]
        assert all(moved) if policy_gradient else not any(moved)
    assert any(bool(np.any(leaf != 0)) for leaf in jax.tree.leaves(found["head"]))


@pytest.mark.parametrize("kl_to", ["previous", "prior"])
@pytest.mark.parametrize("decode", ["trial", "past"])
def test_the_bound_is_that_of_the_paper(kl_to, decode, acted, key):
    """Term by term, in NumPy; the latent is the mean."""
    params, decoder, trials = acted
    options = {"kl_weight": 0.3, "kl_to": kl_to, "decode": decode}
    loss = losses.elbo(POLICY, DECODER, stochastic=False, **options)
    value, info = loss(key, params, decoder, trials)
    bounds = []
    for number in range(2):
        trial = trees.at(trials, number)
        beliefs = POLICY.beliefs(params, trial.timestep)
        mean, log_std = np.asarray(beliefs.mean), np.asarray(beliefs.log_std)
        for t in range(NUM_STEPS):
            log_probs = DECODER.log_prob(decoder, beliefs.mean[t], trial)
            told = np.asarray(log_probs)[: t if decode == "past" else None].sum()
            before = np.zeros(3), np.zeros(3)
            if t and kl_to == "previous":
                before = mean[t - 1], log_std[t - 1]
            variances = np.exp(2 * log_std[t]), np.exp(2 * before[1])
            divergence = 0.5 * np.sum(
                (variances[0] + (mean[t] - before[0]) ** 2) / variances[1]
                - 1
                + 2 * (before[1] - log_std[t])
            )
            bounds.append(told - 0.3 * divergence)
    np.testing.assert_allclose(value, -np.mean(bounds), rtol=1e-4)
    np.testing.assert_allclose(
        info["log_likelihood"] - 0.3 * info["belief_kl"], -value, rtol=1e-4
    )


def test_latents_are_drawn_from_the_beliefs(acted, key):
    """Their decoding has the mean it has over draws by NumPy."""
    params, decoder, trials = acted
    loss = jax.jit(losses.elbo(POLICY, DECODER, kl_weight=0.0))
    values = [loss(k, params, decoder, trials)[0] for k in jax.random.split(key, 400)]
    beliefs = jax.vmap(lambda one: POLICY.beliefs(params, one))(trials.timestep)
    noise = np.random.default_rng(0).standard_normal((400, *beliefs.mean.shape))
    latents = beliefs.mean[None] + np.exp(beliefs.log_std)[None] * noise

    @jax.jit
    @jax.vmap
    def decode(latents):  # [2, T, L]
        of_trial = jax.vmap(DECODER.log_prob, in_axes=(None, 0, None))
        return jax.vmap(of_trial, in_axes=(None, 0, 0))(decoder, latents, trials)

    expected = -np.asarray(decode(latents.astype(np.float32))).sum(-1).mean((1, 2))
    error = np.hypot(np.std(values), np.std(expected)) / 20
    assert abs(np.mean(values) - expected.mean()) < 5 * error
    assert np.std(values) > 0


def test_the_bound_teaches_the_encoder_and_not_the_head(acted, key):
    params, decoder, trials = acted
    loss = losses.elbo(POLICY, DECODER)
    found, of_decoder = jax.grad(lambda both: loss(key, both[0], both[1], trials)[0])(
        (params, decoder)
    )
    for name in ("core", "posterior"):
        assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(found[name]))
    assert not any(np.any(leaf != 0) for leaf in jax.tree.leaves(found["head"]))
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(of_decoder))


def test_decoders_are_the_likelihoods_they_are_said_to_be(acted):
    _, params, trials = acted
    trial, latent = trees.at(trials, 0), jnp.array([0.3, -1.0, 0.5])
    # A difference of Gaussian log-likelihoods is linear in the reward.
    shifted = trial._replace(reward=trial.reward + 1)
    change = DECODER.log_prob(params, latent, shifted) - DECODER.log_prob(
        params, latent, trial
    )
    foretold = trial._replace(reward=trial.reward + change + 0.5)
    np.testing.assert_allclose(DECODER.log_prob(params, latent, foretold), 0, atol=1e-5)

    binary = decoders.reward(ENVIRONMENT, values=(0.0, 1.0), inputs=("action",))
    weights = noisy(jax.random.key(3), binary.init(jax.random.key(3), 3))
    both = [
        binary.log_prob(weights, latent, trial._replace(reward=jnp.full(NUM_STEPS, r)))
        for r in (0.0, 1.0)
    ]
    np.testing.assert_allclose(np.exp(both[0]) + np.exp(both[1]), 1, rtol=1e-5)
    swapped = decoders.reward(ENVIRONMENT, values=(1.0, 0.0), inputs=("action",))
    np.testing.assert_allclose(
        swapped.log_prob(weights, latent, trial),
        binary.log_prob(weights, latent, trial._replace(reward=1 - trial.reward)),
        rtol=1e-6,
    )


def test_heads_are_one_prediction_per_state(acted):
    _, _, trials = acted
    trial, latent = trees.at(trials, 0), jnp.array([0.3, -1.0, 0.5])
    decoder = decoders.reward(ENVIRONMENT, heads=(2, lambda step: step.action))
    params = noisy(jax.random.key(3), decoder.init(jax.random.key(3), 3))
    found = decoder.log_prob(params, latent, trial._replace(reward=jnp.zeros(7)))
    actions = np.asarray(trial.action)
    assert set(actions.tolist()) == {0, 1}
    values = {a: {float(v) for v in found[actions == a]} for a in (0, 1)}
    assert [len(v) for v in values.values()] == [1, 1]
    assert values[0] != values[1]


def test_observations_can_be_decoded_too(acted):
    _, _, trials = acted
    trial, latent = trees.at(trials, 0), jnp.array([0.3, -1.0, 0.5])
    second = decoders.observation(ENVIRONMENT)
    both = decoders.both(DECODER, second)
    params = noisy(jax.random.key(3), both.init(jax.random.key(3), 3))
    expected = DECODER.log_prob(params[0], latent, trial) + second.log_prob(
        params[1], latent, trial
    )
    np.testing.assert_allclose(both.log_prob(params, latent, trial), expected)
    assert np.all(second.log_prob(params[1], latent, trial) < 0)


@pytest.mark.parametrize(
    ("tasks", "values"),
    [
        (jm.tasks.semicircle(sparse=True), (0.0, 1.0)),
        (jm.tasks.dark_room(size=30, horizon=20), (0.0, 0.5)),
    ],
    ids=["semicircle", "dark room"],
)
def test_a_decoder_of_other_rewards_is_found_where_they_are_rare(tasks, values):
    decoder = decoders.reward(tasks.environment, values=values)
    with pytest.raises(ValueError, match="decoder: it explains rewards of"):
        decoders.check_fit(decoder, tasks)
    decoders.check_fit(decoders.reward(tasks.environment), tasks)


def test_a_decoder_of_the_rewards_there_are_fits():
    tasks = jm.tasks.dark_room(size=30, horizon=20)
    decoder = decoders.reward(tasks.environment, values=(0.0, 1.0))
    decoders.check_fit(decoders.both(decoder, decoder), tasks)
    jax.jit(lambda: decoders.check_fit(decoder, tasks))()  # while something is traced


def test_rewards_a_decoder_cannot_explain_are_counted(acted, key):
    """Also those that one of two parts alone does not allow for."""
    params, _, trials = acted
    first = decoders.reward(ENVIRONMENT, values=(0.0, 1.0))
    second = decoders.reward(ENVIRONMENT, values=(1.0, 0.5))
    rewards = np.resize([0.0, 1.0, 0.5, 1.0], trials.reward.shape)
    trials = trials._replace(reward=jnp.asarray(rewards, jnp.float32))
    for decoder, wrong in [
        (first, rewards == 0.5),
        (decoders.both(first, second), rewards != 1.0),
    ]:
        learned = decoder.init(key, 3)
        _, info = losses.elbo(POLICY, decoder)(key, params, learned, trials)
        assert info["unexplained_rewards"] == pytest.approx(wrong.mean())
    _, info = losses.elbo(POLICY, DECODER)(key, params, DECODER.init(key, 3), trials)
    assert "unexplained_rewards" not in info


def test_bad_arguments_of_decoders():
    with pytest.raises(
        TypeError, match=r"environment must be an Environment, .*got Ta"
    ):
        decoders.reward(TASKS)
    for values in [(1.0, 1.0), (1.0,), (1.0, 2.0, 3.0), 1.0, ("a", "b"), (np.nan, 1.0)]:
        with pytest.raises(ValueError, match="values must be two different rewards"):
            decoders.reward(ENVIRONMENT, values=values)
    for heads in [25, (25,), (25, 3)]:
        with pytest.raises(TypeError, match="heads must be a pair"):
            decoders.reward(ENVIRONMENT, heads=heads)
    with pytest.raises(TypeError, match="hidden must be a sequence of sizes, got 32"):
        decoders.reward(ENVIRONMENT, hidden=32)
    with pytest.raises(TypeError, match="second must be a Decoder, got 3"):
        decoders.both(DECODER, 3)
    with pytest.raises(ValueError, match=r"inputs must be some of .* got 'action'"):
        decoders.reward(ENVIRONMENT, inputs="action")
    with pytest.raises(ValueError, match=r"inputs must be some of .* got \['goal'\]"):
        decoders.reward(ENVIRONMENT, inputs=["goal"])
    with pytest.raises(ValueError, match="next_observation is what is predicted"):
        decoders.observation(ENVIRONMENT, inputs=["next_observation"])
    with pytest.raises(ValueError, match="hidden must be at least 1, got 0"):
        decoders.reward(ENVIRONMENT, hidden=(0,))


def test_bad_arguments_of_beliefs():
    for options, error, message in [
        ({"num_latents": 0}, ValueError, "num_latents must be at least 1, got 0"),
        ({"core": 64}, TypeError, "core must be a Core, .* got 64"),
        ({"hidden": 3}, TypeError, "hidden must be a sequence of sizes, got 3"),
        ({"initial_std": -1.0}, ValueError, "initial_std must be positive"),
    ]:
        with pytest.raises(error, match=message):
            policies.belief(ENVIRONMENT, **options)
    with pytest.raises(ValueError, match="it has no beliefs about its task to learn"):
        losses.elbo(policies.recurrent(ENVIRONMENT), DECODER)
    with pytest.raises(TypeError, match="decoder must be a Decoder"):
        losses.elbo(POLICY, lambda *_: 0)
    with pytest.raises(ValueError, match=r"kl_to must be one of .*Did you mean 'prior"):
        losses.elbo(POLICY, DECODER, kl_to="priors")
    with pytest.raises(ValueError, match=r"decode must be one of .* got 'future'"):
        losses.elbo(POLICY, DECODER, decode="future")
    with pytest.raises(ValueError, match="kl_weight must be finite and at least 0"):
        losses.elbo(POLICY, DECODER, kl_weight=-1.0)
