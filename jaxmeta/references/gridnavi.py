"""Exact values of searching a grid for a goal that stays where it is (GridNavi).

A goal is drawn uniformly from the cells outside the two by two corner of the start; a
step on it pays one, any other step costs 0.1; walls stop the agent. Until the goal is
found all that is known is where it is not, so a search is a fixed walk. Once found, it
is best to stay on it, and in later episodes to go straight there.
"""

import heapq
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmeta import checks
from jaxmeta.distributions import Categorical
from jaxmeta.references.learners import Reference
from jaxmeta.types import Inner, Policy, PolicyOutput

GOAL_REWARD = 1.0
STEP_REWARD = -0.1
_MOVES = ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0))  # stay, up, right, down, left


class Search(NamedTuple):
    """Where a search stands; cells are numbered ``x size + y``.

    Attributes:
        episode: of the trial.
        time: steps of this episode done.
        cell: where the agent is.
        candidates: a bit mask of the cells the goal may be in.
    """

    episode: int
    time: int
    cell: int
    candidates: int


class Grid(NamedTuple):
    """A size, and the numbers of steps and of episodes."""

    size: int
    horizon: int
    num_episodes: int

    def goals(self) -> list[int]:
        """The cells a goal may be in at first."""
        cells = range(self.size**2)
        return [c for c in cells if max(divmod(c, self.size)) >= 2]

    def neighbours(self, cell: int) -> list[int]:
        """The cell itself and those one step away."""
        return sorted({move(cell, i, self.size) for i in range(len(_MOVES))})

    def distance(self, cell: int, other: int) -> int:
        """Steps from one cell to another."""
        (x, y), (u, v) = divmod(cell, self.size), divmod(other, self.size)
        return abs(x - u) + abs(y - v)

    def straight(self, goal: int) -> float:
        """The return of an episode that goes straight to the goal."""
        return self.found_at(self.distance(0, goal))

    def found_at(self, time: int, start: int = 0) -> float:
        """Rewards after ``start`` steps if the goal is first met at step ``time``."""
        late = min(max(time - 1, 0), self.horizon) - start
        return STEP_REWARD * late + GOAL_REWARD * (self.horizon - start - late)


def move(cell: int, action: int, size: int) -> int:
    """Where an action leads; the walls stop it."""
    (x, y), (dx, dy) = divmod(cell, size), _MOVES[action]
    return min(max(x + dx, 0), size - 1) * size + min(max(y + dy, 0), size - 1)


def gridnavi_bayes_optimal(
    *, size: int = 5, horizon: int = 15, num_episodes: int = 4
) -> np.ndarray:
    """Expected return of each episode of the agent that is best over the whole trial.

    A best-first search over where the agent is and which cells it has not ruled out.
    The estimate of what is left never is too low: it lets the candidates be met one per
    step, each no sooner than its distance allows, and from the next episode on treats
    the goal as known. So the first walk that is complete is a best one.

    Args:
        size: cells per side, at least three; the number of walks grows exponentially.
        horizon: steps in an episode.
        num_episodes: episodes in a trial.

    Returns:
        ``[num_episodes]``; of several optimal agents one.

    Source: the environment is that of Zintgraf, Shiarlis, Igl, Schulze, Gal, Hofmann
    and Whiteson, "VariBAD: A Very Good Method for Bayes-Adaptive Deep RL via
    Meta-Learning", 2020.

    Raises:
        TypeError: if a number is not an integer.
        ValueError: if a number is too small.
    """
    grid = _checked(size, horizon, num_episodes)
    goals = grid.goals()
    start = Search(0, 0, 0, sum(1 << goal for goal in goals))
    order = 0  # of two equal estimates the latest is followed, so deep before wide
    queue = [(-_at_most(grid, start), order, start, (0.0,) * num_episodes)]
    closed = set()
    while True:
        _, _, search, gains = heapq.heappop(queue)
        if search.episode == num_episodes or not search.candidates:
            return np.asarray(gains) / len(goals)
        if search in closed:  # it was reached with at least as much
            continue
        closed.add(search)
        for cell in grid.neighbours(search.cell):
            after, gained = _step(grid, search, cell)
            total = tuple(a + b for a, b in zip(gains, gained, strict=True))
            order -= 1
            estimate = sum(total) + _at_most(grid, after)
            heapq.heappush(queue, (-estimate, order, after, total))


def _step(grid: Grid, search: Search, cell: int) -> tuple[Search, list[float]]:
    """Go to a cell: what is then known, and the rewards of every episode.

    Rewards are summed over the goals that were still possible. For one that is met here
    they are all that will ever come.
    """
    gained = [0.0] * grid.num_episodes
    time, left = search.time + 1, search.candidates & ~(1 << cell)
    gained[search.episode] = STEP_REWARD * left.bit_count()
    if left != search.candidates:
        gained[search.episode] += grid.found_at(time, search.time)
        for later in range(search.episode + 1, grid.num_episodes):
            gained[later] = grid.straight(cell)
    if time == grid.horizon:
        return Search(search.episode + 1, 0, 0, left), gained
    return Search(search.episode, time, cell, left), gained


def _at_most(grid: Grid, search: Search) -> float:
    """No search can gain more than this from here on, summed over the candidates."""
    episodes_after = grid.num_episodes - search.episode - 1
    if episodes_after < 0:
        return 0.0
    cells = [c for c in range(grid.size**2) if search.candidates >> c & 1]
    total = episodes_after * sum(grid.straight(cell) for cell in cells)
    met = search.time
    for distance in sorted(grid.distance(search.cell, cell) for cell in cells):
        met = max(met + 1, search.time + distance)
        total += grid.found_at(met, search.time)
    return total


def gridnavi_oracle(*, size: int = 5, horizon: int = 15) -> float:
    """Mean return of an episode of an agent that is told the goal.

    Args:
        size: cells per side, at least three.
        horizon: steps in an episode.

    Raises:
        TypeError: if a number is not an integer.
        ValueError: if a number is too small.
    """
    grid = _checked(size, horizon, 1)
    return float(np.mean([grid.straight(goal) for goal in grid.goals()]))


def gridnavi_random(*, size: int = 5, horizon: int = 15) -> float:
    """Expected return of an episode of uniformly random actions.

    Args:
        size: cells per side, at least three.
        horizon: steps in an episode.

    Raises:
        TypeError: if a number is not an integer.
        ValueError: if a number is too small.
    """
    grid = _checked(size, horizon, 1)
    where = np.eye(size**2)[0]
    total = STEP_REWARD * horizon
    for _ in range(horizon):
        moved = np.zeros(size**2)
        for cell, probability in enumerate(where):
            for action in range(len(_MOVES)):
                moved[move(cell, action, size)] += probability / len(_MOVES)
        where = moved
        total += (GOAL_REWARD - STEP_REWARD) * where[grid.goals()].mean()
    return float(total)


class Hypothesis(NamedTuple):
    """Which cells ``[size^2]`` may be the goal, and one of them ``[]`` int32, drawn."""

    possible: jax.Array
    drawn: jax.Array


def gridnavi_posterior_sampling(*, size: int = 5) -> Reference:
    """Posterior sampling: before each episode, draw a goal from those not ruled out.

    The agent walks there, by a shortest way drawn at random, and stays until the
    episode ends, also where it has met the goal on the way. For ``references.learner``.

    Args:
        size: cells per side, at least three.

    Source: Zintgraf et al., "VariBAD: A Very Good Method for Bayes-Adaptive Deep RL via
    Meta-Learning", 2020.

    Raises:
        TypeError: if ``size`` is not an integer.
        ValueError: if it is too small.
    """
    cells = jnp.arange(size**2)
    goals = jnp.asarray(_checked(size, 1, 1).goals())

    def cell_at(position):  # the inverse of what the environment shows
        x, y = jnp.round((position + 1.0) / 2.0 * (size - 1)).astype(jnp.int32)
        return size * x + y

    def draw(key, possible):
        drawn = jax.random.categorical(key, jnp.where(possible, 0.0, -jnp.inf))
        return Hypothesis(possible, drawn.astype(jnp.int32))

    def update(key, meta_params, state, batch):
        del meta_params
        reached = jax.vmap(cell_at)(batch.next_observation.reshape(-1, 2))
        paid = batch.reward.reshape(-1) > (GOAL_REWARD + STEP_REWARD) / 2
        seen = jax.vmap(lambda cell: cells == cell)(reached)
        found = jnp.any(seen & paid[:, None], axis=0)
        left = state.possible & ~jnp.any(seen, axis=0)
        return draw(key, jnp.where(jnp.any(found), found, left)), {}

    def apply(params, carry, timestep):
        cell = cell_at(timestep.observation)
        along_x, along_y = params // size - cell // size, params % size - cell % size
        moves = jnp.asarray(_MOVES)
        towards = (moves[:, 0] == jnp.sign(along_x)) & (moves[:, 0] != 0)
        towards |= (moves[:, 1] == jnp.sign(along_y)) & (moves[:, 1] != 0)
        towards |= (jnp.arange(len(_MOVES)) == 0) & (cell == params)
        logits = jnp.where(towards, 0.0, -jnp.inf)
        return PolicyOutput(Categorical(logits), None), carry

    inner = Inner(
        init=lambda key, meta_params: draw(key, jnp.isin(cells, goals)),
        update=update,
        params=lambda meta_params, state: state.drawn,
    )
    nothing = jnp.zeros((), jnp.int32)
    return Reference(Policy(lambda key: nothing, lambda: (), apply), inner)


def _checked(size: int, horizon: int, num_episodes: int) -> Grid:
    return Grid(
        checks.positive_int("size", size, minimum=3),
        checks.positive_int("horizon", horizon),
        checks.positive_int("num_episodes", num_episodes),
    )
