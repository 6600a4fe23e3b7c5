"""Bandits: the arms of Bernoulli (RL^2's) and of normal rewards."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment, spaces

from jaxmeta import checks


@struct.dataclass
class BanditState(environment.EnvState):
    """The steps since the reset: a bandit has no other state."""


@struct.dataclass
class BanditParams(environment.EnvParams):
    """The task of a Bernoulli bandit and the time limit.

    Attributes:
        probabilities: ``[A]``, of a reward of one, for every arm.
        max_steps_in_episode: pulls in an episode.
    """

    probabilities: jax.Array = struct.field(default_factory=lambda: np.ones(0))
    max_steps_in_episode: int = 10


@struct.dataclass
class GaussianBanditParams(environment.EnvParams):
    """The task of a Gaussian bandit and the time limit.

    Attributes:
        means: ``[A]``, of the reward of every arm.
        reward_std: of the normal noise of a reward.
        max_steps_in_episode: pulls in an episode.
    """

    means: jax.Array = struct.field(default_factory=lambda: np.ones(0))
    reward_std: float = 1.0
    max_steps_in_episode: int = 10


class _Bandit(environment.Environment):
    """What bandits share: arms, a constant to observe, and nothing to reset."""

    def __init__(self, num_arms: int = 5):
        super().__init__()
        self._num_arms = checks.positive_int("num_arms", num_arms)

    def reward(self, key: jax.Array, arm: Any, params: Any) -> jax.Array:
        """A reward ``[]`` of one arm."""
        raise NotImplementedError

    def step_env(self, key, state, action, params):
        """Pull an arm."""
        reward = self.reward(key, action, params)
        state = BanditState(time=state.time + 1)
        done = jnp.zeros((), bool)
        return self.get_obs(state), state, reward.astype(jnp.float32), done, {}

    def reset_env(self, key, params):
        """Nothing to reset."""
        del key, params
        state = BanditState(time=0)
        return self.get_obs(state), state

    def get_obs(self, state: BanditState, params=None, key=None) -> jax.Array:
        """A constant ``[1]``."""
        del state, params, key
        return jnp.ones(1)

    @property
    def num_actions(self) -> int:
        """The number of arms."""
        return self._num_arms

    def action_space(self, params: Any = None) -> spaces.Discrete:
        """An arm."""
        del params
        return spaces.Discrete(self._num_arms)

    def observation_space(self, params: Any) -> spaces.Box:
        """A constant."""
        del params
        return spaces.Box(1.0, 1.0, (1,), jnp.float32)


class BernoulliBandit(_Bandit):
    """Arm ``a`` pays one with probability ``probabilities[a]``, else nothing.

    The observation is a constant, so only rewards tell one task from another.

    Args:
        num_arms: ``A``.
    """

    @property
    def default_params(self) -> BanditParams:
        """All arms pay with probability one half; tasks replace it."""
        return BanditParams(
            probabilities=np.full(self._num_arms, 0.5, np.float32)  # type: ignore
        )

    def reward(self, key: jax.Array, arm: Any, params: BanditParams) -> jax.Array:
        """One or nothing."""
        # Default parameters are NumPy arrays, which no traced arm can index.
        return jax.random.bernoulli(key, jnp.asarray(params.probabilities)[arm])


class GaussianBandit(_Bandit):
    """Arm ``a`` pays ``N(means[a], reward_std^2)``.

    The observation is a constant, so only rewards tell one task from another.

    Args:
        num_arms: ``A``.
    """

    @property
    def default_params(self) -> GaussianBanditParams:
        """All arms pay zero on average; tasks replace it."""
        return GaussianBanditParams(
            means=np.zeros(self._num_arms, np.float32)  # type: ignore
        )

    def reward(
        self, key: jax.Array, arm: Any, params: GaussianBanditParams
    ) -> jax.Array:
        """The arm's mean and noise."""
        noise = params.reward_std * jax.random.normal(key)
        return jnp.asarray(params.means)[arm] + noise
