"""MAML on 2D navigation, the first benchmark of meta-reinforcement learning.

Protocol of Finn, Abbeel and Levine, "Model-Agnostic Meta-Learning for Fast Adaptation
of Deep Networks" (2017), section 5.3: 20 tasks of 20 trajectories per meta-update,
horizon 100, one inner step of rate 0.1, linear-feature baseline, discount 0.99; tested
with 40 trajectories per step, of rate 0.1 at first and 0.05 from then on. The outer
step is Adam on the policy-gradient loss, where the paper used TRPO.
"""

import optax

from jaxmeta import policies, tasks
from jaxmeta.algorithms import maml
from jaxmeta.recipes.types import Experiment, Recipe


def build(
    *,
    action_scale: float = 0.1,
    hidden: tuple[int, ...] = (64, 64),
    inner_rate: float = 0.1,
    outer_rate: float = 2e-3,
    num_tasks: int = 20,
    num_updates_inner: int = 1,
    num_episodes: int = 20,
    num_episodes_test: int = 40,
    num_updates_test: int = 3,
    first_order: bool = False,
) -> Experiment:
    """MAML on 2D navigation.

    Args:
        action_scale: actions are multiplied by this, then clipped to 0.1.
        hidden: sizes of the policy's hidden layers.
        inner_rate: rate of the first inner step; later ones take half of it.
        outer_rate: rate of the outer Adam.
        num_tasks: tasks per meta-update.
        num_updates_inner: inner steps per task.
        num_episodes: episodes per inner step.
        num_episodes_test: episodes per inner step at test time.
        num_updates_test: inner steps at test time.
        first_order: drop the second derivatives.
    """
    distribution = tasks.navigation2d(action_scale=action_scale)
    policy = policies.mlp(distribution.environment, hidden=hidden)
    rate = optax.piecewise_constant_schedule(inner_rate, {1: 0.5})

    def learner(num_updates, num_episodes):
        return maml(
            distribution,
            policy,
            inner_optimizer=optax.sgd(rate),
            outer_optimizer=optax.adam(outer_rate),
            num_tasks=num_tasks,
            num_updates=num_updates,
            num_episodes=num_episodes,
            first_order=first_order,
        )

    # Goals are drawn from a continuum: those of the test were never trained on.
    return Experiment(
        learner=learner(num_updates_inner, num_episodes),
        test_learner=learner(num_updates_test, num_episodes_test),
        test_tasks=distribution,
    )


RECIPE = Recipe(
    name="maml-navigation2d",
    summary="MAML learns to find unobserved goals in the plane in one gradient step",
    method="MAML",
    tasks="2D navigation",
    build=build,
    num_updates=400,
    num_test_tasks=200,
    published={"MAML (Finn et al., 2017)": (-40.41, -11.68, -3.33, -3.23)},
    optimum=(-0.506,) * 4,  # of an oracle that knows the goal; see tests/environments
    expected_time="about 1 minute on two CPU cores",
)
