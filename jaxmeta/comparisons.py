"""Agents of several kinds in the same tasks, each tuned first, and their scores."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np

from jaxmeta import checks
from jaxmeta.agents import Agent
from jaxmeta.evaluation import Interval, bootstrap_interval, interquartile_mean
from jaxmeta.life_curves import life_curves
from jaxmeta.types import Environment, Key, TaskDistribution

NUM_TESTS = 10  # in an agent's life


class Kind(NamedTuple):
    """A kind of agent whose numbers are still to be chosen.

    Attributes:
        make: ``numbers -> (agent, its meta-params)``.
        grid: what each number is chosen from.
    """

    make: Callable[[Mapping[str, float]], tuple[Agent, Any]]
    grid: Mapping[str, Sequence[float]]


class Found(NamedTuple):
    """How agents of a kind did.

    Attributes:
        curves: ``[num_agents, 11]`` returns, before an agent learned and after each
            tenth of its life.
        chosen: the numbers they lived by.
        tuning: the grid, each with the ``return`` it was chosen by.
    """

    curves: np.ndarray
    chosen: dict[str, float]
    tuning: list[dict[str, float]]


def tune(
    key: Key,
    distribution: TaskDistribution,
    kind: Kind,
    *,
    num_agents: int,
    **sizes: int,
) -> tuple[dict[str, float], list[dict[str, float]]]:
    """Choose by which numbers agents do best.

    That is by which their mean return over a life is highest.

    Args:
        key: consumed.
        distribution: of tasks.
        kind: of agents.
        num_agents: for each choice, all in the same tasks.
        sizes: ``num_updates``, ``num_environments`` and ``length`` of ``life_curves``.

    Returns:
        What was chosen, and the grid, each with the ``return`` it was chosen by.
    """
    options = [
        dict(zip(kind.grid, values, strict=True))
        for values in itertools.product(*kind.grid.values())
    ]
    if len(options) == 1:  # nothing to choose
        return options[0], []
    rows = [
        {
            **option,
            "return": float(
                _lives(key, distribution, kind, option, num_agents=num_agents, **sizes)[
                    :, 1:
                ].mean()
            ),
        }
        for option in options
    ]
    returns = np.array([row["return"] for row in rows])
    return options[int(np.argmax(np.nan_to_num(returns, nan=-np.inf)))], rows


def compare(
    key: Key,
    distribution: TaskDistribution,
    kinds: Mapping[str, Kind],
    *,
    num_agents: int,
    num_tuning_agents: int,
    **sizes: int,
) -> dict[str, Found]:
    """Choose the numbers of each kind of agent, then let new agents live by them.

    All kinds live in the same tasks.

    Args:
        key: consumed.
        distribution: of tasks.
        kinds: of agents, by name.
        num_agents: of each kind.
        num_tuning_agents: of each kind, for each choice of its numbers.
        sizes: as in :func:`tune`.
    """
    checks.positive_int("num_agents", num_agents)
    checks.positive_int("num_tuning_agents", num_tuning_agents)
    key_tune, key_test = jax.random.split(key)

    def found(kind):
        chosen, tuning = tune(
            key_tune, distribution, kind, num_agents=num_tuning_agents, **sizes
        )
        curves = _lives(
            key_test, distribution, kind, chosen, num_agents=num_agents, **sizes
        )
        return Found(curves, chosen, tuning)

    return {name: found(kind) for name, kind in kinds.items()}


def _lives(key, distribution, kind, numbers, *, num_agents, **sizes):
    key_tasks, key_lives = jax.random.split(key)
    agent, meta_params = kind.make(numbers)
    curves, _ = life_curves(
        key_lives,
        agent,
        meta_params,
        cast(Environment, distribution.environment),
        jax.vmap(distribution.sample)(jax.random.split(key_tasks, num_agents)),
        num_tests=NUM_TESTS,
        **sizes,
    )
    return np.asarray(curves)


def normalised(found: Mapping[str, Found]) -> dict[str, Interval | None]:
    """Scores at the end of life: zero is what agents begin with, one what A2C reaches.

    None for all where A2C has not learned, as then there is nothing to measure by. The
    intervals are those of the agents scored: zero and one are taken as they are.
    """
    reference = found["A2C"].curves
    begun = interquartile_mean(jnp.asarray(reference[:, 0]))
    reached = interval(reference[:, -1])
    if not reached.low > begun:
        return dict.fromkeys(found)
    return {
        name: interval((row.curves[:, -1] - begun) / (reached.mean - begun))
        for name, row in found.items()
    }


def interval(values: Any) -> Interval:
    """Interquartile mean over the first axis, with its 95% bootstrap interval."""
    return bootstrap_interval(
        jax.random.key(0), jnp.asarray(values), statistic=interquartile_mean
    )


def as_lists(interval: Interval) -> dict[str, Any]:
    """For JSON."""
    return {
        "low": interval.low.tolist(),
        "interquartile_mean": interval.mean.tolist(),
        "high": interval.high.tolist(),
    }
