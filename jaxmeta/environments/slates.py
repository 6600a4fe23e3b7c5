"""Recommendation to one user: which of a few candidates, from logged ratings."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment, spaces

from jaxmeta import checks


@struct.dataclass
class SlateState(environment.EnvState):
    """Where an episode stands.

    Attributes:
        time: interactions so far.
        slates: ``[T, k]`` int32, the candidates of every interaction, rows of the
            features.
        ratings: ``[T, k]``, what each of them pays. Agents see features alone.
    """

    slates: jax.Array
    ratings: jax.Array


@struct.dataclass
class SlateParams(environment.EnvParams):
    """The task.

    Attributes:
        user: the user's index, ``[]``.
        max_steps_in_episode: interactions in an episode, ``T``.
    """

    user: int = 0
    max_steps_in_episode: int = 10


class Slates(environment.Environment[SlateState, SlateParams]):
    """Recommend one of ``k`` candidates, all of which the user has rated.

    Every interaction offers a slate of ``k`` items drawn without replacement from those
    the user has rated, and none twice in an episode; the reward is the user's rating of
    the one that is chosen. So the reward of every choice is known, and nothing has to
    be estimated off-policy. The observation is the features of the candidates
    ``[k, F]``. An episode ends, for good, after ``T`` interactions.

    Args:
        items: ``[R]`` int, rows of ``features``, those of one user after those of
            another.
        ratings: ``[R]`` float, their rewards.
        offsets: ``[U + 1]`` int; those of user ``u`` are ``offsets[u]`` up to, without,
            ``offsets[u + 1]``.
        features: ``[I, F]`` float, of the items.
        num_candidates: ``k``.
        num_interactions: ``T``.

    Raises:
        TypeError: if a number is not an integer.
        ValueError: if ``k`` is below two, ``T`` below one, or a user has rated fewer
            than ``T k`` items.
    """

    def __init__(
        self,
        items: Any,
        ratings: Any,
        offsets: Any,
        features: Any,
        *,
        num_candidates: int = 5,
        num_interactions: int = 10,
    ):
        super().__init__()
        self._num_candidates = checks.positive_int(
            "num_candidates", num_candidates, minimum=2
        )
        self._num_interactions = checks.positive_int(
            "num_interactions", num_interactions
        )
        fewest = int(np.diff(np.asarray(offsets)).min())
        if fewest < self.num_offered:
            raise ValueError(
                f"offsets: a user has {fewest} ratings, fewer than the num_candidates "
                f"* num_interactions = {self.num_offered} that an episode offers"
            )
        self._items = jnp.asarray(items, jnp.int32)
        self._ratings = jnp.asarray(ratings, jnp.float32)
        self._offsets = jnp.asarray(offsets, jnp.int32)
        self._features = jnp.asarray(features, jnp.float32)

    @property
    def num_offered(self) -> int:
        """Items that an episode offers, ``T k``."""
        return self._num_candidates * self._num_interactions

    @property
    def default_params(self) -> SlateParams:
        """The first user; tasks replace it."""
        return SlateParams(max_steps_in_episode=self._num_interactions)

    def reset_env(self, key, params):
        """Draw the slates of the episode."""
        first, last = self._offsets[params.user], self._offsets[params.user + 1]
        drawn = distinct(key, self.num_offered, last - first)
        rows = (first + drawn).reshape(self._num_interactions, self._num_candidates)
        state = SlateState(
            time=0, slates=self._items[rows], ratings=self._ratings[rows]
        )
        return self.get_obs(state), state

    def step_env(self, key, state, action, params):
        """Recommend a candidate."""
        reward = state.ratings[state.time, action]
        state = SlateState(
            time=state.time + 1, slates=state.slates, ratings=state.ratings
        )
        done = jnp.asarray(state.time >= self._num_interactions)
        return self.get_obs(state), state, reward, done, {}

    def get_obs(self, state: SlateState, params=None, key=None) -> jax.Array:
        """Features of the candidates ``[k, F]``; after the last ones, those again."""
        now = jnp.minimum(state.time, self._num_interactions - 1)
        return self._features[state.slates[now]]

    @property
    def num_actions(self) -> int:
        """The number of candidates."""
        return self._num_candidates

    def action_space(self, params: Any = None) -> spaces.Discrete:
        """A candidate."""
        del params
        return spaces.Discrete(self._num_candidates)

    def observation_space(self, params: Any) -> spaces.Box:
        """The features of the candidates."""
        shape = (self._num_candidates, self._features.shape[1])
        return spaces.Box(-jnp.inf, jnp.inf, shape, jnp.float32)


def distinct(key: jax.Array, num: int, total: jax.Array) -> jax.Array:
    """Draw ``num`` distinct integers below ``total``, in random order.

    Every ordered sample is equally likely. Its cost does not depend on ``total``, which
    may be traced; it must be at least ``num``.

    Source: Floyd, in Bentley, "Programming Pearls: A Sample of Brilliance", 1987.

    Returns:
        ``[num]`` int32.
    """
    key_draw, key_order = jax.random.split(key)
    limits = total - num + jnp.arange(num)
    draws = jax.random.randint(key_draw, (num,), 0, limits + 1)

    def add(chosen, step):
        place, draw, limit = step
        taken = jnp.any(chosen == draw)  # places yet to be filled hold -1
        return chosen.at[place].set(jnp.where(taken, limit, draw)), None

    empty = jnp.full(num, -1, jnp.int32)
    chosen, _ = jax.lax.scan(add, empty, (jnp.arange(num), draws, limits))
    return jax.random.permutation(key_order, chosen)
