"""Policies with memory, which lasts over the episodes of a trial."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from gymnax.environments import spaces

from jaxmeta import checks
from jaxmeta.policies.adapters import check_policy, first_timestep, to_act_in
from jaxmeta.policies.memory import Core, gru
from jaxmeta.policies.networks import MLP
from jaxmeta.types import (
    Dataset,
    Environment,
    Params,
    Policy,
    PolicyOutput,
    Timestep,
)


def recurrent(
    environment: Environment | Dataset,
    *,
    core: Core | None = None,
    hidden: Sequence[int] = (),
    critic: bool = True,
    initial_std: float = 1.0,
) -> Policy:
    """A policy that remembers what it saw, did and got in a trial.

    At every step its memory reads the observation, the previous action (one-hot if
    discrete), the previous reward and whether an episode starts here; actor and critic
    read the memory. The memory is reset at the start of a trial alone.

    Args:
        environment: what it acts in.
        core: the memory: ``policies.gru``, ``lstm``, ``lru``, ``attention``, ``snail``
            or one of your own; ``gru(64)`` by default.
        hidden: sizes of hidden layers between memory and outputs.
        critic: whether to estimate values too.
        initial_std: initial standard deviation of continuous actions, a learned
            parameter.

    Source: Duan, Schulman, Chen, Bartlett, Sutskever and Abbeel, "RL^2: Fast
    Reinforcement Learning via Slow Reinforcement Learning", 2016; Wang et al.,
    "Learning to Reinforcement Learn", 2016.

    Raises:
        TypeError: if ``environment`` is none, or ``core`` no Core.
        ValueError: if a size or ``initial_std`` is not positive.
    """
    environment = to_act_in(environment)
    core = gru() if core is None else core
    if not isinstance(core, Core):
        raise TypeError(f"core must be a Core, such as policies.gru(64), got {core!r}")
    hidden = checks.positive_ints("hidden", hidden)
    if not initial_std > 0:
        raise ValueError(f"initial_std must be positive, got {initial_std}")
    # A small last layer starts the policy close to uniform over actions.
    head = MLP(environment.action, hidden, jnp.tanh, critic, initial_std, 0.01)
    num_inputs = reading(first_timestep(environment), environment.action).shape[0]

    def act(params: Params, features: jax.Array) -> PolicyOutput:
        output: Any = head.apply(params, features)
        return output

    def init(key):
        key_core, key_head = jax.random.split(key)
        params = core.init(key_core, num_inputs)
        _, features = core.step(params, core.initial_carry(), jnp.zeros(num_inputs))
        return {"core": params, "head": head.init(key_head, features)}

    def apply(params, carry, timestep):
        carry, features = core.step(
            params["core"], carry, reading(timestep, environment.action)
        )
        return act(params["head"], features), carry

    def sequence(params, timesteps):
        read = partial(reading, space=environment.action)
        inputs = jax.vmap(read)(timesteps)
        _, features = core.sequence(params["core"], core.initial_carry(), inputs)
        return jax.vmap(partial(act, params["head"]))(features)

    policy = Policy(init, core.initial_carry, apply, sequence, core.max_length)
    check_policy(policy, environment)
    return policy


def reading(timestep: Timestep, space: Any) -> jax.Array:
    """All that one step tells: observation, previous action and reward, and is_first.

    Args:
        timestep: of one step.
        space: the action space.

    Returns:
        ``[D]`` float32; the action one-hot if discrete.
    """
    action = timestep.previous_action
    if isinstance(space, spaces.Discrete):
        action = jax.nn.one_hot(action, space.n)
    parts = (
        timestep.observation,
        action,
        timestep.previous_reward,
        timestep.is_first,
    )
    return jnp.concatenate([part.reshape(-1).astype(jnp.float32) for part in parts])
