"""What recipes of agents that learn in their memory share: RL^2 by PPO."""

from collections.abc import Mapping, Sequence
from typing import Any

import optax

from jaxmeta import advantages, losses, policies
from jaxmeta.algorithms import rl2
from jaxmeta.policies import Core
from jaxmeta.recipes.types import Experiment
from jaxmeta.types import Policy, TaskDistribution

NUM_EPOCHS = 4


def experiment(
    distribution: TaskDistribution,
    core: Core,
    *,
    hidden: tuple[int, ...],
    num_tasks: int,
    num_episodes: int,
    outer_rate: float,
    decay_updates: int,
    discount: float,
    trace_decay: float,
    entropy_coefficient: float,
    value_coefficient: float,
    value_scale: float,
    num_minibatches: int,
    published: Mapping[str, Sequence[float | None]] | None = None,
    optimum: Sequence[float] | None = None,
) -> Experiment:
    """RL^2 by proximal policy optimization.

    The rate falls to zero as a cosine, the entropy bonus as a line, so that the policy
    is sure in the end.

    Args:
        distribution: of tasks.
        core: the memory.
        hidden: sizes of the hidden layers between memory and outputs.
        num_tasks: trials per update.
        num_episodes: episodes in a trial.
        outer_rate: of Adam, at first.
        decay_updates: updates until it and the entropy bonus are zero.
        discount: of the reward of a trial.
        trace_decay: lambda of the advantages.
        entropy_coefficient: weight of the entropy bonus, at first.
        value_coefficient: weight of the critic's squared error, in such units.
        value_scale: unit of the critic, about the spread of returns.
        num_minibatches: steps of the optimizer per epoch, of which there are four.
        published: as in Experiment.
        optimum: as in Experiment.
    """
    environment = distribution.environment
    policy = policies.recurrent(environment, core=core, hidden=hidden)
    if isinstance(environment.action, policies.MaskedDiscrete):
        policy = policies.masked(policy, environment)
    policy = policies.scale_values(policy, value_scale)
    learner = rl2(
        distribution,
        policy,
        num_tasks=num_tasks,
        num_episodes=num_episodes,
        **proximal(
            policy,
            num_episodes=num_episodes,
            outer_rate=outer_rate,
            decay_updates=decay_updates,
            discount=discount,
            trace_decay=trace_decay,
            entropy_coefficient=entropy_coefficient,
            value_coefficient=value_coefficient,
            value_scale=value_scale,
            num_minibatches=num_minibatches,
        ),
    )
    # Tasks are drawn from a continuum, or the test is of all there are.
    return Experiment(learner, learner, distribution, published, optimum)


def proximal(
    policy: Policy,
    *,
    num_episodes: int,
    outer_rate: float,
    decay_updates: int,
    discount: float,
    trace_decay: float,
    entropy_coefficient: float,
    value_coefficient: float,
    value_scale: float,
    num_minibatches: int,
) -> dict[str, Any]:
    """Arguments of ``rl2`` and ``varibad``: how the policy is optimized."""
    advantage = advantages.value_baseline(
        discount=discount,
        trace_decay=trace_decay,
        normalize=True,
        episodes_per_trial=num_episodes,
    )
    decay = optax.cosine_decay_schedule(
        outer_rate, decay_updates * NUM_EPOCHS * num_minibatches
    )
    return {
        "outer_optimizer": optax.chain(
            optax.clip_by_global_norm(0.5), optax.adam(decay, eps=1e-5)
        ),
        "outer_loss": losses.scheduled(
            lambda coefficient: losses.clipped_surrogate(
                policy,
                advantage,
                entropy_coefficient=coefficient,
                value_coefficient=value_coefficient / value_scale**2,
            ),
            optax.linear_schedule(entropy_coefficient, 0.0, decay_updates),
        ),
        "num_epochs": NUM_EPOCHS,
        "num_minibatches": num_minibatches,
    }
