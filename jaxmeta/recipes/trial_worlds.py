"""RL^2 where there is more to remember than which arm paid."""

from collections.abc import Callable, Sequence

from jaxmeta import policies, tasks
from jaxmeta.recipes.trials import experiment
from jaxmeta.recipes.types import Experiment, Recipe

# Per episode, of an agent that is told the MDP; a test computes it by value iteration.
ORACLE_TABULAR = 21.82


def build_tabular(
    *,
    num_episodes: int = 10,
    size: int = 64,
    hidden: tuple[int, ...] = (64,),
    num_tasks: int = 256,
    outer_rate: float = 3e-3,
    decay_updates: int = 1000,
    discount: float = 0.97,
    trace_decay: float = 0.5,
    entropy_coefficient: float = 0.04,
    value_coefficient: float = 0.1,
    value_scale: float = 5.0,
    num_minibatches: int = 8,
) -> Experiment:
    """RL^2 on random finite MDPs of 10 states, 5 actions and 10 steps.

    Args:
        num_episodes: episodes in a trial.
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
    return experiment(
        tasks.tabular_mdp(),
        policies.gru(size),
        hidden=hidden,
        num_tasks=num_tasks,
        num_episodes=num_episodes,
        outer_rate=outer_rate,
        decay_updates=decay_updates,
        discount=discount,
        trace_decay=trace_decay,
        entropy_coefficient=entropy_coefficient,
        value_coefficient=value_coefficient,
        value_scale=value_scale,
        num_minibatches=num_minibatches,
        published={},
        optimum=(ORACLE_TABULAR,) * num_episodes,
    )


def build_gridnavi(
    *,
    num_episodes: int = 4,
    size: int = 64,
    hidden: tuple[int, ...] = (64,),
    num_tasks: int = 64,
    outer_rate: float = 2e-3,
    decay_updates: int = 2500,
    discount: float = 0.99,
    trace_decay: float = 0.95,
    entropy_coefficient: float = 0.1,
    value_coefficient: float = 0.25,
    value_scale: float = 5.0,
    num_minibatches: int = 4,
) -> Experiment:
    """RL^2 on a grid with a hidden goal, in the protocol of VariBAD.

    Args:
        num_episodes: episodes in a trial.
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
    return experiment(
        tasks.gridnavi(),
        policies.gru(size),
        hidden=hidden,
        num_tasks=num_tasks,
        num_episodes=num_episodes,
        outer_rate=outer_rate,
        decay_updates=decay_updates,
        discount=discount,
        trace_decay=trace_decay,
        entropy_coefficient=entropy_coefficient,
        value_coefficient=value_coefficient,
        value_scale=value_scale,
        num_minibatches=num_minibatches,
        published={},
        optimum=(4.0, *(11.0714,) * (num_episodes - 1)),
    )


def build_darkroom(
    *,
    num_episodes: int = 2,
    size: int = 64,
    hidden: tuple[int, ...] = (64,),
    num_tasks: int = 128,
    outer_rate: float = 2e-3,
    decay_updates: int = 1000,
    discount: float = 0.99,
    trace_decay: float = 0.95,
    entropy_coefficient: float = 0.03,
    value_coefficient: float = 0.4,
    value_scale: float = 20.0,
    num_minibatches: int = 4,
) -> Experiment:
    """RL^2 in a dark room, whose one rewarding cell is to be found.

    Args:
        num_episodes: episodes in a trial.
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
    return experiment(
        tasks.dark_room(),
        policies.gru(size),
        hidden=hidden,
        num_tasks=num_tasks,
        num_episodes=num_episodes,
        outer_rate=outer_rate,
        decay_updates=decay_updates,
        discount=discount,
        trace_decay=trace_decay,
        entropy_coefficient=entropy_coefficient,
        value_coefficient=value_coefficient,
        value_scale=value_scale,
        num_minibatches=num_minibatches,
        published={},
        optimum=(50.5, *(91.99,) * (num_episodes - 1)),
    )


def build_cartpole(
    *,
    num_episodes: int = 3,
    size: int = 64,
    hidden: tuple[int, ...] = (64,),
    num_tasks: int = 64,
    outer_rate: float = 2e-3,
    decay_updates: int = 300,
    discount: float = 0.99,
    trace_decay: float = 0.95,
    entropy_coefficient: float = 0.01,
    value_coefficient: float = 0.4,
    value_scale: float = 20.0,
    num_minibatches: int = 4,
) -> Experiment:
    """RL^2 on cart-poles whose gravity and push differ, its sign included.

    Args:
        num_episodes: episodes in a trial.
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
    return experiment(
        tasks.from_gymnax(
            "CartPole-v1",
            horizon=100,
            params={
                "gravity": tasks.uniform(5, 15),
                "force_mag": tasks.uniform(-10, 10),
            },
        ),
        policies.gru(size),
        hidden=hidden,
        num_tasks=num_tasks,
        num_episodes=num_episodes,
        outer_rate=outer_rate,
        decay_updates=decay_updates,
        discount=discount,
        trace_decay=trace_decay,
        entropy_coefficient=entropy_coefficient,
        value_coefficient=value_coefficient,
        value_scale=value_scale,
        num_minibatches=num_minibatches,
    )


def _recipe(
    name: str,
    summary: str,
    tasks: str,
    build: Callable[..., Experiment],
    num_updates: int,
    optimum: Sequence[float] | None,
    expected_time: str = "not measured",
) -> Recipe:
    return Recipe(
        name=f"rl2-{name}",
        summary=summary,
        method="RL^2",
        tasks=tasks,
        build=build,
        num_updates=num_updates,
        num_test_tasks=10_000,
        published={},
        optimum=optimum,
        expected_time=expected_time,
    )


RECIPES = (
    _recipe(
        "tabular",
        "RL^2 learns to learn random finite MDPs within a trial",
        "random finite MDPs",
        build_tabular,
        1000,
        (ORACLE_TABULAR,) * 10,
        "10 minutes on one CPU core",
    ),
    _recipe(
        "gridnavi",
        "RL^2 searches a grid for its goal once, then goes straight to it",
        "GridNavi",
        build_gridnavi,
        2500,
        (4.0, 11.0714, 11.0714, 11.0714),
        "5 minutes on one CPU core",
    ),
    _recipe(
        "darkroom",
        "RL^2 searches a dark room, then goes straight to what it found",
        "DarkRoom",
        build_darkroom,
        1000,
        (50.5, 91.99),
        "14 minutes on one CPU core",
    ),
    _recipe(
        "cartpole",
        "RL^2 finds out which way a cart-pole is pushed while it balances",
        "cart-pole",
        build_cartpole,
        300,
        None,
        "2 minutes on one CPU core",
    ),
)
