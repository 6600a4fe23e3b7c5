"""Few-shot regression of sinusoids: MAML, Meta-SGD and Reptile on supervised tasks.

Protocol of Finn, Abbeel and Levine, "Model-Agnostic Meta-Learning for Fast Adaptation
of Deep Networks" (2017), section 5.1: two layers of 40 ReLU, inner rate 0.01, 25 tasks
per meta-update, tested on as many shots as trained on. What a curve shows is minus the
mean squared error on examples that were not adapted to. Published errors are those of
Li, Zhou, Chen and Li, "Meta-SGD" (2017), table 1, for 5 shots; they are likely of the
harder variant with ``frequencies=(0.8, 1.2)``.
"""

from collections.abc import Callable
from typing import Any

import jax
import optax

from jaxmeta import optimizers, policies, tasks
from jaxmeta.algorithms import maml, meta_sgd, reptile
from jaxmeta.recipes.types import Experiment, Recipe
from jaxmeta.types import MetaLearner


def _experiment(
    method: Callable[..., MetaLearner],
    frequencies: tuple[float, float],
    num_tasks: int,
    **options: Any,
) -> Experiment:
    distribution = tasks.sinusoids(frequencies=frequencies)
    policy = policies.mlp(
        distribution.environment, hidden=(40, 40), activation=jax.nn.relu
    )
    learner = method(
        distribution,
        policy,
        num_tasks=num_tasks,
        task_batch_size=num_tasks,  # so small a model runs best on all tasks at once
        **options,
    )
    # Sinusoids are drawn from a continuum: those of the test were never trained on.
    return Experiment(learner, learner, distribution)


def build_maml(
    *,
    shots: int = 5,
    inner_rate: float = 0.01,
    outer_rate: float = 1e-3,
    num_tasks: int = 25,
    frequencies: tuple[float, float] = (1.0, 1.0),
    estimator: str = "plain",
) -> Experiment:
    """MAML on sinusoids.

    Args:
        shots: examples to adapt to.
        inner_rate: of the inner update.
        outer_rate: of the outer Adam.
        num_tasks: tasks per meta-update.
        frequencies: the interval of the tasks' frequencies.
        estimator: ``plain``, or ``first_order``.
    """
    return _experiment(
        maml,
        frequencies,
        num_tasks,
        inner_optimizer=optax.sgd(inner_rate),
        outer_optimizer=optax.adam(outer_rate),
        num_updates=1,
        num_episodes=shots,
        estimator=estimator,
        rematerialize=False,
    )


def build_metasgd(
    *,
    shots: int = 5,
    inner_rate: float = 0.01,
    outer_rate: float = 1e-3,
    num_tasks: int = 25,
    frequencies: tuple[float, float] = (1.0, 1.0),
) -> Experiment:
    """Meta-SGD on sinusoids.

    Args:
        shots: examples to adapt to.
        inner_rate: what the learned rates are at first.
        outer_rate: of the outer Adam.
        num_tasks: tasks per meta-update.
        frequencies: the interval of the tasks' frequencies.
    """
    return _experiment(
        meta_sgd,
        frequencies,
        num_tasks,
        inner_rate=inner_rate,
        outer_optimizer=optax.adam(outer_rate),
        num_updates=1,
        num_episodes=shots,
    )


def build_reptile(
    *,
    shots: int = 10,
    num_inner_updates: int = 8,
    inner_rate: float = 0.01,
    outer_rate: float = 0.3,
    num_tasks: int = 25,
    frequencies: tuple[float, float] = (1.0, 1.0),
) -> Experiment:
    """Reptile on sinusoids.

    Args:
        shots: examples to adapt to.
        num_inner_updates: inner updates, in training and in the test.
        inner_rate: of the inner updates.
        outer_rate: what part of the way to the adapted params to go.
        num_tasks: tasks per meta-update.
        frequencies: the interval of the tasks' frequencies.
    """
    return _experiment(
        reptile,
        frequencies,
        num_tasks,
        # Without the clip, five shots of a large sinusoid can throw it off for good.
        inner_optimizer=optax.chain(
            optimizers.clip_by_global_norm(10.0), optax.sgd(inner_rate)
        ),
        outer_optimizer=optax.sgd(outer_rate),
        num_updates=num_inner_updates,
        num_episodes=shots,
    )


def _recipe(name: str, method: str, build: Any, **fields: Any) -> Recipe:
    return Recipe(
        name=name,
        summary=f"{method} regresses sinusoids from a few examples of each",
        method=method,
        tasks="sinusoids",
        build=build,
        num_test_tasks=1000,
        optimum=None,
        expected_time="about a minute on two CPU cores",
        **fields,
    )


RECIPES = (
    _recipe(
        "maml-sinusoid",
        "MAML",
        build_maml,
        num_updates=6000,
        published={"MAML, 5 shots (Meta-SGD paper, 2017)": (None, -1.13)},
    ),
    _recipe(
        "metasgd-sinusoid",
        "Meta-SGD",
        build_metasgd,
        num_updates=6000,
        published={"Meta-SGD, 5 shots (Li et al., 2017)": (None, -0.90)},
    ),
    _recipe(
        "reptile-sinusoid", "Reptile", build_reptile, num_updates=6000, published={}
    ),
)
