"""A learned rule in environments it was not learned in, beside rules that are known."""

from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import optax

from jaxmeta import agents, files, runs, tasks
from jaxmeta.agents import Agent, Numbers
from jaxmeta.evaluation import bootstrap_interval, interquartile_mean
from jaxmeta.life_curves import life_curves
from jaxmeta.types import Environment, Key, TaskDistribution

NUM_TESTS = 10  # in an agent's life
ENDS = ("low", "interquartile_mean", "high")


def evaluate(
    directory: Path,
    environment: str,
    *,
    seed: int = 0,
    num_agents: int = 16,
    num_updates: int = 500,
    num_environments: int = 16,
    length: int = 20,
    hidden: tuple[int, ...] = (64, 64),
    rate: float = 1e-3,
    horizon: int | None = None,
) -> dict[str, Any]:
    """Take the rule of a run to any gymnax environment, beside A2C and PPO.

    New agents, networks for that environment, learn for a lifetime by the rule, which
    does not change, and as many by A2C and PPO on the same number of steps. What is
    found is written to ``DIR/ENVIRONMENT.json`` too.

    Args:
        directory: of a run of a rule, such as of ``lpg-gridworld``.
        environment: a gymnax id.
        seed: of everything random.
        num_agents: of each kind.
        num_updates: in an agent's life, a multiple of 10.
        num_environments: copies of the environment each learns in, a multiple of 4.
        length: steps in each copy per update.
        hidden: sizes of an agent's hidden layers.
        rate: of the Adam of A2C, PPO, and a rule that does not say how far to move.
        horizon: steps in an episode; by default those of the environment.

    Returns:
        What was written: for each kind of agent the ``return`` before it learned and
        after each tenth of its life, as the interquartile mean over agents with its
        95% bootstrap interval.

    Raises:
        ValueError: if the directory holds no run of a rule, there is no such
            environment, its actions are continuous, or a number is out of range.
    """
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed must lie in [0, 2**32), got {seed}")
    if num_environments % 4:
        raise ValueError(
            "num_environments must be a multiple of 4, as PPO splits them, got "
            f"{num_environments}"
        )
    recipe, config, experiment, state = runs.restore(directory)
    if experiment.agent_in is None:
        raise ValueError(
            f"{directory} holds a run of {recipe.name}, whose meta-params are no "
            "learning rule to take to another environment; those of lpg-gridworld are"
        )
    distribution = tasks.from_gymnax(environment, horizon=horizon)
    environment_there = cast(Environment, distribution.environment)
    numbers = Numbers(rate=jnp.float32(rate))
    compared = {
        "learned rule": (
            experiment.agent_in(distribution, hidden, rate, num_updates),
            state.meta_params,
        ),
        **{
            name: (make(environment_there, hidden=hidden, optimizer=clipped), numbers)
            for name, make in (("A2C", agents.a2c), ("PPO", agents.ppo))
        },
    }
    found = compare(
        jax.random.key(seed),
        distribution,
        compared,
        num_agents=num_agents,
        num_updates=num_updates,
        num_environments=num_environments,
        length=length,
    )
    result = {
        "recipe": config["recipe"],
        "environment": environment,
        "versions": runs.versions(),
        "device": runs.device(),
        "seed": seed,
        "num_meta_updates": int(state.step),
        "num_agents": num_agents,
        "num_updates": num_updates,
        "num_environments": num_environments,
        "length": length,
        "hidden": list(hidden),
        "horizon": cast(Environment, distribution.environment).horizon,
        "environment_steps": num_updates * num_environments * length,
        "rate": rate,
        "return": {name: _summary(row) for name, row in found.items()},
    }
    files.write_json(directory / f"{environment}.json", result)
    return result


def clipped(rate: Any) -> optax.GradientTransformation:
    """Adam for A2C and PPO, after clipping, as is usual."""
    return optax.chain(optax.clip_by_global_norm(0.5), optax.adam(rate, eps=1e-5))


def compare(
    key: Key,
    distribution: TaskDistribution,
    compared: dict[str, tuple[Agent, Any]],
    *,
    num_agents: int,
    num_updates: int,
    num_environments: int,
    length: int,
    batch_size: int | None = None,
) -> dict[str, jax.Array]:
    """Returns ``[num_agents, 11]`` of each kind of agent, in the same tasks.

    Args:
        key: consumed.
        distribution: of tasks.
        compared: agents and their meta-params by name.
        num_agents: of each kind.
        num_updates: in a life, a multiple of 10.
        num_environments: copies of the environment each learns in.
        length: steps in each copy per update.
        batch_size: agents at a time; see ``life_curves``.
    """
    key_tasks, key_lives = jax.random.split(key)
    drawn = jax.vmap(distribution.sample)(jax.random.split(key_tasks, num_agents))
    environment = cast(Environment, distribution.environment)
    return {
        name: life_curves(
            key_lives,
            agent,
            meta_params,
            environment,
            drawn,
            num_updates=num_updates,
            num_environments=num_environments,
            length=length,
            num_tests=NUM_TESTS,
            batch_size=batch_size,
        )[0]
        for name, (agent, meta_params) in compared.items()
    }


def _summary(curves: jax.Array) -> dict[str, list[float]]:
    interval = bootstrap_interval(
        jax.random.key(0), curves, statistic=interquartile_mean
    )
    rows = (interval.low, interval.mean, interval.high)
    return {end: row.tolist() for end, row in zip(ENDS, rows, strict=True)}
