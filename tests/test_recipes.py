"""Every recipe builds, trains and is evaluated as its published numbers were."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from test_algorithms import gradient_based

import jaxmeta as jm
from jaxmeta import outer, recipes
from jaxmeta.algorithms.promp import ProMPState
from jaxmeta.environments import locomotion
from jaxmeta.recipes import locomotion as locomotion_recipes
from jaxmeta.types import Experience

# The physics of a body takes long to trace.
TRACED = [
    pytest.param(name, marks=pytest.mark.slow)
    if name in {recipe.name for recipe in locomotion_recipes.RECIPES}
    else name
    for name in recipes.RECIPES
]


@pytest.mark.parametrize("name", TRACED)
def test_a_recipe_traces_an_update_and_fits_its_numbers(name, key):
    recipe = recipes.get(name)
    assert recipe.name == name
    try:
        experiment = recipe.build()
    except locomotion.MissingExtraError as error:
        pytest.skip(str(error))
    state = jax.eval_shape(experiment.learner.init, key)
    after, info = jax.eval_shape(experiment.learner.update, key, state)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    if experiment.evaluate is not None:
        num = recipe.num_test_tasks
        curves = jax.eval_shape(lambda s: experiment.evaluate(key, s, num), after)
        assert len(curves) == 2
        for curve in curves:
            assert curve.shape[0] == num
            for row in (*recipe.published.values(), recipe.optimum or ()):
                assert len(row) in (0, curve.shape[1])
        return
    trained = info["returns"].shape[0]
    tested = (
        jax.eval_shape(
            experiment.test_learner.collect,
            key,
            state.meta_params,
            jax.eval_shape(experiment.test_tasks.sample, key),
        ).keys.shape[0]
        * experiment.test_learner.episodes_per_trial
    )
    assert tested >= trained
    for row in (*recipe.published.values(), recipe.optimum or ()):
        assert len(row) in (0, tested)


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_every_argument_of_a_recipe_is_documented(name):
    build = recipes.get(name).build
    text = inspect.getdoc(build)
    for argument in inspect.signature(build).parameters:
        assert f"    {argument}: " in text, argument


@pytest.mark.parametrize("name", [n for n in recipes.RECIPES if "bandit" in n])
def test_numbers_of_pulls_and_arms_are_named(name):
    for argument in ("num_pulls", "num_arms"):
        with pytest.raises(ValueError, match=f"{argument} must be at least 1, got 0"):
            recipes.get(name).build(**{argument: 0})


def test_evolution_estimates_the_gradient_of_the_smoothed_objective(key):
    """On a quadratic it is the gradient itself, in the mean."""
    target = jnp.array([1.0, -2.0])

    def objective(meta_params, experience):
        error = meta_params - target - experience.query
        return 0.5 * jnp.sum(error**2), {}

    learner = outer.evolution(objective, optax.sgd(1.0), sigma=0.3)
    theta, num_tasks = jnp.array([0.5, 0.5]), 20_000
    experience = Experience(
        keys=jnp.zeros((num_tasks, 2)),
        support=jnp.zeros((num_tasks, 2)),
        query=jnp.zeros((num_tasks, 2)),
    )
    moved, _, _ = learner.update(key, theta, learner.init(theta), experience)
    # Of M samples (e'g) e the standard error is |g| sqrt(1 + ...) / sqrt M.
    error = 5 * 2.0 * float(jnp.linalg.norm(theta - target)) / num_tasks**0.5
    np.testing.assert_allclose(moved, target, atol=error)
    proposals = learner.propose(key, theta)
    np.testing.assert_allclose(proposals.mean(0), theta, rtol=1e-6)
    assert np.abs(proposals[0] - proposals[1]).min() > 0


@pytest.mark.slow
def test_promp_adapts_its_kl_coefficients(key):
    """They halve where the policies hardly moved, and double where they moved far."""
    for rate, factor in ((1e-6, 0.5), (0.3, 2.0)):
        learner = gradient_based(
            jm.promp, num_updates=1, outer_optimizer=optax.adam(rate), num_epochs=3
        )
        state = learner.init(key)
        assert isinstance(state.outer_state, ProMPState)
        after, info = jax.jit(learner.update)(key, state)
        before = state.outer_state.kl_coefficients
        np.testing.assert_allclose(after.outer_state.kl_coefficients, factor * before)
        assert (info["inner_kl"][0] > 0.015) == (factor == 2.0)


@pytest.mark.slow
def test_promp_is_held_back_by_its_kl_penalty(key):
    """A large coefficient keeps the policies before adaptation where they were."""

    def moved(coefficient):
        learner = gradient_based(
            jm.promp,
            num_updates=1,
            outer_optimizer=optax.sgd(0.5),
            num_epochs=5,
            kl_coefficient=coefficient,
        )
        _, info = jax.jit(learner.update)(key, learner.init(key))
        return float(info["inner_kl"][0])

    assert moved(1.0) < 0.7 * moved(0.0)
