"""A learned rule in environments it was not learned in, beside rules that are known."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import optax

from jaxmeta import agents, checks, comparisons, files, runs, tasks
from jaxmeta.agents import Numbers
from jaxmeta.comparisons import Kind
from jaxmeta.recipes.types import Experiment
from jaxmeta.types import Environment, Params, TaskDistribution

ENTROPY_COEFFICIENTS = (0.0, 0.01)


def evaluate(
    directory: Path,
    environment: str,
    *,
    seed: int = 0,
    num_agents: int = 16,
    num_tuning_agents: int = 4,
    num_updates: int = 500,
    num_environments: int = 16,
    length: int = 20,
    hidden: tuple[int, ...] = (64, 64),
    rates: tuple[float, ...] = agents.RATES,
    horizon: int | None = None,
) -> dict[str, Any]:
    """Take the rule of a run to any gymnax environment, beside tuned A2C and PPO.

    New agents, networks for that environment, learn for a lifetime by the rule, which
    does not change, and as many by A2C and PPO on the same number of steps. The numbers
    each kind leaves open are chosen first, on agents that are not reported. What is
    found is written to ``DIR/ENVIRONMENT.json`` too.

    Args:
        directory: of a run of a rule, such as of ``lpg-gridworld``.
        environment: a gymnax id.
        seed: of everything random.
        num_agents: of each kind.
        num_tuning_agents: of each kind, for each choice of its numbers.
        num_updates: in an agent's life, a multiple of 10.
        num_environments: copies of the environment each learns in, a multiple of 4.
        length: steps in each copy per update.
        hidden: sizes of an agent's hidden layers.
        rates: to choose that of Adam from, for A2C, PPO, and a rule that does not say
            how far to move; the entropy bonus of A2C and PPO is chosen with it.
        horizon: steps in an episode; by default those of the environment.

    Returns:
        What was written. For each kind of agent: the ``return`` before it learned and
        after each tenth of its life, as the interquartile mean over agents with its
        95% bootstrap interval; the ``score`` at the end of life, in which agents that
        have not learned have zero and A2C one, or None if A2C has not learned; what
        was ``chosen`` and the ``tuning``.

    Raises:
        ValueError: if the directory holds no run of a rule, there is no such
            environment, its actions are continuous, or a number is out of range.
    """
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed must lie in [0, 2**32), got {seed}")
    recipe, config, experiment, state = runs.restore(directory)
    distribution = tasks.from_gymnax(environment, horizon=horizon)
    sizes = {
        "num_updates": num_updates,
        "num_environments": num_environments,
        "length": length,
    }
    known = known_kinds(
        distribution, hidden=hidden, rates=rates, num_environments=num_environments
    )
    rule = learned_kind(
        experiment,
        state.meta_params,
        distribution,
        name=f"{directory} holds a run of {recipe.name}",
        hidden=hidden,
        rates=rates,
        num_updates=num_updates,
    )
    with jax.default_matmul_precision(config["matmul_precision"]):
        found = comparisons.compare(
            jax.random.key(seed),
            distribution,
            {"learned rule": rule, **known},
            num_agents=num_agents,
            num_tuning_agents=num_tuning_agents,
            **sizes,
        )
    result = {
        "recipe": config["recipe"],
        "environment": environment,
        "versions": runs.versions(),
        "device": runs.device(),
        "seed": seed,
        "num_meta_updates": int(state.step),
        "num_agents": num_agents,
        "num_tuning_agents": num_tuning_agents,
        **sizes,
        "hidden": list(hidden),
        "horizon": cast(Environment, distribution.environment).horizon,
        "environment_steps": num_updates * num_environments * length,
        "return": {
            name: comparisons.as_lists(comparisons.interval(row.curves))
            for name, row in found.items()
        },
        "score": {
            name: score and comparisons.as_lists(score)
            for name, score in comparisons.normalised(found).items()
        },
        "chosen": {k: row.chosen for k, row in found.items()},
        "tuning": {k: row.tuning for k, row in found.items()},
    }
    files.write_json(directory / f"{environment}.json", result)
    return result


def known_kinds(
    distribution: TaskDistribution,
    *,
    hidden: tuple[int, ...],
    rates: Sequence[float],
    num_environments: int,
) -> dict[str, Kind]:
    """A2C and PPO, to be tuned over ``rates`` and ``ENTROPY_COEFFICIENTS``."""
    if num_environments % 4:
        raise ValueError(
            "num_environments must be a multiple of 4, as PPO splits them, got "
            f"{num_environments}"
        )
    grid = {"rate": _checked(rates), "entropy_coefficient": ENTROPY_COEFFICIENTS}

    def kind(make):
        agent = make(distribution.environment, hidden=hidden, optimizer=clipped)

        def made(numbers):
            return agent, Numbers(**{k: jnp.float32(v) for k, v in numbers.items()})

        return Kind(made, grid)

    return {"A2C": kind(agents.a2c), "PPO": kind(agents.ppo)}


def learned_kind(
    experiment: Experiment,
    meta_params: Params,
    distribution: TaskDistribution,
    *,
    name: str,
    hidden: tuple[int, ...],
    rates: Sequence[float],
    num_updates: int,
) -> Kind:
    """Agents by a learned rule, to be tuned over what the rule leaves open.

    Raises:
        ValueError: if the experiment learns none, or its actions are continuous.
    """
    agent_in, grid = experiment.agent_in, dict(experiment.agent_grid)
    if agent_in is None:
        raise ValueError(
            f"{name}, whose meta-params are no learning rule to take to another "
            "environment; those of lpg-gridworld are"
        )
    if "rate" in grid:
        grid["rate"] = _checked(rates)

    make = partial(agent_in, distribution, hidden, num_updates)
    agent = agents.with_numbers(make, {name: row[0] for name, row in grid.items()})

    def made(numbers):
        given = {name: jnp.float32(value) for name, value in numbers.items()}
        return agent, agents.Tuned(meta_params, given)

    return Kind(made, grid)


def clipped(rate: Any) -> optax.GradientTransformation:
    """Adam for A2C and PPO, after clipping, as is usual."""
    return optax.chain(optax.clip_by_global_norm(0.5), optax.adam(rate, eps=1e-5))


def _checked(rates: Sequence[float]) -> tuple[float, ...]:
    if not rates:
        raise ValueError("rates must name at least one rate of Adam, got none")
    return tuple(checks.positive("rates", rate) for rate in rates)
