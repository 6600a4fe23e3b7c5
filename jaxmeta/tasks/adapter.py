"""Any gymnax environment whose parameters, or whose state, differ from task to task."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
from gymnax.environments import spaces
from gymnax.environments.classic_control.cartpole import CartPole

from jaxmeta import checks, trees
from jaxmeta.tasks.samplers import Sampler
from jaxmeta.types import Environment, Key, StepResult, TaskDistribution


class Task(NamedTuple):
    """One task of a gymnax environment.

    Attributes:
        params: its EnvParams.
        state: the EnvState fields that belong to the task, by name; they are put back
            after every reset and step, where the environment would draw them anew.
    """

    params: Any
    state: dict[str, jax.Array]


def from_gymnax(
    env: Any,
    *,
    params: Mapping[str, Any] | None = None,
    state: Mapping[str, Any] | None = None,
    derive: Callable[[Any], Any] | None = None,
    horizon: int | None = None,
    **env_kwargs: Any,
) -> TaskDistribution:
    """A distribution over tasks from a gymnax environment.

    Observations and rewards are cast to float32. The task stays fixed over the
    auto-resets of a rollout.

    Args:
        env: a registered gymnax id, or a gymnax Environment.
        params: EnvParams field -> sampler ``key -> value``, or a value for all tasks.
        state: EnvState field -> sampler or value, for environments (bandits, mazes)
            that draw what is the task here anew at every reset.
        derive: ``EnvParams -> EnvParams``, recomputes fields that depend on sampled
            ones. By default cart-pole's masses are kept consistent; other registered
            environments have no such fields.
        horizon: the time limit of an episode, ``max_steps_in_episode``.
        **env_kwargs: for the constructor, where ``env`` is an id.

    Raises:
        TypeError: an environment that is none, or a value of the wrong type.
        ValueError: an unknown id or field, a sampler of the wrong shape, a horizon
            below one.
    """
    env, base = _make(env, env_kwargs)
    if horizon is not None:
        limit = checks.positive_int("horizon", horizon)
        dtype = jnp.result_type(_field(base, "max_steps_in_episode", "params"))
        base = base.replace(max_steps_in_episode=np.asarray(limit, dtype).item())
    params, state = dict(params or {}), dict(state or {})
    if "max_steps_in_episode" in params:
        raise ValueError(
            "params['max_steps_in_episode'] cannot differ from task to task: give the "
            "time limit as horizon"
        )
    derive = _derive_rule(env, params) if derive is None else derive
    params_samplers = _samplers("params", params, base)
    fixed = {name: v for name, v in params.items() if not callable(v)}
    base = derive(base.replace(**{k: _constant(base, k, v) for k, v in fixed.items()}))
    reset_state = jax.eval_shape(lambda key: env.reset(key, base)[1], jax.random.key(0))
    state_samplers = _samplers("state", state, reset_state)

    def sample(key: Key) -> Task:
        key_params, key_state = jax.random.split(key)
        drawn = _draw(key_params, params_samplers)
        task_params = derive(base.replace(**drawn))
        return Task(trees.strong_types(task_params), _draw(key_state, state_samplers))

    return TaskDistribution(_environment(env, base, bool(state)), sample)


def _make(env: Any, env_kwargs: dict[str, Any]) -> tuple[Any, Any]:
    """The environment and its default params, from an id or an instance."""
    if isinstance(env, str):
        if env not in gymnax.registered_envs:
            near = checks.nearest(env, gymnax.registered_envs)
            ids = ", ".join(gymnax.registered_envs)
            raise ValueError(f"env: no gymnax id {env!r}.{near} Registered are: {ids}")
        return gymnax.make(env, **env_kwargs)
    needed = ("reset", "step", "default_params", "action_space")
    if isinstance(env, type) or not all(hasattr(env, name) for name in needed):
        raise TypeError(f"env must be a gymnax id or a gymnax Environment, got {env!r}")
    if env_kwargs:
        raise TypeError(
            f"from_gymnax got {sorted(env_kwargs)}, but an Environment instance takes "
            "no constructor arguments; its arguments are params, state, derive, horizon"
        )
    return env, env.default_params


def _environment(env: Any, base: Any, fixes_state: bool) -> Environment:
    """The adapter: gymnax's interface on one side, ours on the other."""
    action = env.action_space(base)
    _check_action_space(action)

    def put_back(key, observation, state, task: Task):
        """The task's state fields, and the observation, which may depend on them."""
        if not fixes_state:
            return observation, state
        state = state.replace(**task.state)
        return env.observe(key, state, None, task.params), state

    def reset(key, task):
        key_reset, key_observe = jax.random.split(key)
        observation, state = env.reset(key_reset, task.params)
        observation, state = put_back(key_observe, observation, state, task)
        return trees.strong_types(state), jnp.asarray(observation, jnp.float32)

    def step(key, state, action, task):
        key_step, key_observe = jax.random.split(key) if fixes_state else (key, key)
        stepped, next_state, reward, terminated, truncated, info = env.step(
            key_step, state, action, task.params
        )
        fresh, next_state = put_back(key_observe, stepped, next_state, task)
        observation = jnp.where(terminated | truncated, fresh, stepped)
        return StepResult(
            state=jax.tree.map(_cast_like, next_state, state),
            observation=jnp.asarray(observation, jnp.float32),
            next_observation=jnp.asarray(info["final_observation"], jnp.float32),
            reward=jnp.asarray(reward, jnp.float32).reshape(()),
            terminated=jnp.asarray(terminated, bool),
            truncated=jnp.asarray(truncated, bool) & ~jnp.asarray(terminated, bool),
        )

    seen = jax.eval_shape(lambda key: env.reset(key, base)[0], jax.random.key(0))
    if not isinstance(seen, jax.ShapeDtypeStruct):
        raise TypeError(f"env: observations must be single arrays, got {seen}")
    observation = jax.ShapeDtypeStruct(seen.shape, jnp.float32)
    horizon = int(_field(base, "max_steps_in_episode", "params"))
    return Environment(reset, step, observation, action, horizon, env.name)


def _cast_like(leaf: jax.Array, like: jax.Array) -> jax.Array:
    return jnp.asarray(leaf) if leaf.dtype == like.dtype else leaf.astype(like.dtype)


def _check_action_space(action: Any) -> None:
    if isinstance(action, spaces.Discrete):
        return
    if isinstance(action, spaces.Box) and len(action.shape) == 1:
        return
    raise TypeError(
        f"env: its action space is {action}; a Discrete space or a Box of shape (D,) "
        "is supported"
    )


def _derive_rule(env: Any, params: dict[str, Any]) -> Callable[[Any], Any]:
    """The rule that keeps an environment's dependent EnvParams consistent."""
    if not isinstance(env, CartPole):
        return lambda env_params: env_params
    for name in {"total_mass", "polemass_length"} & set(params):
        raise ValueError(
            f"params[{name!r}] of cart-pole is computed from masscart, masspole and "
            "length: sample those, or pass derive=lambda params: params to set it"
        )
    return lambda p: p.replace(
        total_mass=p.masscart + p.masspole, polemass_length=p.masspole * p.length
    )


def _field(fields: Any, name: str, argument: str) -> Any:
    """The value of a dataclass field that a task may set, or an error."""
    known = [
        field.name
        for field in dataclasses.fields(fields)
        if field.metadata.get("pytree_node", True)
    ]
    if name not in known:
        raise ValueError(
            f"{argument}[{name!r}]: {type(fields).__qualname__} of "
            f"{type(fields).__module__} has no such array field."
            f"{checks.nearest(name, known)} It has: {', '.join(known)}"
        )
    return getattr(fields, name)


def _samplers(argument: str, given: dict[str, Any], fields: Any) -> dict[str, Sampler]:
    """Samplers whose values have the shape and dtype of the fields they replace."""
    return {
        name: _sampler(f"{argument}[{name!r}]", value, _field(fields, name, argument))
        for name, value in sorted(given.items())
        if callable(value) or argument == "state"
    }


def _sampler(label: str, value: Any, field: Any) -> Sampler:
    """One sampler, checked against the field it replaces."""
    if not callable(value) and np.asarray(value).dtype.kind not in "biuf":
        raise TypeError(f"{label} must be a sampler or a number, got {value!r}")
    sampler = value if callable(value) else lambda key: jnp.asarray(value)
    shape, dtype = jnp.shape(field), jnp.result_type(field)
    drawn = jax.eval_shape(sampler, jax.random.key(0))
    if not isinstance(drawn, jax.ShapeDtypeStruct):
        raise TypeError(f"{label}: the sampler must return one array, got {drawn}")
    if drawn.shape != shape:
        raise ValueError(
            f"{label}: the sampler draws shape {drawn.shape}, the field has {shape}"
        )
    if not jnp.can_cast(drawn.dtype, dtype, casting="same_kind"):
        raise TypeError(
            f"{label}: the sampler draws {drawn.dtype}, the field holds {dtype}"
        )
    return lambda key: jnp.asarray(sampler(key), dtype)


def _constant(base: Any, name: str, value: Any) -> jax.Array:
    """A value that is the same for all tasks, checked like a sampler's."""
    sampler = _sampler(f"params[{name!r}]", value, _field(base, name, "params"))
    return sampler(jax.random.key(0))


def _draw(key: Key, samplers: dict[str, Sampler]) -> dict[str, jax.Array]:
    if not samplers:
        return {}
    keys = jax.random.split(key, len(samplers))
    return {
        name: draw(k) for (name, draw), k in zip(samplers.items(), keys, strict=True)
    }
