"""MAML on 2D navigation, the first benchmark of meta-reinforcement learning.

Protocol of Finn, Abbeel and Levine, "Model-Agnostic Meta-Learning for Fast Adaptation
of Deep Networks" (2017), section 5.3: 20 tasks of 20 trajectories per meta-update,
horizon 100, inner steps of rate 0.1 (0.05 from the second on) on normalised advantages
over a linear-feature baseline; tested with 40 trajectories per step. It departs from
the paper in

- the outer step: Adam, where the paper has a trust region;
- the outer loss: after each of two inner steps, where the paper trains the first alone
  (``outer_loss_weights=(1.0,)``);
- the second derivatives: of the likelihood ratio, which keeps the curvature that plain
  autodiff drops;
- the inner discount: 0.98, where the paper has 0.99 throughout, as less of what an
  advantage sums up is then noise of later actions;
- the policy: two layers of 48 tanh units, initial standard deviation 0.8.
"""

import optax

from jaxmeta import advantages, policies, tasks
from jaxmeta.algorithms import maml
from jaxmeta.recipes.types import Experiment, Recipe

_NUM_UPDATES = 540


def build(
    *,
    action_scale: float = 0.1,
    hidden: tuple[int, ...] = (48, 48),
    initial_std: float = 0.8,
    inner_rate: float = 0.1,
    inner_discount: float = 0.98,
    outer_rate: float = 4e-3,
    outer_discount: float = 0.99,
    decay_updates: int = _NUM_UPDATES,
    outer_loss_weights: tuple[float, ...] = (0.6, 0.4),
    num_tasks: int = 20,
    num_episodes: int = 20,
    num_episodes_test: int = 40,
    num_updates_test: int = 3,
    estimator: str = "lvc",
) -> Experiment:
    """MAML on 2D navigation.

    Args:
        action_scale: actions are multiplied by this, then clipped to 0.1.
        hidden: sizes of the policy's hidden layers.
        initial_std: initial standard deviation of the actions.
        inner_rate: rate of the first inner step; later ones take half of it.
        inner_discount: discount of the inner advantages.
        outer_rate: initial rate of the outer Adam.
        outer_discount: discount of the outer advantages.
        decay_updates: meta-updates over which the outer rate falls, as a cosine.
        outer_loss_weights: weights of the outer loss after each inner step, which are
            as many as these.
        num_tasks: tasks per meta-update.
        num_episodes: episodes per inner step.
        num_episodes_test: episodes per inner step at test time.
        num_updates_test: inner steps at test time.
        estimator: of the meta-gradient, one of ``jaxmeta.estimators``.
    """
    distribution = tasks.navigation2d(action_scale=action_scale)
    policy = policies.mlp(
        distribution.environment, hidden=hidden, initial_std=initial_std
    )
    inner_advantage = advantages.linear_baseline(
        discount=inner_discount, normalize=True
    )
    outer_advantage = advantages.linear_baseline(discount=outer_discount)
    inner_schedule = optax.piecewise_constant_schedule(inner_rate, {1: 0.5})
    outer_schedule = optax.cosine_decay_schedule(outer_rate, decay_updates, alpha=0.02)

    def learner(num_updates, num_episodes, weights=(1.0,)):
        return maml(
            distribution,
            policy,
            inner_optimizer=optax.sgd(inner_schedule),
            outer_optimizer=optax.adam(outer_schedule),
            num_tasks=num_tasks,
            num_updates=num_updates,
            num_episodes=num_episodes,
            estimator=estimator,
            advantage=outer_advantage,
            inner_advantage=inner_advantage,
            outer_loss_weights=weights,
            rematerialize=False,  # the activations of so few inner steps are few
        )

    # Goals are drawn from a continuum: those of the test were never trained on.
    return Experiment(
        learner=learner(len(outer_loss_weights), num_episodes, outer_loss_weights),
        test_learner=learner(num_updates_test, num_episodes_test),
        test_tasks=distribution,
    )


RECIPE = Recipe(
    name="maml-navigation2d",
    summary="MAML learns to find unobserved goals in the plane in one gradient step",
    method="MAML",
    tasks="2D navigation",
    build=build,
    num_updates=_NUM_UPDATES,
    num_test_tasks=300,
    published={"MAML (Finn et al., 2017)": (-40.41, -11.68, -3.33, -3.23)},
    # Of an oracle that knows the goal; tests/test_environments.py plays it.
    optimum=(-0.506,) * 4,
    expected_time="about 2 minutes on two CPU cores",
)
