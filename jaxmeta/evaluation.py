"""Evaluation: the return before adaptation and after each unit of it."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmeta import adaptation, batching, checks, rollouts
from jaxmeta.learner import mean_returns, performance
from jaxmeta.types import (
    Dataset,
    Environment,
    Experience,
    Key,
    MetaLearner,
    MetaState,
    Params,
    TaskDistribution,
)

# Without inner updates all tasks share the params, and acting on many costs little more
# than on one.
_TASKS_WITHOUT_UPDATES = 512


def adaptation_curve(
    key: Key,
    learner: MetaLearner,
    meta_params: Params,
    tasks: TaskDistribution,
    *,
    num_tasks: int,
    mode: bool = False,
    task_batch_size: int | None = None,
) -> jax.Array:
    """Mean first-episode return of each task, before adaptation and after each update.

    Of a policy with memory it is the return of each episode of a trial, in their order
    (and so again after each inner update, where there are any).

    It is compiled; nothing is learned across tasks. Where the learner's ``length`` is
    below the horizon, the return is that of the steps seen. For a Dataset it is the
    mean score on the query examples, which is that of the mode in any case.

    Args:
        key: consumed.
        learner: the meta-learner. To test with other numbers of updates or episodes
            than it was trained with, make a second one; the meta-params fit both.
        meta_params: what to evaluate.
        tasks: held-out tasks, or the training distribution; their environment, where
            the agent acts, may differ in all but its kind, spaces and horizon.
        num_tasks: how many tasks to draw.
        mode: act with the mode of the distribution. The agent still adapts to data it
            sampled; each return is then that of fresh episodes without exploration.
        task_batch_size: tasks evaluated at a time; see ``batching.map_tasks``. Without
            inner updates 512 by default.

    Returns:
        ``[num_tasks, (K + 1) E]`` returns, ``E`` the episodes of a trial.

    Raises:
        TypeError: if ``key`` is not a typed key, or a MetaState is given as
            ``meta_params``.
        ValueError: if ``num_tasks`` or ``task_batch_size`` is below one, the tasks do
            not fit the learner, or its agents live on: see ``life_curves``.
    """
    options = {"num_tasks": num_tasks, "task_batch_size": task_batch_size}
    curves = _checked(key, learner, meta_params, tasks, mode=mode, **options)
    return curves[-1]


def adaptation_curves(
    key: Key,
    learner: MetaLearner,
    meta_params: Params,
    tasks: TaskDistribution,
    *,
    num_tasks: int,
    task_batch_size: int | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Both curves of :func:`adaptation_curve`, of one and the same adaptation.

    Returns:
        ``[num_tasks, (K + 1) E]`` returns of sampled actions, and of the mode.
    """
    options = {"num_tasks": num_tasks, "task_batch_size": task_batch_size}
    sampled, mode = _checked(key, learner, meta_params, tasks, mode=True, **options)
    return sampled, mode


def _checked(key, learner, meta_params, tasks, *, num_tasks, mode, task_batch_size):
    """``_curves``, once its arguments are known to be good."""
    checks.typed_key(key)
    if isinstance(meta_params, MetaState):
        raise TypeError(
            "meta_params must be state.meta_params, got the whole MetaState"
        )
    check_fit(learner.environment, tasks.environment)
    num_tasks = checks.positive_int("num_tasks", num_tasks)
    if task_batch_size is not None:
        checks.positive_int("task_batch_size", task_batch_size)
    return _curves(key, meta_params, learner, tasks, num_tasks, mode, task_batch_size)


@partial(jax.jit, static_argnums=(2, 3, 4, 5, 6))
def _curves(key, meta_params, learner, tasks, num_tasks, mode, task_batch_size):
    """The curve of sampled actions and, with ``mode``, that of the mode after it."""

    def one(key):
        key_task, key_collect, key_mode = jax.random.split(key, 3)
        task = tasks.sample(key_task)
        experience = learner.collect(
            key_collect, meta_params, task, environment=tasks.environment
        )
        if experience.window is not None:
            raise ValueError(
                "learner: its agents live on, and a batch of theirs starts in the "
                "middle of an episode; life_curves shows how they do"
            )
        sampled = performance(
            meta_params,
            experience,
            environment=tasks.environment,
            policy=learner.policy,
            inner=learner.inner,
            episodes_per_trial=learner.episodes_per_trial,
        )
        if not mode:
            return (sampled,)
        if isinstance(tasks.environment, Dataset):
            return sampled, sampled  # a score is of the whole prediction
        return sampled, _mode_returns(
            key_mode, learner, meta_params, tasks, task, experience
        )

    keys = jax.random.split(key, num_tasks)
    if task_batch_size is None and not learner.num_updates:
        task_batch_size = _TASKS_WITHOUT_UPDATES
    return batching.map_tasks(one, keys, batch_size=task_batch_size)


def check_fit(trained: Environment | Dataset, tested: Environment | Dataset) -> None:
    """Check that an agent made for one environment can act in another.

    Raises:
        ValueError: if their spaces or their horizons differ.
    """
    pairs = {
        "kind": (type(trained).__name__, type(tested).__name__),
        "observation": (trained.observation, tested.observation),
        "action space": (_space(trained.action), _space(tested.action)),
        "horizon": (trained.horizon, tested.horizon),
    }
    for what, (ours, theirs) in pairs.items():
        if ours != theirs:
            raise ValueError(
                f"tasks: the {what} of their environment is {theirs}, the learner was "
                f"made for {ours}"
            )


def _space(space: Any) -> tuple[Any, ...]:
    """What must agree of two action spaces; bounds are those of a random policy."""
    return type(space).__name__, tuple(space.shape), getattr(space, "n", None)


def _mode_returns(key, learner, meta_params, tasks, task, experience: Experience):
    """Returns ``[(K + 1) E]`` of fresh episodes that act with the mode."""
    num_episodes, length = experience.query.reward.shape
    path, _ = adaptation.adaptation_path(meta_params, experience, inner=learner.inner)

    def mode_return(step):
        key, params = step
        batch = rollouts.episodes(
            key,
            tasks.environment,
            learner.policy,
            params,
            task,
            num_episodes=num_episodes,
            length=length,
            mode=True,
        )
        return mean_returns(batch, episodes_per_trial=learner.episodes_per_trial)

    keys = jax.random.split(key, experience.keys.shape[0])  # params may have no leaf
    return jax.vmap(mode_return)((keys, path)).reshape(-1)


class Interval(NamedTuple):
    """An estimate and the ends of its interval."""

    mean: jax.Array
    low: jax.Array
    high: jax.Array


def interquartile_mean(values: jax.Array) -> jax.Array:
    """The mean of the middle half along the first axis ``[n, ...]``.

    A quarter of the values, rounded down, is left out at either end: unlike the mean it
    does not hang on a few seeds, and unlike the median it uses half of them.

    Source: Agarwal, Schwarzer, Castro, Courville and Bellemare, "Deep Reinforcement
    Learning at the Edge of the Statistical Precipice", 2021.

    Raises:
        ValueError: if there are no values.
    """
    values = jnp.asarray(values)
    if values.ndim == 0 or values.shape[0] == 0:
        raise ValueError(f"values must have a first axis of seeds, got {values.shape}")
    count = values.shape[0]
    return jnp.mean(jnp.sort(values, axis=0)[count // 4 : count - count // 4], axis=0)


def bootstrap_interval(
    key: Key,
    values: jax.Array,
    *,
    confidence: float = 0.95,
    num_resamples: int = 1000,
    statistic: Callable[[jax.Array], jax.Array] | None = None,
) -> Interval:
    """Mean over tasks (or seeds) with its percentile-bootstrap interval.

    Args:
        key: consumed.
        values: ``[num_tasks, ...]``; rows are resampled together.
        confidence: the interval's, in (0, 1).
        num_resamples: how often to resample.
        statistic: ``[num_tasks, ...] -> [...]`` in place of the mean, such as
            :func:`interquartile_mean`; it is what ``mean`` then holds.

    Raises:
        TypeError: if ``key`` is not a typed key.
        ValueError: if there are no values, or a number is out of range.

    Source: Efron, "Bootstrap Methods: Another Look at the Jackknife", 1979.
    """
    checks.typed_key(key)
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie in (0, 1), got {confidence}")
    num_resamples = checks.positive_int("num_resamples", num_resamples)
    values = jnp.asarray(values)
    if values.ndim == 0 or values.shape[0] == 0:
        raise ValueError(f"values must have a first axis of tasks, got {values.shape}")
    count = values.shape[0]
    statistic = partial(jnp.mean, axis=0) if statistic is None else statistic

    def resampled_mean(key):
        return statistic(values[jax.random.randint(key, (count,), 0, count)])

    means = jax.lax.map(resampled_mean, jax.random.split(key, num_resamples))
    tail = (1.0 - confidence) / 2.0
    low, high = jnp.quantile(means, jnp.asarray([tail, 1.0 - tail]), axis=0)
    return Interval(statistic(values), low, high)
