"""Policies from networks of your own, and what every policy is checked for."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
from flax import errors, linen, nnx
from gymnax.environments import spaces

from jaxmeta.distributions import Categorical, DiagonalGaussian
from jaxmeta.types import Dataset, Environment, Policy, PolicyOutput, Timestep


def from_linen(module: linen.Module, environment: Environment | Dataset) -> Policy:
    """A policy from a Linen module without memory.

    Args:
        module: maps one observation to a ``PolicyOutput``, to a distribution, to logits
            ``[A]`` (discrete actions), or to a prediction ``[D]`` (regression, on a
            Dataset). Its variables are the params.
        environment: what it acts in.

    Raises:
        TypeError: if ``module`` is not an instance of a Linen module.
        ValueError: if the output does not fit the action space, or if the module has
            variables other than ``params`` (batch statistics).
    """
    check_environment(environment)
    if not isinstance(module, linen.Module):
        raise TypeError(f"module must be an instance of linen.Module, got {module!r}")
    observation = jnp.zeros(
        environment.observation.shape, environment.observation.dtype
    )
    others = set(jax.eval_shape(module.init, jax.random.key(0), observation))
    others -= {"params"}
    if others:
        raise ValueError(
            "module: its only variables may be params, as a policy is a pure function "
            f"of them; it also has {sorted(others)}"
        )

    def init(key):
        return module.init(key, observation)

    def call(params, observation):
        return module.apply(params, observation)

    return _memoryless(init, call, environment)


def from_nnx(
    constructor: Callable[[nnx.Rngs], nnx.Module], environment: Environment | Dataset
) -> Policy:
    """A policy from an NNX module without memory.

    Args:
        constructor: ``rngs -> module``; the module maps one observation to a
            ``PolicyOutput``, to a distribution, to logits ``[A]``, or to a prediction
            ``[D]`` (regression). Its ``nnx.Param`` state is the params; it may have no
            other state.
        environment: what it acts in.

    Raises:
        TypeError: if ``constructor`` is no function of ``rngs``.
        ValueError: if the output does not fit the action space, or if the module has
            state other than ``nnx.Param`` (batch statistics, dropout keys).
    """
    check_environment(environment)
    if isinstance(constructor, nnx.Module):
        raise TypeError(
            "constructor must be a function rngs -> nnx.Module, got a module; pass "
            "lambda rngs: YourModule(..., rngs=rngs)"
        )
    abstract = nnx.eval_shape(lambda: constructor(nnx.Rngs(0)))
    graph, _, rest = nnx.split(abstract, nnx.Param, ...)
    if jax.tree.leaves(rest):
        raise ValueError(
            "from_nnx: the module may hold nnx.Param only, as a policy is a pure "
            f"function of its params; it also holds {list(nnx.to_pure_dict(rest))}"
        )

    def init(key):
        return nnx.to_pure_dict(nnx.state(constructor(nnx.Rngs(key)), nnx.Param))

    def call(params, observation):
        state = nnx.split(abstract, nnx.Param, ...)[1]
        nnx.replace_by_pure_dict(state, params)
        module: Any = nnx.merge(graph, state, rest)
        return module(observation)

    return _memoryless(init, call, environment)


def check_policy(policy: Policy, environment: Environment | Dataset) -> PolicyOutput:
    """The shapes of a policy's output, checked against the action space.

    Raises:
        TypeError: if it is no Policy.
        ValueError: if it cannot read the environment's observations and actions, or the
            actions it draws do not fit.
    """
    if not isinstance(policy, Policy):
        raise TypeError(
            "policy must be a Policy, such as policies.mlp(tasks.environment) or "
            f"policies.recurrent(tasks.environment, core=...), got {type(policy)}"
        )
    with told_as(
        f"policy: it cannot act in {environment.name}, whose observations have shape "
        f"{environment.observation.shape} and whose actions are {environment.action}; "
        "make it for tasks.environment"
    ):
        output, _ = jax.eval_shape(
            lambda key: policy.apply(
                policy.init(key), policy.initial_carry(), first_timestep(environment)
            ),
            jax.random.key(0),
        )
    _check_output(output, environment)
    return output


@contextmanager
def told_as(message: str) -> Iterator[None]:
    """Tell what a network raises for inputs of a wrong shape as a ValueError.

    Args:
        message: what is wrong, and what to do.
    """
    try:
        yield
    except (TypeError, errors.FlaxError) as error:
        raise ValueError(f"{message}. It fails with: {error}") from error


def first_timestep(environment: Environment | Dataset) -> Timestep:
    """The timestep at the start of a trial, its observation yet to be filled in."""
    space = environment.action
    no_action = -1 if isinstance(space, spaces.Discrete) else 0
    return Timestep(
        observation=jnp.zeros(environment.observation.shape, jnp.float32),
        previous_action=jnp.full(space.shape, no_action, space.dtype),
        previous_reward=jnp.zeros((), jnp.float32),
        is_first=jnp.ones((), bool),
    )


def to_act_in(environment: Environment | Dataset) -> Environment:
    """``environment``, checked to be one to act in.

    Raises:
        TypeError: if it is not.
    """
    if not isinstance(environment, Environment):
        raise TypeError(
            "environment must be an Environment, such as tasks.environment, got "
            f"{type(environment).__name__}"
        )
    return environment


def check_environment(environment: Any) -> None:
    """Check that it is an Environment or a Dataset.

    Raises:
        TypeError: if it is neither.
    """
    if not isinstance(environment, Environment | Dataset):
        raise TypeError(
            "environment must be an Environment or a Dataset, such as "
            f"tasks.environment, got {type(environment).__name__}"
        )


def _memoryless(init, call, environment: Environment | Dataset) -> Policy:
    def apply(params, carry, timestep):
        output = _as_output(call(params, timestep.observation), environment)
        return output, carry

    policy = Policy(init, lambda: (), apply)
    check_policy(policy, environment)
    return policy


def unit_gaussian(mean: jax.Array) -> DiagonalGaussian:
    """What a regressor predicts: its mean, with unit variance."""
    return DiagonalGaussian(mean, jnp.zeros_like(mean))


def _as_output(output: Any, environment: Environment | Dataset) -> PolicyOutput:
    """Complete what a user's network returned to a PolicyOutput."""
    if isinstance(output, PolicyOutput):
        return output
    if isinstance(output, jax.Array):
        if not isinstance(environment.action, spaces.Discrete):
            if isinstance(environment, Dataset):
                return PolicyOutput(unit_gaussian(output), None)
            raise ValueError(
                "policy: the network returned an array, which is read as the logits "
                f"of discrete actions, but the action space is {environment.action}; "
                "return a distribution, such as DiagonalGaussian(mean, log_std)"
            )
        output = Categorical(output)
    return PolicyOutput(output, None)


def _check_output(output: PolicyOutput, environment: Environment | Dataset) -> None:
    space, distribution = environment.action, output.distribution
    if not hasattr(distribution, "log_prob") or not hasattr(distribution, "sample"):
        raise ValueError(
            "policy: the output must be a PolicyOutput, a distribution or logits, got "
            f"{distribution}"
        )
    discrete = isinstance(space, spaces.Discrete)
    if discrete and isinstance(distribution, Categorical):
        given, needed = distribution.logits.shape, (space.n,)
        if given != needed:
            raise ValueError(
                f"policy: its logits have shape {given}, the action space {space} "
                f"needs {needed}"
            )
    key = jax.random.key(0)
    action = jax.eval_shape(lambda d: d.sample(key), distribution)
    same_kind = jnp.issubdtype(action.dtype, jnp.integer) == discrete
    if action.shape != tuple(space.shape) or not same_kind:
        raise ValueError(
            f"policy: it draws actions of shape {action.shape} and dtype {action.dtype}"
            f", the action space is {space}"
        )
    if output.value is not None and isinstance(environment, Dataset):
        raise ValueError(
            "policy: it has a critic, which the examples of a Dataset would never train"
        )
    if output.value is not None and output.value.shape != ():
        raise ValueError(
            f"policy: its value has shape {output.value.shape}, it must be a scalar ()"
        )
