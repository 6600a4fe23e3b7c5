"""Memory cores: acting step by step and learning on sequences are one function."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmeta as jm
from jaxmeta import policies, rollouts

LENGTH, NUM_INPUTS = 12, 3
CORES = {
    "gru": policies.gru(6),
    "lstm": policies.lstm(6),
    "lru": policies.lru(6, num_layers=2, state_size=5),
    "attention": policies.attention(8, length=LENGTH, num_heads=2),
    "snail": policies.snail(4, length=LENGTH, key_size=3),
    "truncated gru": policies.truncated(policies.gru(6), 5),
    "truncated lru": policies.truncated(policies.lru(6), 5),
    "truncated attention": policies.truncated(
        policies.attention(8, length=LENGTH, num_heads=2), 5
    ),
}


@pytest.fixture(
    params=[
        pytest.param(name, marks=pytest.mark.slow) if name == "snail" else name
        for name in CORES
    ]
)
def core(request):
    return CORES[request.param]


def inputs(key, core):
    key_params, key_inputs = jax.random.split(key)
    params = core.init(key_params, NUM_INPUTS)
    # Away from initial zeros, which would hide a bias that is left out.
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(key_params, len(leaves))
    leaves = [
        leaf + 0.1 * jax.random.normal(k, leaf.shape)
        for leaf, k in zip(leaves, keys, strict=True)
    ]
    xs = jax.random.normal(key_inputs, (LENGTH, NUM_INPUTS))
    return jax.tree.unflatten(structure, leaves), xs


def by_steps(core, params, xs):
    def step(carry, x):
        return core.step(params, carry, x)

    return jax.lax.scan(step, core.initial_carry(), xs)


def test_steps_and_sequences_agree(core, key):
    params, xs = inputs(key, core)
    carry, ys = jax.jit(functools.partial(by_steps, core))(params, xs)
    last, together = jax.jit(core.sequence)(params, core.initial_carry(), xs)
    assert together.shape == ys.shape
    np.testing.assert_allclose(together, ys, atol=1e-5)
    for a, b in zip(jax.tree.leaves(carry), jax.tree.leaves(last), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
        assert a.dtype == b.dtype
    # In two parts, the memory handed over.
    sequence = jax.jit(core.sequence)
    middle, first = sequence(params, core.initial_carry(), xs[:7])
    _, second = sequence(params, middle, xs[7:])
    np.testing.assert_allclose(jnp.concatenate([first, second]), ys, atol=1e-5)


def test_what_is_remembered_is_all_of_the_past_and_nothing_of_the_future(core, key):
    """The Jacobian of outputs by inputs is lower triangular, and full below."""
    if core in [CORES[name] for name in CORES if name.startswith("truncated")]:
        pytest.skip("gradients are cut on purpose")
    params, xs = inputs(key, core)

    def outputs(xs):
        return core.sequence(params, core.initial_carry(), xs)[1]

    jacobian = jax.jit(jax.jacrev(outputs))(xs)  # [T, F, T, D]
    size = np.abs(jacobian).max(axis=(1, 3))
    np.testing.assert_array_equal(np.triu(size, 1), 0)
    assert np.all(np.tril(size)[np.tril_indices(LENGTH)] > 0)
    assert np.all(np.isfinite(size))


def test_gradients_of_both_modes_agree(core, key):
    if core in [CORES[name] for name in CORES if name.startswith("truncated")]:
        pytest.skip("gradients are cut on purpose")
    params, xs = inputs(key, core)

    def loss(function, params):
        _, ys = function(params)
        return jnp.sum(jnp.sin(ys) * jnp.arange(1.0, LENGTH + 1)[:, None])

    stepped = jax.jit(jax.grad(lambda p: loss(lambda q: by_steps(core, q, xs), p)))
    together = jax.jit(
        jax.grad(
            lambda p: loss(lambda q: core.sequence(q, core.initial_carry(), xs), p)
        )
    )
    for a, b in zip(
        jax.tree.leaves(stepped(params)), jax.tree.leaves(together(params)), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3)
        assert np.any(b != 0)


def test_truncation_cuts_gradients_between_pieces_and_nothing_else(key):
    full, cut = CORES["gru"], CORES["truncated gru"]
    params, xs = inputs(key, full)

    def outputs(core, xs):
        return core.sequence(params, core.initial_carry(), xs)[1]

    np.testing.assert_allclose(outputs(full, xs), outputs(cut, xs), atol=1e-6)
    jacobian = jax.jacrev(functools.partial(outputs, cut))(xs)
    size = np.abs(jacobian).max(axis=(1, 3))
    piece = np.arange(LENGTH) // 5
    same_piece = piece[:, None] == piece[None]
    np.testing.assert_array_equal(size > 0, np.tril(same_piece))


def test_gru_and_lstm_are_those_of_flax(key):
    """Against flax's cells, with their weights put in our layout."""
    from flax import linen

    xs = jax.random.normal(key, (LENGTH, NUM_INPUTS))
    cell = linen.GRUCell(6)
    carry = jnp.zeros(6)
    theirs = cell.init(key, carry, xs[0])["params"]
    ours = {
        "input": jnp.concatenate([theirs[n]["kernel"] for n in ("ir", "iz", "in")], 1),
        "bias": jnp.concatenate([theirs[n]["bias"] for n in ("ir", "iz", "in")]),
        "recurrent": jnp.concatenate(
            [theirs[n]["kernel"] for n in ("hr", "hz", "hn")], 1
        ),
        "candidate_bias": theirs["hn"]["bias"] + 0.3,
    }
    theirs["hn"]["bias"] = ours["candidate_bias"]
    for x in xs:
        carry, _ = cell.apply({"params": theirs}, carry, x)
    found, _ = policies.gru(6).sequence(ours, jnp.zeros(6), xs)
    np.testing.assert_allclose(found, carry, atol=1e-6)

    cell = linen.OptimizedLSTMCell(6)
    carry = (jnp.zeros(6), jnp.zeros(6))
    theirs = cell.init(key, carry, xs[0])["params"]
    gates = ("i", "f", "o", "g")
    bias = jnp.concatenate([theirs[f"h{g}"]["bias"] for g in gates])
    ours = {
        "input": jnp.concatenate([theirs[f"i{g}"]["kernel"] for g in gates], 1),
        "recurrent": jnp.concatenate([theirs[f"h{g}"]["kernel"] for g in gates], 1),
        "bias": bias - jnp.repeat(jnp.array([0.0, 1, 0, 0]), 6),  # ours opens the gate
    }
    for x in xs:
        carry, _ = cell.apply({"params": theirs}, carry, x)
    (hidden, state), _ = policies.lstm(6).sequence(
        ours, (jnp.zeros(6), jnp.zeros(6)), xs
    )
    np.testing.assert_allclose(state, carry[0], atol=1e-6)
    np.testing.assert_allclose(hidden, carry[1], atol=1e-6)


def test_the_linear_recurrence_is_its_sum(key):
    """h_T = sum_t lambda^(T - t) gamma B z_t, in double precision by hand."""
    core = policies.lru(4, state_size=3)
    params, xs = inputs(key, core)
    layer = jax.tree.map(np.asarray, params["layers"][0])
    x = np.asarray(xs @ params["input"] + params["bias"][None], np.float64)
    z = layer["scale"] * x / np.sqrt((x**2).mean(1, keepdims=True) + 1e-6)
    eigenvalues = np.exp(-np.exp(layer["log_rate"]) + 1j * np.exp(layer["log_phase"]))
    assert np.all(np.abs(eigenvalues) < 1)
    gamma = np.sqrt(1 - np.abs(eigenvalues) ** 2)
    entering = gamma * (z @ (layer["write"][0] + 1j * layer["write"][1]))
    powers = eigenvalues[None] ** np.arange(LENGTH)[::-1, None]
    carry, _ = core.sequence(params, core.initial_carry(), xs)
    np.testing.assert_allclose(carry[0], (powers * entering).sum(0), rtol=1e-4)


@pytest.mark.parametrize(
    "name", ["gru", "lru", "attention", pytest.param("snail", marks=pytest.mark.slow)]
)
def test_a_policy_acts_as_it_learns(name, key):
    """And its memory is reset by nothing but the start of a trial."""
    tasks = jm.tasks.bernoulli_bandit(3, horizon=4)
    policy = policies.recurrent(tasks.environment, core=CORES[name], hidden=(5,))
    params, task = policy.init(key), tasks.sample(key)
    state = rollouts.start(key, tasks.environment, policy, task)
    acted, _ = rollouts.rollout(
        key, tasks.environment, policy, params, task, state, length=LENGTH
    )
    np.testing.assert_array_equal(np.flatnonzero(acted.timestep.is_first), [0, 4, 8])
    logits = acted.distribution.logits
    learned, none = rollouts.unroll(policy, params, acted, next_values=False)
    assert none is None
    np.testing.assert_allclose(learned.distribution.logits, logits, atol=1e-5)
    scanned, _ = rollouts.unroll(policy, params, acted)
    np.testing.assert_allclose(scanned.distribution.logits, logits, atol=1e-5)
    np.testing.assert_allclose(scanned.value, learned.value, atol=1e-5)
    # What the first episode showed still matters in the last.
    changed = acted.timestep._replace(
        previous_reward=acted.timestep.previous_reward.at[1].add(1.0)
    )
    other = policy.sequence(params, changed)
    assert np.any(other.distribution.logits[-1] != learned.distribution.logits[-1])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: policies.gru(0), ValueError, "size must be at least 1, got 0"),
        (lambda: policies.lstm(2.0), TypeError, r"size must be an integer, got 2\.0"),
        (lambda: policies.lru(4, decay=(0.9, 1.0)), ValueError, "decay must be two"),
        (lambda: policies.lru(4, max_phase=0), ValueError, "max_phase must be pos"),
        (
            lambda: policies.attention(6, length=3, num_heads=4),
            ValueError,
            "num_heads must divide size=6, got 4",
        ),
        (lambda: policies.snail(length=0), ValueError, "length must be at least 1"),
        (
            lambda: policies.truncated(policies.gru(4), 0),
            ValueError,
            "length must be at least 1, got 0",
        ),
        (
            lambda: policies.recurrent(jm.tasks.corners().environment, core=3),
            TypeError,
            "core must be a Core, .* got 3",
        ),
    ],
)
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("make", [policies.attention, policies.snail])
def test_a_trial_that_does_not_fit_the_memory_is_refused(make):
    tasks = jm.tasks.bernoulli_bandit(2, horizon=5)
    settings = {"outer_optimizer": optax.adam(1e-3), "num_tasks": 4}
    for core in (make(length=9), policies.truncated(make(length=9), 5)):
        policy = policies.recurrent(tasks.environment, core=core)
        with pytest.raises(ValueError, match="holds 9 steps, and a trial has 10"):
            jm.rl2(tasks, policy, num_episodes=2, **settings)


@pytest.mark.parametrize("make", [policies.attention, policies.snail])
def test_steps_beyond_the_memory_are_not_taken_for_others(make, key):
    """There is room for the trial and the state reached after it, then NaN."""
    core = make(8, length=4)
    params = core.init(key, NUM_INPUTS)
    xs = jax.random.normal(key, (6, NUM_INPUTS))
    _, ys = jax.jit(functools.partial(by_steps, core))(params, xs)
    assert np.all(np.isfinite(ys[:5]))
    assert np.all(np.isnan(ys[5]))
    longer = make(8, length=20)
    with pytest.raises(ValueError, match="make the policy once, for the longest trial"):
        longer.sequence(params, longer.initial_carry(), xs)


def test_the_linear_recurrence_runs_in_double_precision(key):
    with jax.enable_x64(True):
        core = policies.lru(4)
        params = core.init(key, NUM_INPUTS)
        xs = jax.random.normal(key, (5, NUM_INPUTS))
        carry, ys = by_steps(core, params, xs)
        assert ys.dtype == jnp.float64
        assert carry.dtype == jnp.complex128
