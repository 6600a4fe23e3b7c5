"""How active neurons are, and where in its network a param is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

import jaxmeta as jm
from jaxmeta import policies
from jaxmeta.types import Timestep

TASKS = jm.tasks.navigation2d(horizon=5)
MLP = policies.mlp(TASKS.environment, hidden=(6, 5), critic=True)


def steps(key, shape):
    """Timesteps of random observations."""
    first = policies.first_timestep(TASKS.environment)
    observation = jax.random.normal(key, (*shape, *first.observation.shape))
    return Timestep(
        observation,
        jnp.zeros((*shape, *first.previous_action.shape)),
        jnp.zeros(shape),
        jnp.zeros(shape, bool),
    )


def relative(h):
    activity = np.abs(np.asarray(h, np.float64)).mean(0)
    return activity / activity.mean()


def by_hand(layers, x, activation):
    """The dormancy of each layer of a perceptron."""
    found = []
    for i, layer in enumerate(layers):
        x = x @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"])
        x = activation(x) if i < len(layers) - 1 else x
        found.append(relative(x))
    return found


def test_dormancy_is_the_mean_activation_of_a_neuron_by_that_of_its_layer(key):
    params = MLP.init(key)
    params = jax.tree.map(lambda p: p + 0.1, params)  # biases that are not zero
    batch = steps(key, (3, 4))
    found = jax.jit(lambda p, b: policies.dormancy(MLP, p, b))(params, batch)["params"]
    x = np.asarray(batch.observation).reshape(12, -1)
    for network in ("policy", "critic"):
        names = [f"{network}_{i}" for i in (0, 1, "out")]
        expected = by_hand([params["params"][name] for name in names], x, np.tanh)
        for name, values in zip(names, expected, strict=True):
            for leaf in ("kernel", "bias"):
                np.testing.assert_allclose(found[name][leaf], values, rtol=1e-4)
    assert found["log_std"] == 1.0


def test_a_dead_neuron_is_dormant_and_a_dead_layer_is_like_any(key):
    policy = policies.mlp(TASKS.environment, hidden=(4, 3), activation=jax.nn.relu)
    params = policy.init(key)
    batch = steps(key, (20,))
    params["params"]["policy_0"]["bias"] = jnp.array([-100.0, 0.0, 0.0, 0.0])
    found = policies.dormancy(policy, params, batch)["params"]["policy_0"]["kernel"]
    np.testing.assert_allclose(found[0], 0.0, atol=1e-6)
    np.testing.assert_allclose(np.mean(found), 1.0, rtol=1e-5)
    params["params"]["policy_0"]["bias"] = jnp.full(4, -100.0)
    found = policies.dormancy(policy, params, batch)["params"]["policy_0"]["kernel"]
    np.testing.assert_allclose(found, 1.0, rtol=1e-6)


def test_a_critic_beside_a_policy_has_a_dormancy_of_its_own(key):
    alone = policies.mlp(TASKS.environment, hidden=(6,))
    policy = policies.with_critic(alone, TASKS.environment, hidden=(5, 4))
    params = policy.init(key)
    batch = steps(key, (7,))
    found = policies.dormancy(policy, params, batch)
    x = np.asarray(batch.observation)
    layers = [params.critic["params"][n] for n in ("hidden_0", "hidden_1", "out")]
    expected = by_hand(layers, x, lambda h: np.maximum(h, 0.0))
    for name, values in zip(("hidden_0", "hidden_1", "out"), expected, strict=True):
        np.testing.assert_allclose(
            found.critic["params"][name]["kernel"], values, rtol=1e-4, atol=1e-6
        )
    layers = [params.policy["params"][n] for n in ("policy_0", "policy_out")]
    expected = by_hand(layers, x, np.tanh)[0]
    np.testing.assert_allclose(
        found.policy["params"]["policy_0"]["bias"], expected, rtol=1e-4, atol=1e-6
    )


def test_layers_come_in_their_order(key):
    """Ten and more too, whose names do not sort so."""
    found = policies.layer_proportions(MLP.init(key))["params"]
    for network in ("policy", "critic"):
        for name, expected in (("0", 0.0), ("1", 0.5), ("out", 1.0)):
            layer = found[f"{network}_{name}"]
            assert layer == {"kernel": expected, "bias": expected}
    assert found["log_std"] == 1.0
    deep = policies.mlp(TASKS.environment, hidden=(2,) * 11)
    found = policies.layer_proportions(deep.init(key))["params"]
    order = [found[f"policy_{i}"]["kernel"] for i in (*range(11), "out")]
    np.testing.assert_allclose(order, np.linspace(0, 1, 12))
    table = policies.mlp(TASKS.environment, hidden=())
    assert (
        policies.layer_proportions(table.init(key))["params"]["policy_out"]["kernel"]
        == 1
    )


def test_the_layers_of_a_critic_beside_a_policy_are_not_the_policys(key):
    alone = policies.mlp(TASKS.environment, hidden=(6,))
    policy = policies.with_critic(alone, TASKS.environment, hidden=(5, 4))
    found = policies.layer_proportions(policy.init(key)).critic["params"]
    assert [found[n]["bias"] for n in ("hidden_0", "hidden_1", "out")] == [0, 0.5, 1]


@pytest.mark.parametrize("named", [True, False])
def test_networks_of_your_own(named, key):
    """Layers that Linen names are told; of others each neuron is like any."""

    class Network(linen.Module):
        @linen.compact
        def __call__(self, x):
            names = ("first", "second") if named else (None, None)
            x = jax.nn.relu(linen.Dense(5, name=names[0])(x))
            return linen.Dense(2, name=names[1])(x)

    tasks = jm.tasks.bernoulli_bandit(2)
    policy = policies.from_linen(Network(), tasks.environment)
    first = policies.first_timestep(tasks.environment)
    batch = jax.tree.map(lambda leaf: jnp.stack([leaf] * 3), first)
    params = policy.init(key)
    params["params"] = {
        name: {**layer, "bias": jnp.arange(len(layer["bias"]), dtype=jnp.float32)}
        for name, layer in params["params"].items()
    }
    found = policies.dormancy(policy, params, batch)["params"]
    if named:
        assert all(leaf == 1.0 for leaf in jax.tree.leaves(found))
        return
    np.testing.assert_allclose(np.mean(found["Dense_0"]["kernel"]), 1.0, rtol=1e-5)
    assert np.ptp(found["Dense_0"]["kernel"]) > 0.1
    assert policies.layer_proportions(params)["params"]["Dense_0"]["bias"] == 0.0
