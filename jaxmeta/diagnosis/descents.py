"""Adapting to a task as one would without meta-learning: descent by a tuned rate."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxmeta import inner, learner
from jaxmeta.diagnosis.setting import Budget
from jaxmeta.evaluation import adaptation_curve
from jaxmeta.losses import Loss
from jaxmeta.types import (
    Inner,
    Key,
    MetaLearner,
    Outer,
    Params,
    Policy,
    TaskDistribution,
)


class Start(NamedTuple):
    """Where a :class:`Descent` starts, and its rate: the meta-params of its learner.

    Attributes:
        params: of the policy.
        rate: ``[]``; with zero they stay as they are.
        anew: ``[]`` bool, draw params anew for every task and leave these.
    """

    params: Params
    rate: Any
    anew: Any = False


class Descent(NamedTuple):
    """A way to descend.

    Attributes:
        name: to tell it by.
        optimizer: ``rate -> optax transform``.
        rates: to choose from.
    """

    name: str
    optimizer: Callable[[Any], optax.GradientTransformation]
    rates: tuple[float, ...]


DESCENTS = (
    Descent("SGD", optax.sgd, (0.01, 0.1, 1.0, 10.0, 100.0)),
    Descent("Adam", optax.adam, (0.001, 0.01, 0.1, 1.0)),
)


class Chosen(NamedTuple):
    """The descent that did best on tuning tasks.

    Attributes:
        learner: adapts by it; its meta-params are a ``Start``.
        name: of the descent.
        rate: that was chosen.
        tuning: what was tried, each with its mean ``return`` after adaptation.
        anew: whether it starts from params drawn anew.
    """

    learner: MetaLearner
    name: str
    rate: float
    tuning: list[dict[str, Any]]
    anew: bool


@lru_cache(maxsize=16)
def descending(
    tasks: TaskDistribution,
    policy: Policy,
    loss: Loss,
    budget: Budget,
    descent: Descent,
    num_steps: int,
) -> MetaLearner:
    """A learner that meta-learns nothing: it descends from a ``Start`` as one would.

    Args:
        tasks: where it acts.
        policy: who acts.
        loss: what it descends.
        budget: what it may spend on a task.
        descent: how.
        num_steps: on each batch of episodes.
    """

    def by(rate: Any) -> Inner:
        return inner.gradient(loss, descent.optimizer(rate), first_order=True)

    def init(key, start):
        params = jax.tree.map(
            lambda new, old: jnp.where(start.anew, new, old),
            policy.init(key),
            start.params,
        )
        return by(start.rate).init(key, params)

    def update(key, start, state, batch):
        def step(state, _):
            return by(start.rate).update(key, start.params, state, batch)

        state, info = jax.lax.scan(step, state, length=num_steps)
        return state, jax.tree.map(lambda leaf: leaf[-1], info)

    adapter = Inner(init, update, lambda start, state: state.params)
    nothing = Outer(lambda start: (), lambda key, start, state, _: (start, state, {}))
    return learner.meta_learner(
        tasks,
        policy,
        adapter,
        nothing,
        lambda key: start_of(policy.init(key), 0.0),
        num_tasks=1,
        **budget._asdict(),
    )


def start_of(params: Params, rate: float, *, anew: bool = False) -> Start:
    """A ``Start`` of arrays, so that all of them share one program."""
    return Start(params, jnp.float32(rate), jnp.asarray(anew))


def tune(
    key: Key,
    tasks: TaskDistribution,
    learners: Sequence[MetaLearner],
    params: Params,
    *,
    num_tasks: int,
    anew: bool,
) -> Chosen:
    """Choose how to descend, and by which rate, on tuning tasks.

    By the mean return after the whole of adaptation; a rate whose returns are not
    finite is not chosen.

    Args:
        key: consumed; all are tried on the same tasks.
        tasks: to draw the tuning tasks from.
        learners: made by :func:`descending`, one for each of ``DESCENTS``.
        params: to start from.
        num_tasks: tuning tasks.
        anew: start from params drawn anew for every task instead.
    """
    rows = []
    if not learners[0].num_updates:  # nothing adapts, so nothing is to be chosen
        return Chosen(learners[0], DESCENTS[0].name, 0.0, rows, anew)
    for descent, each in zip(DESCENTS, learners, strict=True):
        for rate in descent.rates:
            start = start_of(params, rate, anew=anew)
            curve = adaptation_curve(key, each, start, tasks, num_tasks=num_tasks)
            reached = float(curve[:, -1].mean())
            rows.append({"name": descent.name, "rate": rate, "return": reached})
    best = rows[best_of([row["return"] for row in rows])]
    index = [descent.name for descent in DESCENTS].index(best["name"])
    return Chosen(learners[index], best["name"], best["rate"], rows, anew)


def best_of(returns: Sequence[float]) -> int:
    """Which is highest; none that is NaN."""
    return int(np.argmax(np.nan_to_num(np.asarray(returns), nan=-np.inf)))
