"""Methods of MAML's family on 2D navigation, in the protocol of ``maml-navigation2d``.

20 tasks of 20 episodes per meta-update, one inner update on normalised advantages over
a linear-feature baseline; tested with three updates of 40 episodes each. The settings
of ProMP, Meta-SGD, ANIL and CAVIA are those of MAML or of their papers; they are not
tuned.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import optax

from jaxmeta import advantages, policies, tasks
from jaxmeta.algorithms import anil, cavia, meta_sgd, promp
from jaxmeta.recipes.types import Experiment, Recipe
from jaxmeta.types import MetaLearner, Policy

PUBLISHED = {"MAML (Finn et al., 2017)": (-40.41, -11.68, -3.33, -3.23)}
OPTIMUM = (-0.506,) * 4  # of an oracle that knows the goal


def experiment(
    method: Callable[..., MetaLearner],
    make_policy: Callable[[Any], Policy],
    *,
    inner_discount: float,
    action_scale: float = 0.1,
    num_tasks: int = 20,
    num_updates: int = 1,
    num_episodes: int = 20,
    **options: Any,
) -> Experiment:
    """A method on 2D navigation; it is tested on three updates of 40 episodes.

    Args:
        method: one of ``jaxmeta.algorithms``.
        make_policy: makes its policy.
        inner_discount: discount of the inner advantages, which are normalised.
        action_scale: actions are multiplied by this, then clipped to 0.1.
        num_tasks: tasks per meta-update.
        num_updates: inner updates in training.
        num_episodes: episodes per inner update in training.
        **options: of the method.
    """
    distribution = tasks.navigation2d(action_scale=action_scale)
    policy = make_policy(distribution.environment)
    learner = partial(
        method,
        distribution,
        policy,
        advantage=advantages.linear_baseline(discount=0.99),
        inner_advantage=advantages.linear_baseline(
            discount=inner_discount, normalize=True
        ),
        num_tasks=num_tasks,
        **options,
    )
    # Goals are drawn from a continuum: those of the test were never trained on.
    return Experiment(
        learner=learner(num_updates=num_updates, num_episodes=num_episodes),
        test_learner=learner(num_updates=3, num_episodes=40),
        test_tasks=distribution,
    )


def halving_sgd(rate: float) -> optax.GradientTransformation:
    """Half the rate from the second inner update on, as in the paper."""
    return optax.sgd(optax.piecewise_constant_schedule(rate, {1: 0.5}))


def _adam(rate: float, decay_updates: int) -> optax.GradientTransformation:
    return optax.adam(optax.cosine_decay_schedule(rate, decay_updates, alpha=0.02))


def build_promp(
    *,
    hidden: tuple[int, ...] = (64, 64),
    initial_std: float = 0.8,
    inner_rate: float = 0.1,
    inner_discount: float = 0.98,
    outer_rate: float = 1e-3,
    clip: float = 0.3,
    num_epochs: int = 5,
    num_tasks: int = 20,
    num_episodes: int = 20,
) -> Experiment:
    """ProMP on 2D navigation.

    Args:
        hidden: sizes of the policy's hidden layers.
        initial_std: initial standard deviation of the actions.
        inner_rate: rate of the first inner update; later ones take half of it.
        inner_discount: discount of the inner advantages.
        outer_rate: of the outer Adam.
        clip: how far the outer probability ratio may move.
        num_epochs: outer steps on the same experience.
        num_tasks: tasks per meta-update.
        num_episodes: episodes per inner update.
    """
    return experiment(
        promp,
        partial(policies.mlp, hidden=hidden, initial_std=initial_std),
        inner_discount=inner_discount,
        num_tasks=num_tasks,
        num_episodes=num_episodes,
        inner_optimizer=halving_sgd(inner_rate),
        outer_optimizer=optax.adam(outer_rate),
        clip=clip,
        num_epochs=num_epochs,
    )


def build_metasgd(
    *,
    hidden: tuple[int, ...] = (48, 48),
    initial_std: float = 0.8,
    inner_rate: float = 0.1,
    inner_discount: float = 0.98,
    outer_rate: float = 4e-3,
    decay_updates: int = 500,
    num_tasks: int = 20,
    num_episodes: int = 20,
) -> Experiment:
    """Meta-SGD on 2D navigation.

    Args:
        hidden: sizes of the policy's hidden layers.
        initial_std: initial standard deviation of the actions.
        inner_rate: what the learned rates are at first.
        inner_discount: discount of the inner advantages.
        outer_rate: initial rate of the outer Adam.
        decay_updates: meta-updates over which it falls, as a cosine.
        num_tasks: tasks per meta-update.
        num_episodes: episodes per inner update.
    """
    return experiment(
        meta_sgd,
        partial(policies.mlp, hidden=hidden, initial_std=initial_std),
        inner_discount=inner_discount,
        num_tasks=num_tasks,
        num_episodes=num_episodes,
        inner_rate=inner_rate,
        outer_optimizer=_adam(outer_rate, decay_updates),
    )


def build_anil(
    *,
    hidden: tuple[int, ...] = (48, 48),
    initial_std: float = 0.8,
    inner_rate: float = 0.1,
    inner_discount: float = 0.98,
    outer_rate: float = 4e-3,
    decay_updates: int = 500,
    num_tasks: int = 20,
    num_episodes: int = 20,
) -> Experiment:
    """ANIL on 2D navigation.

    Args:
        hidden: sizes of the policy's hidden layers.
        initial_std: initial standard deviation of the actions.
        inner_rate: rate of the first inner update; later ones take half of it.
        inner_discount: discount of the inner advantages.
        outer_rate: initial rate of the outer Adam.
        decay_updates: meta-updates over which it falls, as a cosine.
        num_tasks: tasks per meta-update.
        num_episodes: episodes per inner update.
    """
    return experiment(
        anil,
        partial(policies.mlp, hidden=hidden, initial_std=initial_std),
        inner_discount=inner_discount,
        num_tasks=num_tasks,
        num_episodes=num_episodes,
        inner_optimizer=halving_sgd(inner_rate),
        outer_optimizer=_adam(outer_rate, decay_updates),
    )


def build_cavia(
    *,
    hidden: tuple[int, ...] = (48, 48),
    initial_std: float = 0.8,
    context_size: int = 5,
    inner_rate: float = 1.0,
    inner_discount: float = 0.98,
    outer_rate: float = 4e-3,
    decay_updates: int = 500,
    num_tasks: int = 20,
    num_episodes: int = 20,
) -> Experiment:
    """CAVIA on 2D navigation.

    Args:
        hidden: sizes of the policy's hidden layers.
        initial_std: initial standard deviation of the actions.
        context_size: of the context.
        inner_rate: rate of the first update of the context; later ones take half of it.
        inner_discount: discount of the inner advantages.
        outer_rate: initial rate of the outer Adam.
        decay_updates: meta-updates over which it falls, as a cosine.
        num_tasks: tasks per meta-update.
        num_episodes: episodes per inner update.
    """

    def make_policy(environment):
        make = partial(policies.mlp, hidden=hidden, initial_std=initial_std)
        return policies.with_context(make, environment, size=context_size)

    return experiment(
        cavia,
        make_policy,
        inner_discount=inner_discount,
        num_tasks=num_tasks,
        num_episodes=num_episodes,
        inner_optimizer=halving_sgd(inner_rate),
        outer_optimizer=_adam(outer_rate, decay_updates),
    )


def recipe(
    name: str, method: str, build: Callable[..., Experiment], minutes: str = "1 minute"
) -> Recipe:
    """A recipe on 2D navigation, with the paper's numbers beside it."""
    return Recipe(
        name=f"{name}-navigation2d",
        summary=f"{method} learns to find unobserved goals in the plane",
        method=method,
        tasks="2D navigation",
        build=build,
        num_updates=500,
        num_test_tasks=300,
        published=PUBLISHED,
        optimum=OPTIMUM,
        expected_time=f"{minutes} on one CPU core",
    )


RECIPES = (
    recipe("promp", "ProMP", build_promp, "4 minutes")._replace(num_updates=200),
    recipe("metasgd", "Meta-SGD", build_metasgd, "1 to 2 minutes"),
    recipe("anil", "ANIL", build_anil),
    recipe("cavia", "CAVIA", build_cavia),
)
