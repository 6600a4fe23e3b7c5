"""What meta-gradients and their hyper-parameters refuse."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from test_metagradient import BLIND, NUMBERS, OUTER, POLICY, TASKS, actor_critic, made

import jaxmeta as jm
from jaxmeta import advantages, hyperparameters, losses, policies


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_lifetimes": 0}, ValueError, "num_lifetimes must be at least 1, got 0"),
        ({"num_environments": 0}, ValueError, "num_environments must be at least 1"),
        ({"length": 0}, ValueError, "length must be at least 1, got 0"),
        ({"num_updates": 0}, ValueError, "num_updates must be at least 1, got 0"),
        ({"num_updates": 2.0}, TypeError, r"num_updates must be an integer, got 2\.0"),
        ({"lifetime": 1}, ValueError, "num_updates must be at most the lifetime, 1"),
        ({"lifetime": 5}, ValueError, "must be a multiple of num_updates=2, got 5"),
        ({"lifetime_batch_size": 2}, ValueError, "must divide num_lifetimes=3, got 2"),
        ({"num_target_updates": 2}, ValueError, "no target without target_optimizer"),
        ({"hyperparameters": {}}, ValueError, "must name one at least"),
        ({"hyperparameters": {"discount": 0.9}}, TypeError, r"\['discount'\] must be"),
        ({"hyperparameters": 0.9}, TypeError, "must be a dict by name"),
        ({"inner_optimizer": optax.adam(0.1)}, ValueError, "inner_optimizer cannot be"),
        ({"outer_optimizer": 0.1}, TypeError, "outer_optimizer"),
        ({"critic_optimizer": 0.1}, TypeError, "critic_optimizer"),
        (
            {"outer_loss": actor_critic, "outer_discount": 0.9},
            ValueError,
            "outer_discount: outer_loss is given",
        ),
        ({"target_optimizer": 0.1}, TypeError, "target_optimizer"),
        ({"inner_optimizer": 0.1}, TypeError, "inner_optimizer must be an optax"),
        ({"inner_optimizer": lambda v: 0.1}, TypeError, "inner_optimizer must be an"),
        ({"inner_loss": OUTER}, TypeError, "inner_loss must be a function of the val"),
        ({"inner_loss": lambda v: 0.1}, TypeError, "inner_loss must give a loss"),
        (
            {"target_optimizer": optax.sgd(0.1), "lifetime": 4}
            | {"num_updates": 1, "num_target_updates": 3},
            ValueError,
            r"num_updates \+ num_target_updates - 1 = 3, got 4",
        ),
        (
            {
                "inner_loss": lambda v: losses.policy_gradient(
                    BLIND, advantages.reward_to_go(discount=v["discount"])
                )
            },
            ValueError,
            "inner_loss: its advantages need complete episodes",
        ),
        (
            {
                "outer_loss": lambda v: losses.policy_gradient(
                    POLICY, advantages.value_baseline(episodes_per_trial=2)
                )
            },
            ValueError,
            "outer_loss: its advantages are those of trials",
        ),
        (
            {
                "inner_loss": lambda v: losses.scheduled(
                    lambda c: OUTER, optax.constant_schedule(1.0)
                )
            },
            TypeError,
            "inner_loss: it is scheduled",
        ),
        (
            {"inner_loss": lambda values: losses.v_trace(POLICY)},
            ValueError,
            "it hides from the meta-gradient",
        ),
    ],
)
def test_bad_arguments(options, error, message):
    with pytest.raises(error, match=message):
        made(**options)


def test_someone_must_know_values():
    policy = policies.mlp(TASKS.environment, hidden=(4,))
    with pytest.raises(ValueError, match="it has no critic, and the outer loss needs"):
        jm.metagradient(
            TASKS,
            policy,
            hyperparameters={"weight": hyperparameters.positive(0.1)},
            inner_loss=lambda values: lambda params, batch: (jnp.zeros(()), {}),
            inner_optimizer=optax.sgd(0.1),
            outer_optimizer=optax.adam(1e-2),
            num_lifetimes=2,
            num_environments=2,
            length=5,
        )


def test_a_policy_with_memory_is_refused():
    policy = policies.recurrent(TASKS.environment, core=policies.gru(4))
    loss = losses.policy_gradient(policy, advantages.value_baseline())
    with pytest.raises(ValueError, match="it has a memory, and an agent that lives on"):
        jm.metagradient(
            TASKS,
            policy,
            hyperparameters={"rate": hyperparameters.positive(0.1)},
            inner_loss=lambda values: loss,
            inner_optimizer=lambda values: optax.sgd(values["rate"]),
            outer_optimizer=optax.adam(1e-2),
            num_lifetimes=2,
            num_environments=2,
            length=5,
        )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: hyperparameters.interval(1.0, 0.0, 1.0), r"between .* got 1\.0"),
        (lambda: hyperparameters.interval(1.5, 0.0, 1.0), r"between .* got 1\.5"),
        (lambda: hyperparameters.interval(0.5, 1.0, 0.0), "low must be below high"),
        (lambda: hyperparameters.positive(0.0), "start must be positive"),
        (lambda: hyperparameters.real(np.inf), "start must be finite"),
    ],
)
def test_numbers_outside_their_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_numbers_start_where_they_should():
    found = hyperparameters.values(NUMBERS, hyperparameters.init(NUMBERS))
    expected = {"discount": 0.9, "trace_decay": 0.8, "entropy": 0.05, "rate": 0.3}
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5)
    assert hyperparameters.values(
        {"x": hyperparameters.real(-2.0)}, {"x": jnp.asarray(-2.0)}
    ) == {"x": -2.0}


def test_an_outer_loss_of_another_policy_is_refused():
    other = policies.mlp(TASKS.environment, hidden=(8,), critic=True)
    loss = losses.policy_gradient(other, advantages.value_baseline())
    with pytest.raises(ValueError, match="outer_loss: it is the loss of another"):
        made(outer_loss=lambda values: loss)
