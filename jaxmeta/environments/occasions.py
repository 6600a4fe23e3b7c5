"""Recommendation at one occasion after another, as they were logged."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmeta import checks
from jaxmeta.environments.slates import Slates, SlateState


class Occasions(Slates):
    """Recommend one of ``k`` alternatives at consecutive occasions of one user.

    Every occasion was logged with the features of all its alternatives and the reward
    that each would have paid, such as one for the brand that a household bought and
    zero for the others. So the reward of every choice is known, and nothing has to be
    estimated off-policy. An episode plays ``T`` occasions that follow each other in the
    log, from one drawn uniformly: habits and what follows from them stay in order. The
    observation is the features of the alternatives ``[k, F]``; an episode ends, for
    good, after ``T`` occasions.

    Args:
        features: ``[R, k, F]`` float, the occasions of one user after those of another,
            each user's in the order of time.
        rewards: ``[R, k]`` float.
        offsets: ``[U + 1]`` int; the occasions of user ``u`` are ``offsets[u]`` up to,
            without, ``offsets[u + 1]``.
        num_interactions: ``T``.

    Raises:
        TypeError: if ``num_interactions`` is no integer.
        ValueError: if ``k`` is below two, ``T`` below one, or a user has fewer than
            ``T`` occasions.
    """

    def __init__(
        self, features: Any, rewards: Any, offsets: Any, *, num_interactions: int = 10
    ):
        num_interactions = checks.positive_int("num_interactions", num_interactions)
        features, offsets = np.asarray(features), np.asarray(offsets)
        num_occasions, num_alternatives, num_features = features.shape
        fewest = int(np.diff(offsets).min())
        if fewest < num_interactions:
            raise ValueError(
                f"offsets: a user has {fewest} occasions, fewer than the "
                f"num_interactions = {num_interactions} of an episode"
            )
        super().__init__(
            np.arange(num_occasions * num_alternatives),
            np.asarray(rewards).reshape(-1),
            offsets * num_alternatives,
            features.reshape(-1, num_features),
            num_candidates=num_alternatives,
            num_interactions=num_interactions,
        )

    def reset_env(self, key, params):
        """Draw where in the user's log the episode starts."""
        k, length = self._num_candidates, self._num_interactions
        first = self._offsets[params.user] // k
        last = self._offsets[params.user + 1] // k
        start = jax.random.randint(key, (), first, last - length + 1)
        rows = (start * k + jnp.arange(length * k)).reshape(length, k)
        state = SlateState(
            time=0, slates=self._items[rows], ratings=self._ratings[rows]
        )
        return self.get_obs(state), state
