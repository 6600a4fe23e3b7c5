"""What supervised tasks refuse, and how."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.environments import spaces
from test_supervised import CLUSTERS, EPISODES, SINUSOIDS, arrays, maml

import jaxmeta as jm
from jaxmeta.distributions import DiagonalGaussian
from jaxmeta.types import PolicyOutput

# What is refused, and how.

KEY = jax.random.key(0)
POLICY = jm.policies.mlp(SINUSOIDS.environment, hidden=(2,))
RL_LOSS = jm.losses.policy_gradient(POLICY, jm.advantages.linear_baseline())


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"length": 1}, ValueError, "length must be None for a Dataset.* got 1"),
        (
            {"advantage": jm.advantages.reward_to_go()},
            ValueError,
            "advantage: .*Dataset, sinusoids",
        ),
        ({"inner_loss": RL_LOSS}, TypeError, r"loss: .* use losses\.squared_error"),
    ],
)
def test_what_belongs_to_reinforcement_learning_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        maml(SINUSOIDS, policy=POLICY, **options)


def test_an_outer_loss_of_reinforcement_learning_is_refused(key):
    learner = maml(SINUSOIDS, policy=POLICY, outer_loss=RL_LOSS)
    with pytest.raises(TypeError, match=r"loss: .* use losses\.squared_error"):
        learner.update(key, learner.init(key))


@pytest.mark.parametrize("name", ["squared_error", "negative_log_likelihood"])
def test_supervised_losses_are_refused_in_an_environment(name):
    policy = jm.policies.mlp(EPISODES.environment, hidden=(2,))
    loss = getattr(jm.losses, name)(policy)
    with pytest.raises(TypeError, match=f"{name}: .* got a Transition; .*policy_grad"):
        maml(EPISODES, policy=policy, inner_loss=loss)


def test_squared_error_of_classes_is_refused():
    policy = jm.policies.mlp(CLUSTERS.environment, hidden=(2,))
    with pytest.raises(TypeError, match="squared_error: the policy predicts classes"):
        maml(CLUSTERS, policy=policy, inner_loss=jm.losses.squared_error(policy))


def test_policies_that_do_not_fit_are_refused():
    dataset = SINUSOIDS.environment
    with pytest.raises(ValueError, match="critic, which the examples of a Dataset"):
        jm.policies.mlp(dataset, critic=True)
    with pytest.raises(ValueError, match=r"initial_std: .* unit variance, got 0\.5"):
        jm.policies.mlp(dataset, initial_std=0.5)
    with pytest.raises(ValueError, match=r"actions of shape \(2,\)"):
        jm.policies.from_linen(nn.Dense(2), dataset)
    with pytest.raises(TypeError, match=r"an Environment or a Dataset.* got TaskDist"):
        jm.policies.mlp(SINUSOIDS)
    navigation = jm.tasks.navigation2d().environment
    with pytest.raises(ValueError, match="read as the logits of discrete actions"):
        jm.policies.from_linen(nn.Dense(2), navigation)


def test_a_critic_of_ones_own_is_refused():
    class Valued(nn.Module):
        @nn.compact
        def __call__(self, x):
            mean = nn.Dense(1)(x)
            return PolicyOutput(DiagonalGaussian(mean, jnp.zeros(1)), mean[0])

    with pytest.raises(ValueError, match="critic"):
        jm.policies.from_linen(Valued(), SINUSOIDS.environment)


def test_tasks_of_another_kind_are_refused(key):
    """Their spaces and horizons may agree; an episode is no example."""
    binary = jm.tasks.supervised(
        lambda key: None, lambda key, task: (jnp.zeros(1), 1), num_classes=2
    )
    environment = EPISODES.environment._replace(
        observation=binary.environment.observation,
        action=spaces.Discrete(2),
        horizon=1,
    )
    learner = maml(binary)
    with pytest.raises(ValueError, match="the kind of their environment is Environm"):
        jm.adaptation_curve(
            key,
            learner,
            learner.init(key).meta_params,
            EPISODES._replace(environment=environment),
            num_tasks=1,
        )


def test_too_few_examples_are_refused():
    tasks = jm.tasks.from_arrays(*arrays(num_examples=9), name="tiny")
    with pytest.raises(ValueError, match=r"num_episodes: tiny has 9 .* the 10 that"):
        maml(tasks, num_episodes=5)
    maml(tasks, num_episodes=4)


def test_a_score_that_is_no_scalar_is_refused():
    tasks = jm.tasks.from_arrays(*arrays(), score=lambda d, target: d.mode() - target)
    with pytest.raises(
        ValueError, match=r"score of arrays: .* scalar \(\), got \(1,\)"
    ):
        maml(tasks)


X = jnp.zeros(3)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((3, lambda k, t: (X, X)), {}, TypeError, "sample_task must be a function"),
        ((lambda k: 0, None), {}, TypeError, "sample_example must be a function, got"),
        ((lambda k: 0, lambda k, t: X), {}, TypeError, r"return a pair \(x, y\), got"),
        (
            (lambda k: 0, lambda k, t: ({"a": X}, X)),
            {},
            TypeError,
            "sample_example: x must be one array",
        ),
        (
            (lambda k: 0, lambda k, t: (k, X)),
            {},
            TypeError,
            "sample_example: x must hold real numbers, got dtype key",
        ),
        (
            (lambda k: 0, lambda k, t: (X, 1)),
            {},
            TypeError,
            "y must be of a float dtype .* got int32; .* give num_classes",
        ),
        (
            (lambda k: 0, lambda k, t: (X, jnp.zeros((2, 2)))),
            {},
            ValueError,
            r"y must be one number or a vector \(D,\), got shape \(2, 2\)",
        ),
        (
            (lambda k: 0, lambda k, t: (X, 1.0)),
            {"num_classes": 2},
            TypeError,
            "y must be of an integer dtype for classes, got float32",
        ),
        (
            (lambda k: 0, lambda k, t: (X, jnp.array([0, 1]))),
            {"num_classes": 2},
            ValueError,
            r"y must be one class, got shape \(2,\)",
        ),
        (
            (lambda k: 0, lambda k, t: (X, 0)),
            {"num_classes": 1},
            ValueError,
            "num_classes must be at least 2, got 1",
        ),
        (
            (lambda k: 0, lambda k, t: (X, X)),
            {"score": "accuracy"},
            TypeError,
            "score must be a function, got 'accuracy'",
        ),
    ],
)
def test_bad_samplers_are_named(arguments, options, error, message):
    with pytest.raises(error, match=message):
        jm.tasks.supervised(*arguments, **options)


@pytest.mark.parametrize(
    ("inputs", "targets", "options", "error", "message"),
    [
        (np.zeros(3), np.zeros((3, 1)), {}, ValueError, r"inputs must .* shape \(3,\)"),
        (np.zeros((0, 2)), np.zeros((0, 2)), {}, ValueError, "none of them empty"),
        (
            np.zeros((2, 4, 1)),
            np.zeros((2, 3)),
            {},
            ValueError,
            r"inputs and targets must agree .* \(2, 4\) and \(2, 3\)",
        ),
        (
            np.full((2, 4), np.nan),
            np.zeros((2, 4)),
            {},
            ValueError,
            "inputs must be finite",
        ),
        (
            np.zeros((2, 4)),
            np.full((2, 4), np.inf),
            {},
            ValueError,
            "targets must be finite",
        ),
        (
            np.full((2, 4), "a"),
            np.zeros((2, 4)),
            {},
            TypeError,
            "inputs must hold real numbers",
        ),
        (
            np.zeros((2, 4)),
            np.zeros((2, 4), int),
            {},
            TypeError,
            "targets must be of a float dtype",
        ),
        (
            np.zeros((2, 4)),
            np.full((2, 4), 3),
            {"num_classes": 3},
            ValueError,
            r"targets must be classes in \[0, num_classes=3\), got 3 to 3",
        ),
    ],
)
def test_bad_arrays_are_named(inputs, targets, options, error, message):
    with pytest.raises(error, match=message):
        jm.tasks.from_arrays(inputs, targets, **options)
