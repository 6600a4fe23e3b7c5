"""Tasks of several environments behind one interface."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from gymnax.environments import spaces

from jaxmeta import checks, trees
from jaxmeta.policies.masks import MaskedDiscrete
from jaxmeta.types import Dataset, Environment, Key, StepResult, TaskDistribution


class MixtureTask(NamedTuple):
    """A task of one of several environments.

    Attributes:
        domain: ``[]`` int32, which of them.
        components: a task of each; those of other domains than this are fillers, the
            same for all tasks.
    """

    domain: jax.Array
    components: tuple[Any, ...]


class _Interface(NamedTuple):
    """What all domains are padded to."""

    environments: tuple[Environment, ...]
    reward_scales: tuple[float, ...]
    tell_domain: bool

    @property
    def width(self) -> int:
        """Of the widest observation."""
        return max(math.prod(one.observation.shape) for one in self.environments)

    @property
    def discrete(self) -> bool:
        """Whether actions are."""
        return isinstance(self.environments[0].action, spaces.Discrete)

    @property
    def num_actions(self) -> int:
        """The most actions, or dimensions of an action."""
        found = [one.action for one in self.environments]
        return max(one.n if self.discrete else one.shape[0] for one in found)

    @property
    def mask_start(self) -> int:
        """Where the mask of valid actions begins in an observation."""
        return self.width + self.tell_domain * len(self.environments)

    @property
    def size(self) -> int:
        """Of an observation."""
        return self.mask_start + self.discrete * self.num_actions


def mixture(
    components: Mapping[str, TaskDistribution] | Sequence[TaskDistribution],
    *,
    weights: Mapping[str, float] | Sequence[float] | None = None,
    tell_domain: bool = True,
    reward_scales: Mapping[str, float] | Sequence[float] | None = None,
) -> TaskDistribution:
    """Tasks of several environments (domains), for one agent that acts in all of them.

    A task says which environment it is one of, and every reset and step of it is one of
    that environment, with the same keys: transitions are those of the environment alone
    but for the interface.

    * An observation ``[W + K + A]`` is that of the environment, flattened and padded
      with zeros to the ``W`` entries of the widest one; the domain, one-hot, of ``K``
      (unless ``tell_domain=False``); and, of discrete actions, the mask of the ``A``
      that are valid, ones and zeros.
    * Discrete actions are as many as those of the domain that has most. Wrap the policy
      in ``policies.masked`` and it never takes an invalid one; without, an invalid
      action does what the last valid one does, which is harmless.
    * Continuous actions have as many dimensions as those of the domain that has most;
      the others ignore the dimensions they do not have. An action is passed on as it
      is; the bounds of the space are the widest of any domain.
    * The horizon is the longest one. An environment with a shorter one starts new
      episodes meanwhile, which the returns that are reported leave out, as ever.

    ``lax.switch`` chooses the environment. Under ``vmap`` over tasks, as in every
    method, it computes a step of all of them and keeps one, so that a step costs as
    much as the steps of all environments together; memory too is that of the states of
    all. That is little beside a policy's network where environments are small. Where it
    is not, train on one domain after the other: the same mixture with other weights
    has the same interface.

    Args:
        components: the tasks of each domain, by name or in order. A component may be a
            mixture itself.
        weights: probability of each domain, up to a common factor; equal by default.
            Domains of weight zero are never drawn and still shape the interface, so
            that ``weights={"a": 1, "b": 0}`` trains or evaluates in one domain alone.
        tell_domain: whether an observation tells the domain. The mask does, in part, in
            any case.
        reward_scales: positive factors of the rewards of each domain, where they are
            of different size; one by default. All returns are then of scaled rewards.

    Returns:
        A distribution whose tasks are ``MixtureTask``.

    Raises:
        TypeError: if ``components`` are no task distributions, or numbers none.
        ValueError: if there are none, one is of a Dataset, some act discretely and some
            continuously, weights or scales are not one for each component, not
            finite, negative, or all weights are zero.
    """
    names, distributions = _components(components)
    shares = _numbers("weights", weights, names, or_zero=True)
    if not any(shares):
        raise ValueError(f"weights must not all be zero, got {weights!r}")
    interface = _Interface(
        tuple(cast(Environment, one.environment) for one in distributions),
        _numbers("reward_scales", reward_scales, names),
        tell_domain,
    )
    logits = jnp.log(jnp.asarray([share / max(shares) for share in shares]))
    fillers = tuple(one.sample(jax.random.key(0)) for one in distributions)

    def sample(key: Key) -> MixtureTask:
        key_domain, *keys = jax.random.split(key, len(distributions) + 1)
        domain = jax.random.categorical(key_domain, logits).astype(jnp.int32)
        parts = zip(keys, distributions, fillers, strict=True)
        drawn = [
            trees.where(domain == index, one.sample(key), filler)
            for index, (key, one, filler) in enumerate(parts)
        ]
        return MixtureTask(domain, tuple(drawn))

    return TaskDistribution(_environment(interface, fillers), sample)


def _environment(interface: _Interface, fillers: tuple[Any, ...]) -> Environment:
    environments = interface.environments
    blank = tuple(
        trees.strong_types(environment.reset(jax.random.key(0), filler)[0])
        for environment, filler in zip(environments, fillers, strict=True)
    )

    def in_domain(index: int):
        """``(reset, step)`` of one domain, in the interface of all."""
        environment = environments[index]

        def put(state):
            """The states of all domains, of which that of this one matters."""
            return (*blank[:index], trees.strong_types(state), *blank[index + 1 :])

        def reset(key, task):
            state, observation = environment.reset(key, task.components[index])
            return put(state), _widened(interface, index, observation)

        def step(key, states, action, task):
            result = environment.step(
                key,
                states[index],
                _narrowed(interface, index, action),
                task.components[index],
            )
            return StepResult(
                state=put(result.state),
                observation=_widened(interface, index, result.observation),
                next_observation=_widened(interface, index, result.next_observation),
                reward=result.reward * interface.reward_scales[index],
                terminated=result.terminated,
                truncated=result.truncated,
            )

        return reset, step

    resets, steps = zip(*map(in_domain, range(len(environments))), strict=True)
    return Environment(
        reset=lambda key, task: jax.lax.switch(task.domain, resets, key, task),
        step=lambda key, state, action, task: jax.lax.switch(
            task.domain, steps, key, state, action, task
        ),
        observation=jax.ShapeDtypeStruct((interface.size,), jnp.float32),
        action=_action_space(interface),
        horizon=max(environment.horizon for environment in environments),
        name=f"mixture of {', '.join(one.name for one in environments)}",
    )


def _widened(interface: _Interface, index: int, observation: jax.Array) -> jax.Array:
    """An observation of one domain in the interface of all."""
    environment = interface.environments[index]
    flat = observation.reshape(-1).astype(jnp.float32)
    parts = [flat, jnp.zeros(interface.width - flat.size)]
    if interface.tell_domain:
        parts.append(jax.nn.one_hot(index, len(interface.environments)))
    if interface.discrete:
        space = environment.action
        valid = jnp.ones(space.n)
        if isinstance(space, MaskedDiscrete):
            valid = space.valid(observation).astype(jnp.float32)
        parts += [valid, jnp.zeros(interface.num_actions - space.n)]
    return jnp.concatenate(parts)


def _narrowed(interface: _Interface, index: int, action: jax.Array) -> jax.Array:
    """An action of the interface as one of a domain."""
    space = interface.environments[index].action
    if interface.discrete:
        return jnp.minimum(action, space.n - 1).astype(space.dtype)
    return action[: space.shape[0]].astype(space.dtype)


def _action_space(interface: _Interface) -> Any:
    """The space of the actions of all domains."""
    found = [environment.action for environment in interface.environments]
    count = interface.num_actions
    if interface.discrete:
        start = interface.mask_start
        return MaskedDiscrete(
            count, lambda observation: observation[start : start + count] > 0.5
        )
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    for space in found:
        size = space.shape[0]
        low[:size] = np.minimum(low[:size], np.asarray(space.low))
        high[:size] = np.maximum(high[:size], np.asarray(space.high))
    ends = jnp.asarray([low, high], jnp.float32)
    return spaces.Box(ends[0], ends[1], (count,), jnp.float32)


def _components(
    given: Any,
) -> tuple[tuple[str, ...], tuple[TaskDistribution, ...]]:
    """The components and what they are called."""
    if isinstance(given, TaskDistribution) or not isinstance(given, Mapping | Sequence):
        raise TypeError(
            "components must be a mapping of names to task distributions, or a "
            f"sequence of them, got {type(given).__name__}"
        )
    if isinstance(given, Mapping):
        named = {str(name): one for name, one in given.items()}
    else:
        named = {str(index): one for index, one in enumerate(given)}
    if not named:
        raise ValueError("components must map names to tasks, one or more; got none")
    for name, one in named.items():
        if not isinstance(one, TaskDistribution):
            raise TypeError(
                f"components[{name!r}] must be a task distribution, such as "
                f"tasks.from_gymnax(...), got {type(one).__name__}"
            )
        if isinstance(one.environment, Dataset):
            raise ValueError(
                f"components[{name!r}]: {one.environment.name} is a Dataset, not an "
                "environment"
            )
    found = {name: one.environment.action for name, one in named.items()}
    if len({isinstance(space, spaces.Discrete) for space in found.values()}) > 1:
        told = ", ".join(f"{name}: {space}" for name, space in found.items())
        raise ValueError(
            "components must all have discrete actions or all continuous ones, got "
            f"{told}"
        )
    return tuple(named), tuple(named.values())


def _numbers(
    argument: str, given: Any, names: tuple[str, ...], *, or_zero: bool = False
) -> tuple[float, ...]:
    """One number for each component."""
    if given is None:
        return (1.0,) * len(names)
    if isinstance(given, Mapping):
        if set(given) != set(names):
            raise ValueError(
                f"{argument} must have a number for each of {list(names)}, got those "
                f"of {list(given)}"
            )
        given = [given[name] for name in names]
    elif not isinstance(given, Sequence | np.ndarray) or isinstance(given, str):
        raise TypeError(
            f"{argument} must be a mapping of names to numbers, or a sequence of them, "
            f"got {given!r}"
        )
    if len(given) != len(names):
        raise ValueError(
            f"{argument} must be {len(names)} numbers, one for each component, got "
            f"{len(given)}"
        )
    return tuple(
        checks.positive(f"{argument}[{name!r}]", value, or_zero=or_zero)
        for name, value in zip(names, given, strict=True)
    )
