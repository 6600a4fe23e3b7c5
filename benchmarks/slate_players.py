"""Strategies that play slates with held-out users, and how they are tuned.

Shared by ``recommendation.py`` and ``brand_choice.py``.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxmeta as jm
from jaxmeta import references
from jaxmeta.types import TaskDistribution

# Tuned on training users; without exploration LinUCB is greedy.
EXPLORATIONS = {"ucb": (0.0, 0.1, 0.5), "thompson": (0.1, 0.3, 1.0)}


class Problem(NamedTuple):
    """All splits in one environment, so that what is compiled serves them all.

    Attributes:
        tasks: of all users of all splits.
        first: ``[S, 2]``, the first training and held-out user of every split.
        num_users: ``[S, 2]``, how many there are.
    """

    tasks: TaskDistribution
    first: jax.Array
    num_users: jax.Array

    def of(self, seed: Any, held_out: int) -> TaskDistribution:
        """The training users (0) or the held-out ones (1) of a split."""

        def sample(key):
            task = self.tasks.sample(key)
            user = self.first[seed, held_out] + jax.random.randint(
                jax.random.fold_in(key, 1), (), 0, self.num_users[seed, held_out]
            )
            return task._replace(params=task.params.replace(user=user))

        return TaskDistribution(self.tasks.environment, sample)


def chance(environment):
    return references.bandits.random(environment.action.n), {}


def fixed(environment, weights):
    return references.linear.fixed(environment, weights), {}


def ucb(environment, prior, exploration):
    strategy = references.linear.linucb(environment, prior, exploration=exploration)
    return strategy, {}


def thompson(environment, prior, exploration):
    strategy = references.linear.thompson(environment, prior, scale=exploration)
    return strategy, {}


def belief(environment, params):
    start = (params["mean"], params["factor"])
    policy = jm.policies.linear_belief(environment, mean=start[0], factor=start[1])
    return policy, params


SAMPLED = (chance, thompson)  # the others act with the mode, which is their best


class Player:
    """Plays strategies on the users of a split; each is compiled once for all splits.

    Args:
        where: all splits.
        num_tasks: episodes, each with a user of the split drawn anew; the same users
            and slates for every strategy.
    """

    def __init__(self, where: Problem, num_tasks: int):
        self._where, self._num_tasks = where, num_tasks
        self._play = jax.jit(self._regrets, static_argnums=0)

    def __call__(self, make, *given: Any, seed: int, held_out: int):
        """Users ``[N]`` and regrets ``[N, T]`` of ``make(environment, *given)``."""
        found = self._play(make, given, seed, int(held_out), jax.random.key(seed))
        return tuple(np.asarray(part) for part in found)

    def _regrets(self, make, given, seed, held_out, key):
        tasks = self._where.of(seed, held_out)
        policy, params = make(tasks.environment, *given)
        options = {"num_tasks": self._num_tasks, "mode": make not in SAMPLED}
        return references.slate_regrets(key, tasks, policy, params, **options)


def tuned(player: Player, seed: int, make, priors: dict[str, Any]) -> dict[str, Any]:
    """The prior and the exploration of the lowest regret on training users."""
    weights = EXPLORATIONS[make.__name__]
    grid = [(name, weight) for name in priors for weight in weights]
    regret = [
        player(make, priors[name], weight, seed=seed, held_out=False)[1].sum(1).mean()
        for name, weight in grid
    ]
    name, weight = grid[int(np.argmin(regret))]
    return {"prior": name, "exploration": weight, "given": (priors[name], weight)}


def by_user(users: np.ndarray, regrets: np.ndarray) -> np.ndarray:
    """Mean cumulative regret of every user ``[U, T]``."""
    index = np.unique(users, return_inverse=True)[1]
    total = np.zeros((index.max() + 1, regrets.shape[1]))
    np.add.at(total, index, np.cumsum(regrets, 1))
    return total / np.bincount(index)[:, None]


def interval(values: np.ndarray) -> dict[str, Any]:
    """Mean over users, and its 95% bootstrap interval."""
    found = jm.bootstrap_interval(jax.random.key(9), jnp.asarray(values))
    return {end: np.asarray(part).tolist() for end, part in found._asdict().items()}
