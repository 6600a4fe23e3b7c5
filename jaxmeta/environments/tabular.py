"""Finite Markov decision processes (RL^2's second kind of task)."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment, spaces

from jaxmeta import checks


@struct.dataclass
class TabularState(environment.EnvState):
    """The state ``[]`` int32, and the steps since the reset."""

    position: jax.Array


@struct.dataclass
class TabularParams(environment.EnvParams):
    """The task and the time limit.

    Attributes:
        transitions: ``[S, A, S]`` probabilities of the next state.
        rewards: ``[S, A]`` mean rewards.
        reward_std: of the normal noise of a reward.
        max_steps_in_episode: steps in an episode.
    """

    transitions: jax.Array = struct.field(default_factory=lambda: np.ones(0))
    rewards: jax.Array = struct.field(default_factory=lambda: np.ones(0))
    reward_std: float = 1.0
    max_steps_in_episode: int = 10


class TabularMDP(environment.Environment[TabularState, TabularParams]):
    """A finite Markov decision process; an episode starts in state 0.

    The observation is the state as a one-hot vector.

    Args:
        num_states: ``S``.
        num_actions: ``A``.
    """

    def __init__(self, num_states: int = 10, num_actions: int = 5):
        super().__init__()
        self._num_states = checks.positive_int("num_states", num_states)
        self._num_actions = checks.positive_int("num_actions", num_actions)

    @property
    def default_params(self) -> TabularParams:
        """Uniform transitions and rewards of zero; tasks replace them."""
        states, actions = self._num_states, self._num_actions
        transitions = np.full((states, actions, states), 1.0 / states, np.float32)
        rewards = np.zeros((states, actions), np.float32)
        return TabularParams(transitions=transitions, rewards=rewards)  # type: ignore

    def step_env(self, key, state, action, params):
        """Draw the reward and the next state."""
        key_state, key_reward = jax.random.split(key)
        noise = params.reward_std * jax.random.normal(key_reward)
        # Default parameters are NumPy arrays, which no traced action can index.
        reward = jnp.asarray(params.rewards)[state.position, action] + noise
        log_probs = jnp.log(jnp.asarray(params.transitions)[state.position, action])
        position = jax.random.categorical(key_state, log_probs).astype(jnp.int32)
        state = TabularState(position=position, time=state.time + 1)
        return self.get_obs(state), state, reward, jnp.zeros((), bool), {}

    def reset_env(self, key, params):
        """Start in state 0."""
        del key, params
        state = TabularState(position=jnp.zeros((), jnp.int32), time=0)
        return self.get_obs(state), state

    def get_obs(self, state: TabularState, params=None, key=None) -> jax.Array:
        """The state, one-hot ``[S]``."""
        del params, key
        return jax.nn.one_hot(state.position, self._num_states)

    @property
    def name(self) -> str:
        """Environment name."""
        return "TabularMDP"

    @property
    def num_actions(self) -> int:
        """The number of actions."""
        return self._num_actions

    def action_space(self, params: TabularParams | None = None) -> spaces.Discrete:
        """An action."""
        del params
        return spaces.Discrete(self._num_actions)

    def observation_space(self, params: TabularParams) -> spaces.Box:
        """A one-hot vector."""
        del params
        return spaces.Box(0.0, 1.0, (self._num_states,), jnp.float32)
