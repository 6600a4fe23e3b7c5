import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

import jaxmeta as jm
from jaxmeta.distributions import Categorical, DiagonalGaussian
from jaxmeta.policies import first_timestep, from_linen, from_nnx, mlp
from jaxmeta.types import PolicyOutput

DISCRETE = jm.tasks.from_gymnax("CartPole-v1").environment  # [4] -> 2 actions
CONTINUOUS = jm.tasks.navigation2d().environment  # [2] -> [2]


def output(policy, environment, key, params=None):
    params = policy.init(key) if params is None else params
    return policy.apply(params, policy.initial_carry(), first_timestep(environment))[0]


@pytest.mark.parametrize("critic", [False, True])
@pytest.mark.parametrize(
    ("environment", "kind"), [(DISCRETE, Categorical), (CONTINUOUS, DiagonalGaussian)]
)
def test_mlp_fits_its_environment(environment, kind, critic, key):
    policy = mlp(environment, hidden=(8,), critic=critic)
    made = output(policy, environment, key)
    assert isinstance(made.distribution, kind)
    assert (made.value is None) is not critic
    action = made.distribution.sample(key)
    assert action.shape == environment.action.shape


def test_mlp_is_the_network_it_says(key):
    policy = mlp(CONTINUOUS, hidden=(3,), activation=jax.nn.relu, initial_std=0.5)
    params = policy.init(key)
    weights = params["params"]
    observation = jnp.array([0.3, -0.2])
    timestep = first_timestep(CONTINUOUS)._replace(observation=observation)
    distribution = policy.apply(params, (), timestep)[0].distribution
    hidden = np.maximum(observation @ weights["policy_0"]["kernel"], 0.0)
    np.testing.assert_allclose(
        distribution.mean, hidden @ weights["policy_out"]["kernel"], atol=1e-6
    )
    np.testing.assert_allclose(jnp.exp(distribution.log_std), 0.5, rtol=1e-6)


class LinenLogits(linen.Module):
    @linen.compact
    def __call__(self, observation):
        hidden = jnp.tanh(linen.Dense(5, name="first")(observation))
        return linen.Dense(2, name="second")(hidden)


class NNXLogits(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Linear(4, 5, rngs=rngs)
        self.second = nnx.Linear(5, 2, rngs=rngs)

    def __call__(self, observation):
        return self.second(jnp.tanh(self.first(observation)))


class NNXGaussian(nnx.Module):
    def __init__(self, rngs):
        self.mean = nnx.Linear(2, 2, rngs=rngs)
        self.value = nnx.Linear(2, 1, rngs=rngs)
        self.log_std = nnx.Param(jnp.zeros(2))

    def __call__(self, observation):
        distribution = DiagonalGaussian(self.mean(observation), self.log_std[...])
        return PolicyOutput(distribution, self.value(observation)[0])


def test_linen_and_nnx_networks_of_the_same_params_agree(key):
    ours, theirs = from_linen(LinenLogits(), DISCRETE), from_nnx(NNXLogits, DISCRETE)
    params = jax.tree.map(lambda leaf: leaf + 0.1, theirs.init(key))
    np.testing.assert_allclose(
        output(ours, DISCRETE, key, {"params": params}).distribution.logits,
        output(theirs, DISCRETE, key, params).distribution.logits,
        atol=1e-6,
    )


def test_nnx_init_depends_on_the_key_and_params_are_plain_arrays(key):
    policy = from_nnx(NNXGaussian, CONTINUOUS)
    one, same, other = (policy.init(jax.random.key(seed)) for seed in (0, 0, 1))
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(one))
    np.testing.assert_array_equal(one["mean"]["kernel"], same["mean"]["kernel"])
    assert np.any(one["mean"]["kernel"] != other["mean"]["kernel"])
    made = output(policy, CONTINUOUS, key, jax.tree.map(jnp.ones_like, one))
    np.testing.assert_allclose(made.distribution.log_std, 1.0)
    np.testing.assert_allclose(made.value, 1.0)


@pytest.mark.parametrize("kind", ["linen", "nnx"])
def test_user_networks_meta_train(kind, key):
    tasks = jm.tasks.from_gymnax("CartPole-v1", horizon=5)
    environment = tasks.environment
    make = {"linen": (from_linen, LinenLogits()), "nnx": (from_nnx, NNXLogits)}[kind]
    policy = make[0](make[1], environment)
    sgd = jm.optimizers.adam(0.1)
    learner = jm.maml(
        tasks,
        policy,
        inner_optimizer=sgd,
        outer_optimizer=sgd,
        num_tasks=2,
        num_updates=1,
        num_episodes=3,
    )
    start = learner.init(key)
    state, _ = jax.jit(learner.update)(key, start)
    moved = jax.tree.map(
        lambda a, b: np.any(a != b), start.meta_params, state.meta_params
    )
    assert all(jax.tree.leaves(moved))


class ThreeLogits(linen.Module):
    def __call__(self, observation):
        return jnp.zeros(3)


class WideMean(linen.Module):
    def __call__(self, observation):
        return DiagonalGaussian(jnp.zeros(3), jnp.zeros(3))


class FlatValue(linen.Module):
    def __call__(self, observation):
        return PolicyOutput(Categorical(jnp.zeros(2)), jnp.zeros(1))


class LogitsAndValue(linen.Module):
    def __call__(self, observation):
        return jnp.zeros(2), jnp.zeros(())


class WithBatchNorm(nnx.Module):
    def __init__(self, rngs):
        self.norm = nnx.BatchNorm(4, rngs=rngs)

    def __call__(self, observation):
        return self.norm(observation)[:2]


@pytest.mark.parametrize(
    ("module", "environment", "message"),
    [
        (ThreeLogits(), DISCRETE, r"logits have shape \(3,\).*needs \(2,\)"),
        (ThreeLogits(), CONTINUOUS, r"logits of discrete actions.*DiagonalGaussian"),
        (WideMean(), CONTINUOUS, r"draws actions of shape \(3,\)"),
        (WideMean(), DISCRETE, r"draws actions of shape \(3,\)"),
        (FlatValue(), DISCRETE, r"value has shape \(1,\)"),
        (
            LogitsAndValue(),
            DISCRETE,
            "must be a PolicyOutput, a distribution or logits",
        ),
    ],
)
def test_a_policy_that_does_not_fit_is_refused(module, environment, message):
    with pytest.raises(ValueError, match=message):
        from_linen(module, environment)


def test_nnx_modules_with_other_state_are_refused():
    with pytest.raises(ValueError, match=r"nnx\.Param only.*norm"):
        from_nnx(WithBatchNorm, DISCRETE)


class LinenBatchNorm(linen.Module):
    @linen.compact
    def __call__(self, observation):
        return linen.BatchNorm(use_running_average=True)(observation)[:2]


def test_linen_modules_with_other_variables_are_refused():
    with pytest.raises(ValueError, match=r"also has .*batch_stats"):
        from_linen(LinenBatchNorm(), DISCRETE)


def test_bad_arguments():
    with pytest.raises(ValueError, match="hidden must be at least 1, got 0"):
        mlp(DISCRETE, hidden=(8, 0))
    with pytest.raises(TypeError, match="hidden must be a sequence of sizes, got 64"):
        mlp(DISCRETE, hidden=64)
    with pytest.raises(TypeError, match=r"such as tasks\.environment, got TaskDistr"):
        mlp(jm.tasks.navigation2d())
    with pytest.raises(
        TypeError, match=r"instance of linen\.Module, got .*LinenLogits"
    ):
        from_linen(LinenLogits, DISCRETE)
    with pytest.raises(TypeError, match=r"rngs -> nnx.Module, got a module"):
        from_nnx(NNXLogits(nnx.Rngs(0)), DISCRETE)
    with pytest.raises(ValueError, match="initial_std must be positive, got 0"):
        mlp(DISCRETE, initial_std=0)


MAKERS = {
    "mlp": mlp,
    "linen": lambda environment: from_linen(LinenLogits(), environment),
    "nnx": lambda environment: from_nnx(NNXLogits, environment),
    "gru": jm.policies.recurrent,
    "lru": lambda e: jm.policies.recurrent(e, core=jm.policies.lru(4)),
    "attention": lambda e: jm.policies.recurrent(
        e, core=jm.policies.attention(4, length=3)
    ),
    "belief": jm.policies.belief,
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_policy_of_another_environment_is_refused(name):
    policy = MAKERS[name](DISCRETE)
    other = jm.tasks.from_gymnax("Acrobot-v1").environment  # [6] -> 3 actions
    with pytest.raises(
        ValueError,
        match=r"policy: it cannot act in Acrobot-v1, whose observations have shape "
        r"\(6,\) and whose actions are .*; make it for tasks\.environment",
    ):
        jm.policies.check_policy(policy, other)
