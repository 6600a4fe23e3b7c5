"""RL^2 on Bernoulli bandits, where the best possible strategy is known."""

from typing import Any

from jaxmeta import checks, policies, tasks
from jaxmeta.policies import Core
from jaxmeta.recipes.trials import experiment
from jaxmeta.recipes.types import Experiment, Recipe

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


def build_bandit(
    *,
    num_arms: int = 5,
    num_pulls: int = 10,
    size: int = 32,
    hidden: tuple[int, ...] = (),
    num_tasks: int = 1024,
    outer_rate: float = 5e-3,
    decay_updates: int = 800,
    discount: float = 0.99,
    trace_decay: float = 0.3,
    entropy_coefficient: float = 0.01,
    value_coefficient: float = 0.5,
    value_scale: float = 1.0,
    num_minibatches: int = 4,
) -> Experiment:
    """RL^2 on Bernoulli bandits, in one trial of so many pulls.

    The defaults are for 10 pulls. For 100: ``--size 64 --hidden 64 --num-tasks 256
    --outer-rate 6e-3 --trace-decay 0.9 --entropy-coefficient 0.05 --value-coefficient
    0.4 --value-scale 20``.

    Args:
        num_arms: arms.
        num_pulls: pulls in a trial.
        size: of the gated recurrent unit.
        hidden: sizes of the hidden layers between memory and outputs.
        num_tasks: trials per update.
        outer_rate: of Adam, at first.
        decay_updates: updates until it and the entropy bonus are zero.
        discount: of the reward of a trial.
        trace_decay: lambda of the advantages.
        entropy_coefficient: weight of the entropy bonus, at first.
        value_coefficient: weight of the critic's squared error, in such units.
        value_scale: unit of the critic, about the spread of returns.
        num_minibatches: steps of the optimizer per epoch, of which there are four.
    """
    num_pulls = checks.positive_int("num_pulls", num_pulls)
    return _experiment(
        num_arms,
        num_pulls,
        policies.gru(size),
        hidden=hidden,
        num_tasks=num_tasks,
        outer_rate=outer_rate,
        decay_updates=decay_updates,
        discount=discount,
        trace_decay=trace_decay,
        entropy_coefficient=entropy_coefficient,
        value_coefficient=value_coefficient,
        value_scale=value_scale,
        num_minibatches=num_minibatches,
    )


def build_attention(
    *,
    num_arms: int = 5,
    num_pulls: int = 10,
    size: int = 32,
    hidden: tuple[int, ...] = (),
    num_tasks: int = 512,
    outer_rate: float = 1e-3,
    decay_updates: int = 400,
    discount: float = 0.99,
    trace_decay: float = 0.3,
    entropy_coefficient: float = 0.01,
    value_coefficient: float = 0.5,
    value_scale: float = 1.0,
    num_minibatches: int = 4,
) -> Experiment:
    """RL^2 with causal attention for a memory, on Bernoulli bandits.

    Args:
        num_arms: arms.
        num_pulls: pulls in a trial.
        size: of the transformer.
        hidden: sizes of the hidden layers between memory and outputs.
        num_tasks: trials per update.
        outer_rate: of Adam, at first.
        decay_updates: updates until it and the entropy bonus are zero.
        discount: of the reward of a trial.
        trace_decay: lambda of the advantages.
        entropy_coefficient: weight of the entropy bonus, at first.
        value_coefficient: weight of the critic's squared error, in such units.
        value_scale: unit of the critic, about the spread of returns.
        num_minibatches: steps of the optimizer per epoch, of which there are four.
    """
    num_pulls = checks.positive_int("num_pulls", num_pulls)
    return _experiment(
        num_arms,
        num_pulls,
        policies.attention(size, length=num_pulls),
        hidden=hidden,
        num_tasks=num_tasks,
        outer_rate=outer_rate,
        decay_updates=decay_updates,
        discount=discount,
        trace_decay=trace_decay,
        entropy_coefficient=entropy_coefficient,
        value_coefficient=value_coefficient,
        value_scale=value_scale,
        num_minibatches=num_minibatches,
    )


def _experiment(
    num_arms: int, num_pulls: int, core: Core, **options: Any
) -> Experiment:
    """One trial of so many pulls, beside what is known of it."""
    optimum = BAYES_OPTIMAL.get((num_pulls, num_arms))
    rows = BANDITS.get((num_pulls, num_arms), {})
    return experiment(
        tasks.bernoulli_bandit(num_arms, horizon=num_pulls),
        core,
        num_episodes=1,
        published={label: (value,) for label, value in rows.items()},
        optimum=None if optimum is None else (optimum,),
        **options,
    )


def _recipe(
    name: str,
    summary: str,
    method: str,
    build: Any,
    num_updates: int,
    expected_time: str,
) -> Recipe:
    return Recipe(
        name=name,
        summary=summary,
        method=method,
        tasks="Bernoulli bandit",
        build=build,
        num_updates=num_updates,
        num_test_tasks=100_000,
        published={label: (value,) for label, value in BANDITS[10, 5].items()},
        optimum=(BAYES_OPTIMAL[10, 5],),
        expected_time=expected_time,
    )


RECIPES = (
    _recipe(
        "rl2-bandit",
        "RL^2 learns to explore the arms of a bandit",
        "RL^2",
        build_bandit,
        800,
        "3 minutes on one CPU core",
    ),
    _recipe(
        "attention-bandit",
        "an agent that looks back with attention explores the arms of a bandit",
        "RL^2 with attention",
        build_attention,
        400,
        "1.5 minutes on one CPU core",
    ),
)
