"""A learned optimizer: what its network reads, and what its output does."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmeta as jm
from jaxmeta import (
    advantages,
    inner,
    learned_optimizers,
    losses,
    optimizers,
    policies,
    rollouts,
)
from jaxmeta.environments import MatchProbe
from jaxmeta.learned_optimizers import Schedule

TASKS = jm.tasks.from_gymnax(MatchProbe(), params={"bit": jm.tasks.choice([0, 1])})
POLICY = policies.mlp(TASKS.environment, hidden=(4,), critic=True)
LEARNED = learned_optimizers.recurrent(size=5, memory=3)
LOSS = losses.clipped_surrogate(POLICY, advantages.value_baseline())
PARAMS = {
    "policy_0": {"kernel": jnp.array([[0.5, -1.0]]), "bias": jnp.array([0.0, 2.0])},
    "policy_out": {"kernel": jnp.array([[0.3], [-0.2]])},
    "critic_out": {"kernel": jnp.array([[1.0]])},
}
GRADIENTS = jax.tree.map(lambda p: 0.1 * jnp.cos(7.0 * p), PARAMS)


def close(a, b, **tolerance):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **tolerance), a, b)


def dense(params, x):
    return x @ np.asarray(params["kernel"], np.float64) + np.asarray(params["bias"])


def normed(params, x):
    x = (x - x.mean()) / np.sqrt(x.var() + 1e-6)
    return x * np.asarray(params["scale"]) + np.asarray(params["bias"])


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def gru(params, h, x):
    """One step of a gated recurrent unit, as in its definition."""

    def gate(name):
        read = dense(params[f"i{name}"], x)
        return read, h @ np.asarray(params[f"h{name}"]["kernel"], np.float64)

    r, z = sigmoid(sum(gate("r"))), sigmoid(sum(gate("z")))
    read, kept = gate("n")
    n = np.tanh(read + r * (kept + np.asarray(params["hn"]["bias"])))
    return (1 - z) * n + z * h


def network(meta_params, h, x):
    """The whole network for one weight: what it remembers, and its three outputs."""
    h = gru(meta_params["cell"]["params"], h, x)
    layers = meta_params["perceptron"]["params"]
    y = h
    for i in (0, 3):
        y = np.maximum(
            normed(layers[f"layers_{i + 1}"], dense(layers[f"layers_{i}"], y)), 0
        )
    return h, dense(layers["layers_6"], y)


def test_an_update_is_the_formula(key):
    """Two updates in numpy, of every weight by itself, without noise."""
    meta_params = LEARNED.init(key)
    meta_params = jax.tree.map(lambda w: w + 0.05, meta_params)  # no zero biases
    schedule = Schedule(lifetime=3, num_epochs=2, num_minibatches=1)
    transform = LEARNED.transform(meta_params, schedule)
    state = transform.init(PARAMS)
    dormant = jax.tree.map(lambda p: jnp.full(p.shape[-1:], 0.5), PARAMS)
    dormant["policy_0"]["kernel"] = jnp.array([0.25, 1.75])
    paths = jm.trees.paths(PARAMS)
    place = {"policy_0": 0.0, "policy_out": 1.0, "critic_out": 1.0}
    values = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(PARAMS)]
    momenta = [np.zeros((*v.shape, 6)) for v in values]
    memory = [np.zeros((*v.shape, 3)) for v in values]
    decays = np.array([0.1, 0.5, 0.9, 0.99, 0.999, 0.9999])
    for count, scale in enumerate((1.0, -3.0)):
        gradients = jax.tree.map(lambda g, s=scale: s * g, GRADIENTS)
        updates, state = jax.jit(transform.update)(
            gradients, state, PARAMS, dormancy=dormant
        )
        expected = []
        for i, g in enumerate(jax.tree.leaves(gradients)):
            g, p = np.asarray(g, np.float64), values[i]
            momenta[i] = decays * momenta[i] + (1 - decays) * g[..., None]
            told = [p[..., None]]
            for z in (momenta[i], g[..., None]):
                told += [np.sign(z), np.log(np.abs(z) + 1e-13)]
            told = np.concatenate(told, -1)
            axes = tuple(range(p.ndim))
            told = told / np.sqrt(1e-5 + np.mean(told**2, axes, keepdims=True))
            level = np.broadcast_to(jax.tree.leaves(dormant)[i], p.shape)
            found = np.zeros(p.shape)
            for at in np.ndindex(*p.shape):
                # The first update of three: the first and then the second epoch of two.
                same = [0.0, place[paths[i].split("/")[0]], count, level[at]]
                x = np.concatenate([told[at], same])
                memory[i][at], output = network(meta_params, memory[i][at], x)
                found[at] = 1e-3 * output[0] * np.exp(1e-3 * output[1])
            expected.append(found)
        mean = np.concatenate([u.reshape(-1) for u in expected]).mean()
        for found, u in zip(jax.tree.leaves(updates), expected, strict=True):
            np.testing.assert_allclose(found, mean - u, rtol=1e-3, atol=2e-7)
    assert int(state.num_steps) == 2
    assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(updates)) > 1e-4


def test_noise_is_for_the_actor_with_a_key_and_as_large_as_it_is_learned(key):
    """With a network that says delta = 2, and nothing else."""
    meta_params = jax.tree.map(jnp.zeros_like, LEARNED.init(key))
    bias = jnp.array([0.0, 0.0, 2.0])
    meta_params["perceptron"]["params"]["layers_6"]["bias"] = bias
    transform = LEARNED.transform(meta_params, Schedule())
    params = {"policy_out": {"kernel": jnp.zeros((50, 100))}}
    params["critic_out"] = {"kernel": jnp.zeros((50, 100))}
    update = jax.jit(transform.update)
    state = transform.init(params)
    silent, _ = update(params, state, params)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(silent))
    noisy, _ = update(params, state, params, key=key)
    noise, none = (noisy[name]["kernel"] for name in ("policy_out", "critic_out"))
    np.testing.assert_allclose(np.std(noise), 2e-3, rtol=0.05)
    np.testing.assert_allclose(none, none[0, 0])
    np.testing.assert_allclose(np.mean(noise) + np.mean(none), 0.0, atol=1e-8)
    other, _ = update(params, state, params, key=jax.random.key(1))
    assert np.all(other["policy_out"]["kernel"] != noise)


def test_updates_have_mean_zero_over_the_agent(key):
    transform = LEARNED.transform(LEARNED.init(key), Schedule())
    updates, _ = transform.update(GRADIENTS, transform.init(PARAMS), PARAMS, key=key)
    total = sum(np.sum(leaf) for leaf in jax.tree.leaves(updates))
    np.testing.assert_allclose(total, 0.0, atol=1e-8)


@pytest.mark.parametrize(
    ("schedule", "time", "epochs"),
    [
        (Schedule(3, 2, 2), np.repeat([0, 0.5, 1], 4), np.tile([0, 0, 1, 1], 3)),
        (Schedule(3), [0, 0.5, 1, 1, 1], np.zeros(5)),  # older than was planned
        (Schedule(), np.zeros(4), np.zeros(4)),
        (Schedule(1, 3), [0, 0, 0], [0, 0.5, 1]),
    ],
)
def test_how_much_is_over(schedule, time, epochs):
    counts = jnp.arange(len(time))
    found = jax.vmap(lambda n: learned_optimizers.proportions(n, schedule))(counts)
    np.testing.assert_allclose(found[0], time)
    np.testing.assert_allclose(found[1], epochs)


def test_an_agent_without_gradients_moves_little_and_finitely(key):
    """And so does the derivative of how it moves."""
    meta_params = LEARNED.init(key)
    transform = LEARNED.transform(meta_params, Schedule(5, 2, 2))
    zeros = jax.tree.map(jnp.zeros_like, PARAMS)
    state = transform.init(PARAMS)
    for _ in range(3):
        updates, state = transform.update(zeros, state, zeros)
        assert all(np.all(np.abs(u) < 0.1) for u in jax.tree.leaves(updates))
    optimizers.check_meta_differentiable(transform, PARAMS, argument="transform")


def batch_of(key, length=6):
    """What a new agent does in four copies of its environment."""
    environment, task = TASKS.environment, TASKS.sample(key)
    params = POLICY.init(key)

    @jax.vmap
    def act(key):
        state = rollouts.start(key, environment, POLICY, task)
        return rollouts.rollout(
            key, environment, POLICY, params, task, state, length=length
        )[0]

    return act(jax.random.split(key, 4))


@pytest.mark.slow
def test_truncated_backpropagation_through_its_steps_is_exact():
    """By central differences, along directions at random, with the same noise."""
    with jax.enable_x64(True):
        key = jax.random.key(3)
        doubles = lambda tree: jax.tree.map(lambda x: x.astype(jnp.float64), tree)  # noqa: E731
        meta_params, params = doubles(LEARNED.init(key)), doubles(PARAMS)

        def loss(params):
            return sum(jnp.sum(jnp.cosh(p - 0.3)) for p in jax.tree.leaves(params))

        @jax.jit
        def objective(meta_params):
            transform = LEARNED.transform(meta_params, Schedule(2, 2))

            def step(carry, key):
                params, state = carry
                gradients = jax.grad(loss)(params)
                updates, state = transform.update(gradients, state, params, key=key)
                return (optax.apply_updates(params, updates), state), None

            start = (params, transform.init(params))
            (learned, _), _ = jax.lax.scan(step, start, jax.random.split(key, 4))
            return 1e3 * loss(learned)

        gradient = jax.jit(jax.grad(objective))(meta_params)
        for seed in range(3):
            direction = jm.trees.normal_like(jax.random.key(seed), meta_params)
            ahead, behind = (
                objective(
                    jax.tree.map(lambda p, d, s=s: p + s * d, meta_params, direction)
                )
                for s in (1e-5, -1e-5)
            )
            pairs = zip(
                jax.tree.leaves(gradient), jax.tree.leaves(direction), strict=True
            )
            found = sum(jnp.vdot(g, d) for g, d in pairs)
            np.testing.assert_allclose(found, (ahead - behind) / 2e-5, rtol=1e-5)
            assert abs(found) > 1e-2


def test_an_agent_is_told_of_its_own_dormancy_with_a_new_key_each_step(key):
    """Of the params before each step, and the batch of that step."""
    seen = []

    def update(updates, state, params=None, *, key, dormancy, **others):
        jax.debug.callback(
            lambda *told: seen.append(told), jax.random.key_data(key), dormancy, params
        )
        return jax.tree.map(lambda g: -0.1 * g, updates), state

    transform = optax.GradientTransformationExtraArgs(lambda _: (), update)
    agent = inner.descent(
        POLICY.init,
        lambda _: LOSS,
        transform,
        num_epochs=3,
        signals=learned_optimizers.signals(POLICY),
    )
    batch = batch_of(key)
    state = agent.init(key, ())
    state, _ = jax.jit(agent.update)(key, (), state, batch)
    jax.block_until_ready(state)
    jax.effects_barrier()
    assert len({tuple(told[0].tolist()) for told in seen}) == 3
    for _, dormancy, params in seen:
        params = jax.tree.map(jnp.asarray, params)
        expected = policies.dormancy(POLICY, params, batch.timestep)
        close(dormancy, expected, rtol=1e-4)


def test_an_optimizer_that_wants_to_know_nothing_is_not_told(key):
    batch = batch_of(key)
    settings = {"num_epochs": 2, "num_minibatches": 2}
    agents = [
        inner.descent(POLICY.init, lambda _: LOSS, optax.sgd(0.1), **settings, **told)
        for told in ({}, {"signals": learned_optimizers.signals(POLICY)})
    ]
    ends = [
        agent.update(key, (), agent.init(key, ()), batch)[0].params for agent in agents
    ]
    close(*ends, rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: learned_optimizers.recurrent(size=0),
            ValueError,
            "size must be at least 1, got 0",
        ),
        (
            lambda: learned_optimizers.recurrent(memory=1.5),
            TypeError,
            "memory must be an integer",
        ),
        (
            lambda: learned_optimizers.recurrent(decays=(0.5, 1.0)),
            ValueError,
            r"decays must each lie in \[0, 1\), got 1\.0",
        ),
        (
            lambda: learned_optimizers.recurrent(noise_scale=-1.0),
            ValueError,
            "noise_scale must be finite and at least 0",
        ),
        (
            lambda: LEARNED.transform({}, Schedule(lifetime=0)),
            ValueError,
            "lifetime must be at least 1, got 0",
        ),
        (
            lambda: LEARNED.transform({}, 3),
            TypeError,
            "schedule must be a Schedule, got 3",
        ),
        (
            lambda: LEARNED.transform({}, Schedule()).update({}, (), None),
            ValueError,
            "params: a learned optimizer reads them",
        ),
        (
            lambda: inner.descent(
                POLICY.init, lambda _: LOSS, optax.sgd(0.1), signals=3
            ),
            TypeError,
            "signals must be a function .* got 3",
        ),
    ],
)
def test_bad_arguments_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_dormancy_of_other_params_is_refused(key):
    transform = LEARNED.transform(LEARNED.init(key), Schedule())
    with pytest.raises(ValueError, match="dormancy must be a tree like the params"):
        transform.update(
            GRADIENTS, transform.init(PARAMS), PARAMS, dormancy={"a": jnp.ones(1)}
        )
