"""Adaptation to data from outside: logged transitions, as experience of one task."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from gymnax.environments import spaces

from jaxmeta import checks, recorded, trees
from jaxmeta.types import (
    Dataset,
    Environment,
    Experience,
    Key,
    MetaLearner,
    Params,
    Transition,
)

# By the names of D4RL, and those of Minari's episodes.
_NAMES = {
    "observation": ("observations",),
    "action": ("actions",),
    "reward": ("rewards",),
    "terminated": ("terminals", "terminations"),
    "truncated": ("timeouts", "truncations"),
    "next_observation": ("next_observations",),
    "time": ("times", "timesteps"),
}
_MAY_BE_MISSING = {"truncated", "next_observation", "time"}

Steps = dict[str, np.ndarray]  # of one episode, by the names above; each [T, ...]


def logged_experience(
    key: Key,
    learner: MetaLearner,
    meta_params: Params,
    data: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    *,
    length: int | None = None,
    within_bounds: bool = True,
) -> Experience:
    """Logged transitions of one task, as what ``learner.adapt`` adapts to.

    The episodes are dealt out to the ``K`` inner updates in their order, ``N`` to each
    (what is left over is not used). Rows of ``length`` steps are filled up with the
    episodes that follow, as acting goes on after the end of one. The data count as
    what the policy itself did: losses that compare with the policy that acted take it
    to be the one at hand, before each update.

    Args:
        key: of the inner learner.
        learner: that adapts by inner updates.
        meta_params: to adapt from.
        data: arrays by name (NumPy, JAX, or the columns of a data frame), one episode
            after the other: ``observations [S, ...]``, ``actions [S, ...]``, ``rewards
            [S]``, ``terminals [S]`` (the task ended the episode) and ``timeouts [S]``
            (the clock did), as D4RL has them; ``next_observations [S, ...]`` where
            known. Or a sequence of such mappings, one for each episode, as Minari has
            them: with ``terminations`` and ``truncations``, and observations ``[T +
            1]``. With ``times [S]``, time must go on within an episode.
        length: ``T`` steps of a row; by default those of the longest episode.
        within_bounds: whether actions must lie within those of the environment; False
            if the policy's do not either, and the environment clips them.

    Returns:
        Experience with support ``[K, N, T]``, without a query.

    Raises:
        TypeError: if ``data`` is neither, or ``length`` no integer.
        ValueError: if a field is missing or of another shape, numbers are not finite,
            actions are not of the environment, time does not go up, ``length`` is below
            one, there are fewer episodes than inner updates, or the learner has none.
    """
    if length is not None:
        length = checks.positive_int("length", length)
    environment = learner.environment
    if isinstance(environment, Dataset):
        raise ValueError("learner: it learns from examples, not from transitions")
    if learner.num_updates < 1:
        raise ValueError(
            "learner: it has no inner updates; what adapts by its memory adapts where "
            "it acts"
        )
    episodes = _episodes(data)
    for number, episode in enumerate(episodes):
        _check(episode, environment, within_bounds, f"data: episode {number}")
    num_episodes = len(episodes) // learner.num_updates
    if num_episodes == 0:
        raise ValueError(
            f"data: {len(episodes)} episodes are too few for the learner's "
            f"{learner.num_updates} inner updates, each of which needs one"
        )
    if length is None:
        length = max(len(episode["reward"]) for episode in episodes)
    count = learner.num_updates * num_episodes
    rows = [_row(episodes, start, length, environment) for start in range(count)]
    support = jax.tree.map(
        lambda *leaves: jnp.stack(leaves).reshape(
            learner.num_updates, num_episodes, *leaves[0].shape
        ),
        *rows,
    )
    keys = jax.random.split(key, learner.num_updates + 1)
    return _as_acted(learner, meta_params, Experience(keys, support, None))


def _episodes(data: Any) -> list[Steps]:
    """By the names used here, one episode each."""
    if not isinstance(data, Sequence) or isinstance(data, str):
        return _split(_named(data, "data"))
    episodes = []
    for number, one in enumerate(data):
        where = f"data: episode {number}"
        steps = _named(one, where)
        observed, count = steps["observation"], len(steps["reward"])
        if len(observed) == count + 1:
            if "next_observation" not in steps:
                steps["next_observation"] = observed[1:]
            steps["observation"] = observed[:-1]
        parts = _split(steps, where)
        if len(parts) != 1:
            raise ValueError(f"{where} ends {len(parts)} times")
        episodes += parts
    if not episodes:
        raise ValueError("data holds no episode")
    return episodes


def _named(data: Any, where: str) -> Steps:
    if not hasattr(data, "keys") or not hasattr(data, "__getitem__"):
        raise TypeError(
            f"{where} must be a mapping of arrays by name, or a sequence of such, got "
            f"{type(data).__name__}"
        )
    found = {}
    for field, names in _NAMES.items():
        given = [name for name in names if name in data]
        if given:
            found[field] = np.asarray(data[given[0]])
        elif field not in _MAY_BE_MISSING:
            raise ValueError(
                f"{where} lacks {' or '.join(names)}; it holds "
                f"{', '.join(map(str, data.keys()))}"
            )
    return found


def _split(steps: Steps, where: str = "data") -> list[Steps]:
    """Steps of one episode after the other, cut where one ends."""
    count = len(steps["reward"])
    steps.setdefault("truncated", np.zeros(count, bool))
    for field, values in steps.items():
        if len(values) != count:
            raise ValueError(
                f"{where}: rewards are of {count} steps, {_NAMES[field][0]} of "
                f"{len(values)}"
            )
    if count == 0:
        raise ValueError(f"{where} holds no step")
    steps = {
        **steps,
        "terminated": _flags(steps["terminated"], "terminated", where),
        "truncated": _flags(steps["truncated"], "truncated", where),
    }
    ends = steps["terminated"] | steps["truncated"]
    if not ends[-1]:  # the recording ended, the episode did not
        steps["truncated"][-1] = ends[-1] = True
    cuts = np.flatnonzero(ends)[:-1] + 1
    parts = {field: np.split(values, cuts) for field, values in steps.items()}
    return [
        dict(zip(parts, one, strict=True)) for one in zip(*parts.values(), strict=True)
    ]


def _flags(values: np.ndarray, field: str, where: str) -> np.ndarray:
    if values.ndim != 1 or not np.all((values == 0) | (values == 1)):
        raise ValueError(
            f"{where}: {_NAMES[field][0]} must be zero or one for each step"
        )
    return values.astype(bool)


def _check(
    steps: Steps, environment: Environment, within_bounds: bool, where: str
) -> None:
    """Check that an episode can be one of the environment."""
    wanted = {
        "observation": environment.observation.shape,
        "next_observation": environment.observation.shape,
        "action": environment.action.shape,
        "reward": (),
    }
    for field, shape in wanted.items():
        if field in steps and steps[field].shape[1:] != shape:
            raise ValueError(
                f"{where}: {_NAMES[field][0]} of {environment.name} have shape "
                f"{list(shape)} a step, got {list(steps[field].shape[1:])}"
            )
    for field in ("observation", "next_observation", "action", "reward"):
        if field in steps and not np.all(np.isfinite(steps[field])):
            raise ValueError(f"{where}: {_NAMES[field][0]} are not all finite")
    _check_actions(steps["action"], environment, within_bounds, where)
    if "time" in steps and np.any(np.diff(steps["time"]) <= 0):
        raise ValueError(
            f"{where}: times must go up within an episode; sort its steps by time"
        )


def _check_actions(
    actions: np.ndarray, environment: Environment, within_bounds: bool, where: str
) -> None:
    space = environment.action
    low, high = np.min(actions), np.max(actions)
    if isinstance(space, spaces.Discrete):
        if not np.issubdtype(actions.dtype, np.integer):
            raise ValueError(
                f"{where}: actions of {environment.name} are numbered, got "
                f"{actions.dtype}; convert them to integers"
            )
        if low < 0 or high >= space.n:
            raise ValueError(
                f"{where}: actions of {environment.name} are 0 to {space.n - 1}, got "
                f"{low} to {high}"
            )
    elif within_bounds:
        below, above = actions < space.low, actions > space.high
        if np.any(below | above):
            raise ValueError(
                f"{where}: actions of {environment.name} lie in [{space.low}, "
                f"{space.high}], got {low:g} to {high:g}; give them in its units, or "
                "within_bounds=False if it clips those of the policy too"
            )


def _row(
    episodes: list[Steps], start: int, length: int, environment: Environment
) -> Transition:
    """``length`` steps from the start of an episode, and of those that follow it."""
    steps: list[Steps] = []
    while sum(len(one["reward"]) for one in steps) < length:
        steps.append(episodes[(start + len(steps)) % len(episodes)])
    # Of the last step what it reached may not be known: it is worth what its own is.
    for one in steps:
        observed = one["observation"]
        one.setdefault("next_observation", np.append(observed[1:], observed[-1:], 0))
    row = {
        field: np.concatenate([one[field] for one in steps])[:length]
        for field in recorded.FIELDS
    }
    return recorded.as_transitions(row, environment)


def _as_acted(
    learner: MetaLearner, meta_params: Params, experience: Experience
) -> Experience:
    """With the distributions of the policy that each update finds."""
    inner, found = learner.inner, []
    state = inner.init(experience.keys[0], meta_params)
    for update in range(learner.num_updates):
        batch = recorded.as_acted(
            learner.policy,
            inner.params(meta_params, state),
            trees.at(experience.support, update),
        )
        found.append(batch)
        state, _ = inner.update(experience.keys[update + 1], meta_params, state, batch)
    support = jax.tree.map(lambda *leaves: jnp.stack(leaves), *found)
    return experience._replace(support=support)
