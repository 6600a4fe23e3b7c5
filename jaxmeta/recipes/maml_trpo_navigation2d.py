"""MAML with a trust region on 2D navigation, in the protocol of ``navigation2d``.

What differs from the paper: two inner updates in training, with the outer loss a
weighted mean over both (the multi-step loss of Antoniou, Edwards and Storkey, "How to
train your MAML", 2019), whose divergences are bounded alike; second derivatives of the
likelihood ratio; normalised inner advantages of discount 0.98; a radius that falls; and
a small entropy bonus. Without the bonus the natural gradient soon makes the standard
deviation so small that the first update has little to learn from.
"""

from functools import partial

import optax

from jaxmeta import losses, policies
from jaxmeta.algorithms import maml_trpo
from jaxmeta.recipes.navigation2d import experiment, halving_sgd, recipe
from jaxmeta.recipes.types import Experiment


def build(
    *,
    hidden: tuple[int, ...] = (64, 64),
    initial_std: float = 0.8,
    inner_rate: float = 0.1,
    inner_discount: float = 0.98,
    radius: float = 0.03,
    decay_updates: int = 200,
    num_cg: int = 10,
    num_curvature_episodes: int = 4,
    entropy_coefficient: float = 0.01,
    outer_loss_weights: tuple[float, ...] = (0.65, 0.35),
    action_scale: float = 0.1,
    num_tasks: int = 20,
    num_episodes: int = 20,
    estimator: str = "lvc",
) -> Experiment:
    """MAML with a trust region on 2D navigation.

    Args:
        hidden: sizes of the policy's hidden layers.
        initial_std: initial standard deviation of the actions.
        inner_rate: rate of the first inner update; later ones take half of it.
        inner_discount: discount of the inner advantages.
        radius: of the trust region at first, in nats.
        decay_updates: meta-updates over which it falls to a twentieth, as a cosine.
        num_cg: conjugate-gradient iterations.
        num_curvature_episodes: of each task, that the curvature is estimated on.
        entropy_coefficient: of the outer loss; without it the policy soon explores too
            little for its first update.
        outer_loss_weights: weights of the outer loss after each inner update, which are
            as many as these.
        action_scale: actions are multiplied by this, then clipped to 0.1.
        num_tasks: tasks per meta-update.
        num_episodes: episodes per inner update.
        estimator: of the meta-gradient, one of ``jaxmeta.estimators``.
    """

    def method(distribution, policy, *, advantage, **options):
        outer_loss = losses.likelihood_ratio(
            policy, advantage, entropy_coefficient=entropy_coefficient
        )
        return maml_trpo(distribution, policy, outer_loss=outer_loss, **options)

    return experiment(
        method,
        partial(policies.mlp, hidden=hidden, initial_std=initial_std),
        inner_discount=inner_discount,
        action_scale=action_scale,
        num_tasks=num_tasks,
        num_updates=len(outer_loss_weights),
        num_episodes=num_episodes,
        inner_optimizer=halving_sgd(inner_rate),
        radius=optax.cosine_decay_schedule(radius, decay_updates, alpha=0.05),
        num_cg=num_cg,
        num_curvature_episodes=num_curvature_episodes,
        outer_loss_weights=outer_loss_weights,
        estimator=estimator,
    )


RECIPE = recipe("maml-trpo", "MAML with a trust region", build)._replace(
    num_updates=200, expected_time="4 minutes on two CPU cores"
)
