"""XLand-MiniGrid: grid worlds whose rules and goal differ from task to task."""

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from gymnax.environments import spaces

from jaxmeta import checks, trees
from jaxmeta.environments.locomotion import MissingExtraError
from jaxmeta.types import Environment, Key, StepResult, TaskDistribution

INSTALL = 'pip install "jaxmeta[xland]", in a checkout pip install ".[xland]"'


class XLandTask(NamedTuple):
    """One task of an environment of XLand-MiniGrid.

    Attributes:
        ruleset: its RuleSet (goal ``[5]``, rules ``[R, 7]``, init_tiles ``[I, 2]``,
            uint8), or None where the environment has no rulesets.
        start: the TimeStep that every episode starts from, without its key, or None
            where every episode has a layout of its own.
    """

    ruleset: Any
    start: Any


def from_xland(
    env_id: str,
    *,
    rulesets: Any = None,
    fixed_layout: bool = False,
    horizon: int | None = None,
) -> TaskDistribution:
    """A distribution over tasks of an environment of XLand-MiniGrid.

    A task of ``XLand-MiniGrid-...`` is a ruleset: a goal, rules by which objects turn
    into others, and the objects there are at first. As in the RL^2 baseline of the
    package the task lasts through its episodes, and each episode draws anew where
    objects, doors and the agent are. ``MiniGrid-...`` environments have no rulesets;
    there a task is a layout, from which all its episodes start.

    An observation is ``[V, V, 29]`` float32 of the ``V`` x ``V`` cells ahead of the
    agent, which is in the middle of the last row: the one-hot tile (13), the one-hot
    colour (12), and the one-hot direction that the agent faces (up, right, down, left),
    the same in every cell, which the baseline sees too as some goals and rules depend
    on it. What the agent carries is not seen. The six actions are: forward, turn
    clockwise, turn counterclockwise, pick up, put down, toggle a door. Reaching the
    goal at step ``t`` is worth ``1 - 0.9 t / horizon`` and ends the episode; the time
    limit truncates it.

    Args:
        env_id: a registered id; ``xminigrid.register`` adds others, of other sizes.
        rulesets: of an XLand environment, drawn with equal probability: a Benchmark
            (``xminigrid.load_benchmark``, its ``split`` and ``filter_split`` hold tasks
            out), or a RuleSet, one or a batch with a leading ``[N]``.
        fixed_layout: of an XLand environment: the layout belongs to the task too. That
            of ``MiniGrid-...`` always does.
        horizon: the time limit of an episode, ``max_steps``; by default the package's.

    Source: Nikulin et al., "XLand-MiniGrid: Scalable Meta-Reinforcement Learning
    Environments in JAX", 2023.

    Raises:
        MissingExtraError: if the package ``xminigrid`` is not installed.
        TypeError: if ``rulesets`` or another value has the wrong type.
        ValueError: an unknown id, rulesets missing, not taken, empty or of the wrong
            shape, a horizon below one.
    """
    if not isinstance(fixed_layout, bool):
        raise TypeError(f"fixed_layout must be True or False, got {fixed_layout!r}")
    package = _import("xminigrid")
    checks.one_of("env_id", env_id, package.registered_environments())
    options = {}
    if horizon is not None:
        options["max_steps"] = checks.positive_int("horizon", horizon)
    with jax.ensure_compile_time_eval():  # it imports a module, whose arrays stay
        env, params = package.make(env_id, **options)
    draw = jax.jit(env.reset)  # one program, also where a task is drawn outside of jit
    environment = _environment(env, draw, params, env_id)
    if not hasattr(params, "ruleset"):
        if rulesets is not None:
            raise ValueError(
                f"rulesets: {env_id} has none, its tasks are layouts; the ids that "
                "start with XLand-MiniGrid have"
            )
        return TaskDistribution(
            environment, lambda key: XLandTask(None, _start(draw, key, params))
        )
    batch = _batched(rulesets, env_id)
    count = len(batch.goal)

    def sample(key: Key) -> XLandTask:
        key_ruleset, key_layout = jax.random.split(key)
        ruleset = trees.at(batch, jax.random.randint(key_ruleset, (), 0, count))
        if not fixed_layout:
            return XLandTask(ruleset, None)
        params_of_task = params.replace(ruleset=ruleset)
        return XLandTask(ruleset, _start(draw, key_layout, params_of_task))

    return TaskDistribution(environment, sample)


def _import(name: str) -> ModuleType:
    """A module of the package, whose constants are no tracers of a caller's jit."""
    try:
        with jax.ensure_compile_time_eval():
            return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(
            f"from_xland needs XLand-MiniGrid ({error}): {INSTALL}"
        ) from error


def _reset(draw: Callable, key: Key, params: Any) -> Any:
    """The first TimeStep of an episode, its arrays strongly typed."""
    with jax.numpy_rank_promotion("allow"):  # the package relies on it
        return trees.strong_types(draw(params, key))


def _start(draw: Callable, key: Key, params: Any) -> Any:
    """The first TimeStep of all episodes of a task; each has a key of its own."""
    first = _reset(draw, key, params)
    return first.replace(state=first.state.replace(key=None))


def _environment(env: Any, draw: Callable, params: Any, name: str) -> Environment:
    """The adapter: the package's interface on one side, ours on the other."""
    constants = _import("xminigrid.core.constants")
    num_tiles, num_colours = constants.NUM_TILES, constants.NUM_COLORS
    num_directions = len(constants.DIRECTIONS)

    def observe(timestep: Any) -> jax.Array:
        cells = timestep.observation
        direction = jax.nn.one_hot(timestep.state.agent.direction, num_directions)
        features = [
            jax.nn.one_hot(cells[..., 0], num_tiles),
            jax.nn.one_hot(cells[..., 1], num_colours),
            jnp.broadcast_to(direction[None, None], (*cells.shape[:2], num_directions)),
        ]
        return jnp.concatenate(features, axis=-1).astype(jnp.float32)

    def first(key, task):
        if task.start is not None:
            return task.start.replace(state=task.start.state.replace(key=key))
        return _reset(draw, key, params.replace(ruleset=task.ruleset))

    def reset(key, task):
        timestep = first(key, task)
        return timestep, observe(timestep)

    def step(key, state, action, task):
        with jax.numpy_rank_promotion("allow"):
            stepped = env.step(params, state, action)
        fresh, done = first(key, task), stepped.last()
        terminated = done & (stepped.discount == 0)
        after = trees.where(done, fresh, stepped)
        return StepResult(
            state=after,
            observation=observe(after),
            next_observation=observe(stepped),
            reward=stepped.reward.astype(jnp.float32),
            terminated=terminated,
            truncated=done & ~terminated,
        )

    seen = jax.eval_shape(
        lambda key: observe(_reset(draw, key, params)), jax.random.key(0)
    )
    observation = jax.ShapeDtypeStruct(seen.shape, seen.dtype)
    action = spaces.Discrete(env.num_actions(params))
    return Environment(reset, step, observation, action, int(params.max_steps), name)


def _batched(rulesets: Any, env_id: str) -> Any:
    """A RuleSet of ``[N]`` rulesets."""
    if rulesets is None:
        raise ValueError(
            f"rulesets: those of {env_id} are missing, without which there is no goal; "
            'pass xminigrid.load_benchmark("small-1m"), or a RuleSet'
        )
    kinds = _import("xminigrid.types"), _import("xminigrid.benchmarks")
    if isinstance(rulesets, kinds[1].Benchmark):
        goal = rulesets.goals
    elif isinstance(rulesets, kinds[0].RuleSet):
        goal = rulesets.goal
    else:
        raise TypeError(
            "rulesets must be a Benchmark or a RuleSet of xminigrid, got "
            f"{type(rulesets).__name__}"
        )
    parts = {"goal": goal, "rules": rulesets.rules, "init_tiles": rulesets.init_tiles}
    parts = {name: jnp.asarray(value) for name, value in parts.items()}
    if parts["goal"].ndim == 1:
        parts = {name: value[None] for name, value in parts.items()}
    _check_rulesets(parts)
    batch = {name: value.astype(jnp.uint8) for name, value in parts.items()}
    return kinds[0].RuleSet(**batch)


def _check_rulesets(parts: dict[str, jax.Array]) -> None:
    """Check that parts of rulesets fit each other and the package's encodings."""
    goals, rules = _import("xminigrid.core.goals"), _import("xminigrid.core.rules")
    count = len(parts["goal"])
    if not count:
        raise ValueError("rulesets: there are none; a split may have left none over")
    lengths = {
        "goal": (count, goals.MAX_GOAL_ENCODING_LEN),
        "rules": (count, "R", rules.MAX_RULE_ENCODING_LEN),
        "init_tiles": (count, "I", 2),
    }
    for name, shape in lengths.items():
        given, dtype = parts[name].shape, parts[name].dtype
        fits = len(given) == len(shape) and all(
            isinstance(b, str) or a == b for a, b in zip(given, shape, strict=True)
        )
        if not fits or not jnp.issubdtype(dtype, jnp.integer):
            raise ValueError(
                f"rulesets: {name} must be integers [{', '.join(map(str, shape))}], "
                f"got {dtype} {list(given)}"
            )
