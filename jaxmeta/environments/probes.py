"""Probe environments, so that a wrong method cannot look right.

Tiny tasks whose best return is known, before and after adaptation:

| probe        | what it isolates                 | not knowing the task | knowing it |
|--------------|----------------------------------|----------------------|------------|
| MatchProbe   | observation and task, discrete   | horizon / 2          | horizon    |
| DelayedProbe | reward far from its action       | 1 / 2                | 1          |
| TargetProbe  | continuous actions               | -1                   | 0          |

(for a task bit that is 0 or 1, and a target that is -1 or 1, with probability 1/2).
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments import environment, spaces


@struct.dataclass
class EnvState(environment.EnvState):
    """What the agent sees (or must remember), and the steps since the reset."""

    memory: jax.Array


@struct.dataclass
class BitParams(environment.EnvParams):
    """The task ``bit``, 0 or 1, and the time limit."""

    bit: int = 0
    max_steps_in_episode: int = 5


@struct.dataclass
class TargetParams(environment.EnvParams):
    """The task ``target``, a number, and the time limit."""

    target: float = 1.0
    max_steps_in_episode: int = 1


class _Probe(environment.Environment):
    """What the probes share: they end by their time limit and observe ``[2]``."""

    def reset_env(self, key: jax.Array, params: Any) -> tuple[jax.Array, EnvState]:
        """Start with a random bit in memory."""
        memory = jax.random.bernoulli(key).astype(jnp.float32)
        state = EnvState(memory=memory, time=0)
        return self.get_obs(state, params), state

    def get_obs(self, state: EnvState, params=None, key=None) -> jax.Array:
        """The memory, and whether this is the first step, ``[2]``."""
        del params, key
        return jnp.stack([state.memory, jnp.float32(state.time == 0)])

    def observation_space(self, params: Any) -> spaces.Box:
        """Two numbers in [0, 1]."""
        del params
        return spaces.Box(0.0, 1.0, (2,), jnp.float32)


class MatchProbe(_Probe):
    """Each step shows a random bit; action ``bit XOR task bit`` pays one."""

    @property
    def default_params(self) -> BitParams:
        """Five steps."""
        return BitParams()

    def step_env(self, key: jax.Array, state: EnvState, action: Any, params: BitParams):
        """Pay for a match, and show the next bit."""
        right = jnp.logical_xor(state.memory > 0.5, params.bit > 0)
        reward = (action == right).astype(jnp.float32)
        memory = jax.random.bernoulli(key).astype(jnp.float32)
        state = EnvState(memory=memory, time=state.time + 1)
        return self.get_obs(state, params), state, reward, jnp.array(False), {}

    def action_space(self, params: BitParams | None = None) -> spaces.Discrete:
        """Two actions."""
        del params
        return spaces.Discrete(2)


class DelayedProbe(MatchProbe):
    """The first action counts, and is paid (one if it is the task bit) at the end."""

    def step_env(self, key: jax.Array, state: EnvState, action: Any, params: BitParams):
        """Remember the first action; pay at the last step."""
        del key
        is_first = state.time == 0
        memory = jnp.where(is_first, (action == params.bit) * 1.0, state.memory)
        state = EnvState(memory=memory, time=state.time + 1)
        is_last = state.time >= params.max_steps_in_episode
        reward = jnp.where(is_last, memory, 0.0)
        return self.get_obs(state, params), state, reward, jnp.array(False), {}

    def get_obs(self, state: EnvState, params=None, key=None) -> jax.Array:
        """Zero, and whether this is the first step, ``[2]``: the reward is hidden."""
        first = jnp.float32(state.time == 0)
        return jnp.stack([jnp.zeros_like(first), first])


class TargetProbe(_Probe):
    """One real action, paid minus its squared distance to the task's target."""

    @property
    def default_params(self) -> TargetParams:
        """One step."""
        return TargetParams()

    def step_env(
        self, key: jax.Array, state: EnvState, action: Any, params: TargetParams
    ):
        """Pay for the distance."""
        del key
        reward = -jnp.sum((action - params.target) ** 2)
        state = EnvState(memory=state.memory, time=state.time + 1)
        return self.get_obs(state, params), state, reward, jnp.array(False), {}

    def action_space(self, params: TargetParams | None = None) -> spaces.Box:
        """One real number; the bounds are only where a random policy would look."""
        del params
        return spaces.Box(-2.0, 2.0, (1,), jnp.float32)
