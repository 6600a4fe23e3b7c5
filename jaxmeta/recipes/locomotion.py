"""MAML on simulated bodies, in the protocol of Finn, Abbeel and Levine (2017).

40 tasks of 20 episodes (40 of ants with a direction) of 200 steps per meta-update, one
inner update of rate 0.1 on normalised advantages over a linear-feature baseline, a
trust region of radius 0.01 outside, two layers of 100 units; tested with three updates
of as many episodes, of half the rate from the second on. On half-cheetahs an action
lasts one physics step of 0.01 s, as it did for their published numbers;
``frame_skip=5`` gives the tasks of ProMP and Gymnasium, as ants have them by default.
Walkers are ProMP's.

What differs from the paper: what ``HalfCheetahDirection`` says of the environment;
second derivatives of the likelihood ratio; outer advantages that are normalised; tanh
units and a radius of .01, with which it learned faster than with the rectified units
and .02 of the original code; the curvature of the trust region is estimated on a part
of the episodes.
"""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

import jax

from jaxmeta import advantages, checks, losses, policies, tasks
from jaxmeta.algorithms import maml_trpo
from jaxmeta.recipes.navigation2d import halving_sgd
from jaxmeta.recipes.types import Experiment, Recipe
from jaxmeta.types import TaskDistribution

ACTIVATIONS = {"tanh": jax.nn.tanh, "relu": jax.nn.relu}


def _build(
    make: Callable[..., TaskDistribution], steps_per_action: int, episodes: int
) -> Callable[..., Experiment]:
    """The builder of a recipe on ``make(frame_skip=..., horizon=...)``."""

    def build(
        *,
        frame_skip: int = steps_per_action,
        horizon: int = 200,
        hidden: tuple[int, ...] = (100, 100),
        initial_std: float = 1.0,
        inner_rate: float = 0.1,
        inner_discount: float = 0.99,
        outer_discount: float = 0.99,
        radius: float = 0.01,
        activation: str = "tanh",
        num_cg: int = 10,
        num_curvature_episodes: int = 4,
        entropy_coefficient: float = 0.0,
        num_tasks: int = 40,
        num_episodes: int = episodes,
        num_episodes_test: int = episodes,
        estimator: str = "lvc",
    ) -> Experiment:
        """MAML with a trust region on simulated bodies.

        Args:
            frame_skip: physics steps per action.
            horizon: steps in an episode.
            hidden: sizes of the policy's hidden layers.
            initial_std: initial standard deviation of the actions.
            inner_rate: rate of the first inner update; later ones take half of it.
            inner_discount: discount of the inner advantages.
            outer_discount: discount of the outer advantages.
            radius: of the trust region, in nats.
            activation: of the hidden layers, tanh or relu.
            num_cg: conjugate-gradient iterations.
            num_curvature_episodes: of each task, that the curvature is estimated on.
            entropy_coefficient: of the outer loss.
            num_tasks: tasks per meta-update.
            num_episodes: episodes per inner update.
            num_episodes_test: episodes per inner update at test time.
            estimator: of the meta-gradient, one of ``jaxmeta.estimators``.
        """
        return _experiment(
            make(frame_skip=frame_skip, horizon=horizon),
            hidden=hidden,
            initial_std=initial_std,
            inner_rate=inner_rate,
            inner_discount=inner_discount,
            outer_discount=outer_discount,
            radius=radius,
            activation=activation,
            num_cg=num_cg,
            num_curvature_episodes=num_curvature_episodes,
            entropy_coefficient=entropy_coefficient,
            num_tasks=num_tasks,
            num_episodes=num_episodes,
            num_episodes_test=num_episodes_test,
            estimator=estimator,
        )

    return build


def _experiment(
    distribution: TaskDistribution,
    *,
    hidden: tuple[int, ...],
    initial_std: float,
    inner_rate: float,
    inner_discount: float,
    outer_discount: float,
    radius: float,
    activation: str,
    num_cg: int,
    num_curvature_episodes: int,
    entropy_coefficient: float,
    num_tasks: int,
    num_episodes: int,
    num_episodes_test: int,
    estimator: str,
) -> Experiment:
    """MAML-TRPO on such tasks; it is tested on three updates."""
    checks.one_of("activation", activation, ACTIVATIONS)
    policy = policies.mlp(
        distribution.environment,
        hidden=hidden,
        activation=ACTIVATIONS[activation],
        initial_std=initial_std,
    )
    outer_loss = losses.likelihood_ratio(
        policy,
        advantages.linear_baseline(discount=outer_discount, normalize=True),
        entropy_coefficient=entropy_coefficient,
    )
    learner = partial(
        maml_trpo,
        distribution,
        policy,
        inner_optimizer=halving_sgd(inner_rate),
        inner_advantage=advantages.linear_baseline(
            discount=inner_discount, normalize=True
        ),
        outer_loss=outer_loss,
        radius=radius,
        num_cg=num_cg,
        num_curvature_episodes=min(num_curvature_episodes, num_episodes),
        num_tasks=num_tasks,
        estimator=estimator,
    )
    # Both directions are trained on, as in the paper; velocities are of a continuum.
    return Experiment(
        learner=learner(num_updates=1, num_episodes=num_episodes),
        test_learner=learner(
            num_updates=3,
            num_episodes=num_episodes_test,
            num_curvature_episodes=min(num_curvature_episodes, num_episodes_test),
        ),
        test_tasks=distribution,
    )


def _recipe(
    name: str,
    summary: str,
    body: str,
    make: Callable[..., TaskDistribution],
    steps_per_action: int,
    *,
    episodes: int = 20,
    expected_time: str = "not measured",
    published: Mapping[str, tuple[float, ...]] = MappingProxyType({}),
) -> Recipe:
    return Recipe(
        name=f"maml-{name}",
        summary=summary,
        method="MAML with a trust region",
        tasks=body,
        build=_build(make, steps_per_action, episodes),
        num_updates=500,
        num_test_tasks=40,
        published=published,
        optimum=None,
        expected_time=expected_time,
    )


RECIPES = (
    _recipe(
        "halfcheetah-direction",
        "MAML learns to run forwards or backwards after one gradient step",
        "half-cheetah direction",
        tasks.half_cheetah_direction,
        1,
        expected_time="5 minutes on an H100",
        published={"MAML (Finn et al., 2017)": (-50.7, 293.2, 313.5, 315.7)},
    ),
    _recipe(
        "halfcheetah-velocity",
        "MAML learns to run at a velocity after one gradient step",
        "half-cheetah velocity",
        tasks.half_cheetah_velocity,
        1,
    ),
    _recipe(
        "ant-direction",
        "MAML learns to walk forwards or backwards after one gradient step",
        "ant direction",
        tasks.ant_direction,
        5,
        episodes=40,
    ),
    _recipe(
        "ant-goal",
        "MAML learns to walk to a point after one gradient step",
        "ant goal",
        tasks.ant_goal,
        5,
    ),
    _recipe(
        "walker-params",
        "MAML learns to walk with a body of other masses after one gradient step",
        "walker of random parameters",
        tasks.walker_params,
        4,
    ),
)
