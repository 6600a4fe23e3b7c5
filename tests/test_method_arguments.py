"""What the gradient-based methods refuse, and why."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from test_algorithms import TASKS, gradient_based
from test_estimators import POLICY

import jaxmeta as jm
from jaxmeta import advantages, losses


@pytest.mark.parametrize("estimator", ["emaml", "leave_one_out"])
@pytest.mark.parametrize(
    "make", [losses.dice, losses.loaded_dice, losses.likelihood_ratio]
)
def test_counting_the_sample_twice_is_refused(estimator, make):
    inner_loss = make(POLICY, advantages.reward_to_go())
    with pytest.raises(ValueError, match="it would count twice"):
        gradient_based(
            jm.maml, policy=POLICY, estimator=estimator, inner_loss=inner_loss
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"estimator": "emaml", "num_updates": 0}, "num_updates must be at least 1"),
        (
            {
                "estimator": "dice",
                "inner_loss": losses.policy_gradient(POLICY, advantages.reward_to_go()),
            },
            "inner_loss: estimator 'dice' is an inner loss of its own",
        ),
        (
            {
                "estimator": "emaml",
                "inner_loss": lambda params, batch: (jnp.zeros(()), {}),
            },
            "inner_loss: estimator 'emaml' needs losses.policy_gradient",
        ),
        (
            {
                "estimator": "leave_one_out",
                "outer_loss": lambda params, batch: (jnp.zeros(()), {}),
            },
            "outer_loss: estimator 'leave_one_out' needs one of jaxmeta.losses",
        ),
        (
            {
                "estimator": "emaml",
                "outer_loss": losses.policy_gradient(POLICY, advantages.reward_to_go()),
            },
            "outer_loss: .* average='episode'",
        ),
        (
            {
                "estimator": "emaml",
                "advantage": advantages.reward_to_go(normalize=True),
            },
            "normalize=False",
        ),
        (
            {
                "inner_advantage": advantages.reward_to_go(),
                "inner_loss": losses.policy_gradient(POLICY, advantages.reward_to_go()),
            },
            "inner_advantage: inner_loss is given",
        ),
        (
            {"estimator": "dice", "advantage": advantages.value_baseline()},
            "value_baseline needs a policy with a critic",
        ),
    ],
)
def test_what_does_not_fit_an_estimator_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        gradient_based(jm.maml, policy=POLICY, **options)


@pytest.mark.parametrize("name", ["inner_loss", "outer_loss"])
def test_a_loss_of_another_policy_is_refused(name):
    other = jm.policies.mlp(TASKS.environment, hidden=(8,))
    loss = losses.policy_gradient(other, advantages.reward_to_go())
    with pytest.raises(ValueError, match=f"{name}: it is the loss of another policy"):
        gradient_based(jm.maml, policy=POLICY, estimator="plain", **{name: loss})


def test_a_mask_that_selects_nothing_names_the_paths():
    with pytest.raises(ValueError, match=r"adapts: .* params/policy_out/kernel"):
        gradient_based(jm.anil, policy=POLICY, adapts=lambda path: "head" in path)


def test_anil_leaves_the_body_as_it_is(key):
    learner = gradient_based(jm.anil, policy=POLICY, inner_optimizer=optax.sgd(5.0))
    meta_params = learner.init(key).meta_params
    experience = learner.collect(key, meta_params, TASKS.sample(key))
    params, _ = learner.adapt(meta_params, experience)
    moved = jax.tree.map(lambda a, b: bool(np.any(a != b)), meta_params, params)
    names = jm.trees.paths(moved)
    for name, changed in zip(names, jax.tree.leaves(moved), strict=True):
        assert changed == ("policy_out" in name), name


def test_a_policy_without_context_is_refused_by_cavia():
    with pytest.raises(ValueError, match=r"policy: .* policies\.with_context"):
        gradient_based(jm.cavia, policy=POLICY)


def test_a_trust_region_trains_no_critic():
    critic = jm.policies.mlp(TASKS.environment, hidden=(8,), critic=True)
    with pytest.raises(ValueError, match="policy: maml_trpo trains no critic"):
        jm.maml_trpo(
            TASKS,
            critic,
            inner_optimizer=optax.sgd(0.1),
            num_tasks=1,
            num_updates=1,
            num_episodes=1,
            advantage=advantages.value_baseline(),
        )


@pytest.mark.parametrize(
    "method",
    [jm.reptile, jm.anil, jm.promp, jm.emaml, jm.cavia],
    ids=lambda m: m.__name__,
)
def test_methods_that_need_adaptation_say_so(method):
    make = lambda environment: jm.policies.mlp(environment, hidden=(8,))  # noqa: E731
    policy = jm.policies.with_context(make, TASKS.environment, size=1)
    policy = policy if method is jm.cavia else POLICY
    with pytest.raises(ValueError, match="num_updates must be at least 1, got 0"):
        gradient_based(method, policy=policy, num_updates=0)


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        (jm.es_maml, {"sigma": 0.0}, "sigma must be positive, got 0"),
        (jm.imaml, {"strength": -1.0}, "strength must be positive, got -1"),
        (jm.promp, {"target_kl": 0.0}, "target_kl must be positive, got 0"),
        (jm.promp, {"kl_coefficient": -1.0}, "kl_coefficient must not be negative"),
        (jm.promp, {"num_epochs": 0}, "num_epochs must be at least 1, got 0"),
        (jm.promp, {"clip": 0.0}, "clip must be positive and finite, got 0"),
    ],
)
def test_numbers_of_methods_are_checked(method, options, message):
    with pytest.raises(ValueError, match=message):
        gradient_based(method, policy=POLICY, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"estimator": "leave_one_out"}, "estimator: the line search"),
        (
            {"outer_loss": losses.dice(POLICY, advantages.reward_to_go())},
            "outer_loss: the line search .* DiCE are always zero",
        ),
        ({"radius": 0.0}, "radius must be positive, got 0"),
        (
            {"num_curvature_episodes": 0},
            "num_curvature_episodes must be at least 1, got 0",
        ),
        ({"outer_loss_weights": (1.0, 1.0)}, "one to num_updates=1 weights"),
    ],
)
def test_what_a_trust_region_cannot_use_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        jm.maml_trpo(
            TASKS,
            POLICY,
            inner_optimizer=optax.sgd(0.1),
            num_tasks=1,
            num_updates=1,
            num_episodes=1,
            **options,
        )


@pytest.mark.parametrize("method", [jm.maml, jm.promp], ids=lambda m: m.__name__)
def test_sampling_terms_are_of_the_policies_that_acted(method):
    with pytest.raises(ValueError, match="num_epochs must be 1 for estimator 'emaml'"):
        gradient_based(method, policy=POLICY, estimator="emaml", num_epochs=2)


@pytest.mark.parametrize("method", [jm.reptile, jm.es_maml], ids=lambda m: m.__name__)
def test_methods_without_an_outer_loss_ask_nothing_of_it(method):
    critic = jm.policies.mlp(TASKS.environment, hidden=(8,), critic=True)
    loss = losses.policy_gradient(critic, advantages.value_baseline())
    sigma = {"sigma": 0.1} if method is jm.es_maml else {}
    gradient_based(method, policy=critic, inner_loss=loss, length=2, **sigma)
    with pytest.raises(ValueError, match="advantage: inner_loss is given"):
        gradient_based(
            method,
            policy=critic,
            inner_loss=loss,
            advantage=advantages.reward_to_go(),
            **sigma,
        )


@pytest.mark.parametrize("method", [jm.maml_trpo, jm.promp], ids=lambda m: m.__name__)
def test_methods_of_reinforcement_learning_refuse_a_dataset(method):
    tasks = jm.tasks.sinusoids()
    outer = {} if method is jm.maml_trpo else {"outer_optimizer": optax.sgd(0.1)}
    with pytest.raises(ValueError, match=r"tasks: .* on a Dataset use maml"):
        method(
            tasks,
            jm.policies.mlp(tasks.environment, hidden=(8,)),
            inner_optimizer=optax.sgd(0.1),
            num_tasks=1,
            num_updates=1,
            num_episodes=2,
            **outer,
        )


@pytest.mark.parametrize("estimator", ["dice", "lvc", "leave_one_out"])
def test_examples_are_drawn_by_no_policy(estimator):
    tasks = jm.tasks.sinusoids()
    policy = jm.policies.mlp(tasks.environment, hidden=(8,))
    with pytest.raises(ValueError, match="estimator: no policy draws the examples"):
        jm.maml(
            tasks,
            policy,
            inner_optimizer=optax.sgd(0.1),
            outer_optimizer=optax.sgd(0.1),
            num_tasks=1,
            num_updates=1,
            num_episodes=2,
            estimator=estimator,
        )
