"""RL^2 and its kin: agents that learn in their memory, on tasks of known optimum."""

from collections.abc import Mapping, Sequence

import optax

from jaxmeta import advantages, losses, policies, tasks
from jaxmeta.algorithms import rl2
from jaxmeta.policies import Core
from jaxmeta.recipes.types import Experiment, Recipe
from jaxmeta.types import TaskDistribution

# Total reward by (pulls, arms): Duan et al., 2016, and Mishra et al., 2018, table 1.
BANDITS = {
    (10, 5): {"RL^2": 6.7, "SNAIL": 6.6, "Gittins index": 6.6},
    (10, 10): {"RL^2": 6.7, "SNAIL": 6.7, "Gittins index": 6.6},
    (10, 50): {"RL^2": 6.8, "SNAIL": 6.7, "Gittins index": 6.5},
    (100, 5): {"RL^2": 78.7, "SNAIL": 79.1, "Gittins index": 78.3},
    (100, 10): {"RL^2": 83.5, "SNAIL": 83.5, "Gittins index": 82.8},
    (100, 50): {"RL^2": 84.9, "SNAIL": 85.1, "Gittins index": 85.2},
    (500, 5): {"RL^2": 401.6, "SNAIL": 408.1, "Gittins index": 405.8},
    (500, 10): {"RL^2": 432.5, "SNAIL": 432.4, "Gittins index": 437.8},
    (500, 50): {"RL^2": 438.9, "SNAIL": 442.6, "Gittins index": 463.7},
}
# Of the Bayes-optimal strategy, by dynamic programming.
BAYES_OPTIMAL = {(10, 5): 6.65999, (10, 10): 6.71395, (10, 50): 6.71395}


def experiment(
    distribution: TaskDistribution,
    core: Core,
    *,
    num_tasks: int,
    num_episodes: int,
    outer_rate: float,
    num_steps: int,
    discount: float,
    trace_decay: float,
    entropy_coefficient: float,
    num_epochs: int,
    num_minibatches: int,
    published: Mapping[str, Sequence[float | None]] | None = None,
    optimum: Sequence[float] | None = None,
) -> Experiment:
    """RL^2 by proximal policy optimization, its rate falling to zero as a cosine.

    Args:
        distribution: of tasks.
        core: the memory.
        num_tasks: trials per update.
        num_episodes: episodes in a trial.
        outer_rate: of Adam, at first.
        num_steps: updates until it is zero.
        discount: of the reward of a trial.
        trace_decay: lambda of the advantages.
        entropy_coefficient: weight of the entropy bonus.
        num_epochs: how often an update learns from its trials.
        num_minibatches: steps per epoch.
        published: as in Experiment.
        optimum: as in Experiment.
    """
    policy = policies.recurrent(distribution.environment, core=core)
    advantage = advantages.value_baseline(
        discount=discount,
        trace_decay=trace_decay,
        normalize=True,
        episodes_per_trial=num_episodes,
    )
    decay = optax.cosine_decay_schedule(
        outer_rate, num_steps * num_epochs * num_minibatches
    )
    learner = rl2(
        distribution,
        policy,
        outer_optimizer=optax.chain(
            optax.clip_by_global_norm(0.5), optax.adam(decay, eps=1e-5)
        ),
        num_tasks=num_tasks,
        num_episodes=num_episodes,
        outer_loss=losses.clipped_surrogate(
            policy, advantage, entropy_coefficient=entropy_coefficient
        ),
        num_epochs=num_epochs,
        num_minibatches=num_minibatches,
    )
    # Tasks are drawn from a continuum, or the test is of all there are.
    return Experiment(learner, learner, distribution, published, optimum)


def build_bandit(
    *,
    num_arms: int = 5,
    num_pulls: int = 10,
    size: int = 32,
    num_tasks: int = 1024,
    outer_rate: float = 5e-3,
    decay_updates: int = 400,
    discount: float = 0.99,
    trace_decay: float = 0.3,
    entropy_coefficient: float = 0.01,
    num_epochs: int = 4,
    num_minibatches: int = 4,
) -> Experiment:
    """RL^2 on Bernoulli bandits, in one trial of so many pulls.

    Args:
        num_arms: arms.
        num_pulls: pulls in a trial.
        size: of the gated recurrent unit.
        num_tasks: trials per update.
        outer_rate: of Adam, at first.
        decay_updates: updates until it is zero.
        discount: of the reward of a trial.
        trace_decay: lambda of the advantages.
        entropy_coefficient: weight of the entropy bonus.
        num_epochs: how often an update learns from its trials.
        num_minibatches: steps of the optimizer per epoch.
    """
    optimum = BAYES_OPTIMAL.get((num_pulls, num_arms))
    rows = BANDITS.get((num_pulls, num_arms), {})
    return experiment(
        tasks.bernoulli_bandit(num_arms, horizon=num_pulls),
        policies.gru(size),
        num_tasks=num_tasks,
        num_episodes=1,
        outer_rate=outer_rate,
        num_steps=decay_updates,
        discount=discount,
        trace_decay=trace_decay,
        entropy_coefficient=entropy_coefficient,
        num_epochs=num_epochs,
        num_minibatches=num_minibatches,
        published={label: (value,) for label, value in rows.items()},
        optimum=None if optimum is None else (optimum,),
    )


BANDIT = Recipe(
    name="rl2-bandit",
    summary="RL^2 learns to explore the arms of a bandit, as its optimal strategy does",
    method="RL^2",
    tasks="Bernoulli bandit",
    build=build_bandit,
    num_updates=400,
    num_test_tasks=100_000,
    published={label: (value,) for label, value in BANDITS[10, 5].items()},
    optimum=(BAYES_OPTIMAL[10, 5],),
    expected_time="1 minute on two CPU cores",
)
