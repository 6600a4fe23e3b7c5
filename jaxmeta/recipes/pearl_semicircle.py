"""PEARL on a half circle of goals, which posterior sampling finds in a few tries.

The goals are those of Rakelly et al., "Efficient Off-Policy Meta-Reinforcement Learning
via Probabilistic Context Variables" (2019), in episodes of 20 steps, with five latents
and a discount of 0.9. It departs from the settings of the authors' code, for fewer
environment steps and gradient steps, in

- the reward: minus the distance for all, or with ``sparse`` the sparse one for all,
  where theirs infers from the sparse one and trains actor and critics on the dense one;
- the tasks: drawn anew for every meta-update, where theirs trains on 80 of them;
- the gradient steps: 50 per meta-update on 32 tasks of 32 steps, rate 3e-3 falling to
  zero, where theirs has 1,000 on 16 tasks of 256 steps, rate 3e-4;
- the weight of the divergence: 0.001, where theirs is 1, and rewards count 100 times;
- the temperature: learned for a target entropy of -4, where theirs is fixed;
- the networks: two layers of 64, where theirs have three of 300; the targets are those
  of two critics that follow at a rate of 0.02, theirs of a state value at 0.005.
"""

from functools import partial

import optax

from jaxmeta import policies, references, tasks
from jaxmeta.algorithms import pearl
from jaxmeta.recipes.types import Experiment, Recipe


def build(
    *,
    sparse: bool = False,
    hidden: tuple[int, ...] = (64, 64),
    num_latents: int = 5,
    num_tasks: int = 8,
    num_inner_updates: int = 2,
    num_updates_test: int = 3,
    capacity: int = 1000,
    num_gradient_steps: int = 50,
    replayed_tasks: int = 32,
    batch_size: int = 32,
    outer_rate: float = 3e-3,
    decay_updates: int = 600,
    discount: float = 0.9,
    target_rate: float = 0.02,
    kl_coefficient: float = 0.001,
    temperature: float = 0.1,
    target_entropy: float = -4.0,
) -> Experiment:
    """PEARL on goals of the half circle, one trajectory to each draw of the posterior.

    Args:
        sparse: pay near the goal only.
        hidden: sizes of the hidden layers of policy, critics and encoder.
        num_latents: size of the latent.
        num_tasks: new tasks per meta-update.
        num_inner_updates: draws of the posterior in a training task.
        num_updates_test: draws of it in a test task.
        capacity: tasks in the replay.
        num_gradient_steps: per meta-update.
        replayed_tasks: tasks of a gradient step.
        batch_size: steps of each of them.
        outer_rate: of Adam, at first; it falls to zero as a cosine.
        decay_updates: meta-updates until it is zero.
        discount: of the reward.
        target_rate: of the target critics.
        kl_coefficient: of the information the latent holds.
        temperature: of the entropy, at first.
        target_entropy: what the temperature is learned for, in nats.
    """
    distribution = tasks.semicircle(sparse=sparse)
    policy = policies.with_context(
        partial(policies.squashed, hidden=hidden),
        distribution.environment,
        size=num_latents,
    )
    rate = optax.cosine_decay_schedule(outer_rate, decay_updates * num_gradient_steps)
    learner, test_learner = (
        pearl(
            distribution,
            policy,
            outer_optimizer=optax.adam(rate),
            num_tasks=num_tasks,
            num_updates=draws,
            capacity=capacity,
            num_gradient_steps=num_gradient_steps,
            replayed_tasks=replayed_tasks,
            batch_size=batch_size,
            discount=discount,
            target_rate=target_rate,
            kl_coefficient=kl_coefficient,
            temperature=temperature,
            target_entropy=target_entropy,
            critic_hidden=hidden,
            encoder_hidden=hidden,
        )
        for draws in (num_inner_updates, num_updates_test)
    )
    oracle = references.semicircle_oracle(sparse=sparse)
    # Goals are drawn from a continuum: those of the test were never trained on.
    return Experiment(
        learner, test_learner, distribution, {}, (oracle,) * (num_updates_test + 1)
    )


RECIPE = Recipe(
    name="pearl-semicircle",
    summary="PEARL infers a goal on a half circle from one trajectory",
    method="PEARL",
    tasks="half circle of goals",
    build=build,
    num_updates=600,
    num_test_tasks=1000,
    published={},
    optimum=(references.semicircle_oracle(),) * 4,
    expected_time="4 minutes on one CPU core",
)
