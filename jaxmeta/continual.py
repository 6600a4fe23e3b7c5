"""Adaptation to a stream of batches whose task drifts: keep, forget or start again."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmeta import checks, recorded, trees
from jaxmeta.types import (
    Dataset,
    Examples,
    Info,
    Key,
    MetaLearner,
    Params,
    Transition,
)


class ContinualState(NamedTuple):
    """What is carried from batch to batch, a plain pytree.

    Attributes:
        inner: the state of the inner learner.
        num_batches: ``[]`` int32, since the start.
        age: ``[]`` int32, batches since adaptation last started from the meta-params.
        best: ``[]``, the best mean return of a batch since then.
        batches: the last batches, oldest first, ``[W, N, T]``; None without a window.
    """

    inner: Any
    num_batches: jax.Array
    age: jax.Array
    best: jax.Array
    batches: Any = None


class Continual(NamedTuple):
    """Adaptation without an end as pure functions; jit, vmap (over users) or scan them.

    Attributes:
        start: ``(key, meta_params, batch=None) -> state``, before any data. A window
            needs a batch, whose shapes alone matter.
        update: ``(key, meta_params, state, batch) -> (state, info)``, on transitions
            ``[N, T]`` or examples ``[N]``. Its info holds ``reset`` ``[]`` bool, of
            transitions ``return`` ``[]``, the mean over rows of their sum of rewards,
            and what the inner learner says of its update.
        params: ``(meta_params, state) -> policy params`` to act with.
    """

    start: Callable[..., ContinualState]
    update: Callable[[Key, Params, ContinualState, Any], tuple[ContinualState, Info]]
    params: Callable[[Params, ContinualState], Params]


def continual(
    learner: MetaLearner,
    *,
    forgetting: float = 0.0,
    window: int | None = None,
    reset_every: int | None = None,
    reset_drop: float | None = None,
) -> Continual:
    r"""Adapt again with every batch that comes, and choose what becomes of the old.

    A batch is one inner update of the learner. Before it the adapted state ``s`` is
    drawn towards that of a fresh start, ``s_0``::

        s <- s_0 + (1 - forgetting) (s - s_0)

    With 0 nothing is forgotten, which suits a task that stays; with 1 every batch
    starts from the meta-params. In between, the influence of a batch halves every
    ``log 2 / -log(1 - forgetting)`` batches. Counts, such as those of a schedule of
    rates, decay likewise and are rounded, so that they stop at about
    ``1 / (2 forgetting)``. Other ways to forget, one at a time:

    - ``window``: adapt from the meta-params on the last so many batches.
    - ``reset_every``: start from the meta-params at every so many batches.
    - ``reset_drop``: start from them where the mean return of a batch has fallen by
      more than this below the best since the last start.

    Batches may come from acting or from a log: like those of ``logged_experience`` they
    count as what the policy itself did, with the params that each update finds. Where
    an update starts from others than those that acted, after forgetting, a reset or in
    a window, that is biased. Ratios against those that acted would not be, but those of
    a policy that has become sharp are so large that adaptation diverged; a window, most
    of whose batches are of other params, can diverge in any case. ::

        stream = jm.continual(maml, forgetting=0.2)
        state = stream.start(key, meta_params)
        update = jax.jit(stream.update)
        for key, batch in ...:
            act with stream.params(meta_params, state)
            state, info = update(key, meta_params, state, batch)

    Args:
        learner: one with inner updates, such as MAML or CAVIA. One that adapts in its
            memory forgets where its trial starts anew.
        forgetting: in [0, 1].
        window: ``W`` batches.
        reset_every: batches between starts.
        reset_drop: in units of the return of a row.

    Raises:
        TypeError: if a number is of the wrong kind, or ``learner`` is no meta-learner.
        ValueError: if the learner has no inner updates, a number is out of range, two
            ways to forget are given, or returns are asked of examples; from ``start``,
            if a window has no batch.
    """
    _check(learner, forgetting, window, reset_every, reset_drop)
    inner, keeps = learner.inner, 1.0 - forgetting

    def decayed(fresh, state):
        def leaf(start, now):
            if jnp.issubdtype(now.dtype, jnp.floating):
                return start + keeps * (now - start)
            if jnp.issubdtype(now.dtype, jnp.integer):
                moved = jnp.round(start + keeps * (now - start))
                return moved.astype(now.dtype)
            return now

        return jax.tree.map(leaf, fresh, state) if forgetting else state

    def advance(key, meta_params, state, batch):
        if not isinstance(batch, Examples):
            batch = recorded.as_acted(
                learner.policy, inner.params(meta_params, state), batch
            )
        return inner.update(key, meta_params, state, batch)

    def start(key, meta_params, batch=None):
        if window is not None and batch is None:
            raise ValueError(
                f"batch: a window of {window} batches needs one of the shape to come"
            )
        kept = None
        if window is not None:
            kept = jax.tree.map(
                lambda leaf: jnp.zeros((window, *jnp.shape(leaf)), leaf.dtype),
                _without_distribution(batch),
            )
        zero = jnp.zeros((), jnp.int32)
        fresh = trees.strong_types(inner.init(key, meta_params))
        state = ContinualState(fresh, zero, zero, jnp.full((), -jnp.inf), kept)
        return trees.strong_types(state)

    def update(key, meta_params, state, batch):
        key_init, key_update = jax.random.split(key)
        batch = _without_distribution(batch)
        fresh = trees.strong_types(inner.init(key_init, meta_params))
        achieved = jnp.full((), jnp.nan)
        if not isinstance(batch, Examples):
            achieved = jnp.mean(jnp.sum(batch.reward, axis=-1))
        reset = jnp.zeros((), bool)
        if reset_every is not None:
            reset = (state.age >= reset_every) & (state.num_batches > 0)
        if reset_drop is not None:
            reset = achieved < state.best - reset_drop
        if window is None:
            found = trees.where(reset, fresh, decayed(fresh, state.inner))
            found, info = advance(key_update, meta_params, found, batch)
            kept = None
        else:
            kept = jax.tree.map(
                lambda old, new: jnp.concatenate([old[1:], new[None]]),
                state.batches,
                batch,
            )
            seen = jnp.arange(window) >= window - 1 - state.num_batches
            found, info = _replay(advance, key_update, meta_params, fresh, kept, seen)
        age = jnp.where(reset, 1, state.age + 1)
        best = jnp.where(reset, -jnp.inf, jnp.fmax(state.best, achieved))
        state = ContinualState(found, state.num_batches + 1, age, best, kept)
        if not isinstance(batch, Examples):
            info = {**info, "return": achieved}
        return trees.strong_types(state), {**info, "reset": reset}

    def params(meta_params, state):
        return inner.params(meta_params, state.inner)

    return Continual(start, update, params)


def _replay(advance, key, meta_params, fresh, batches, seen):
    """Update on the batches that were seen, from a fresh start; info of the last."""

    def step(state, one):
        key, batch, is_seen = one
        moved, info = advance(key, meta_params, state, batch)
        return trees.where(is_seen, moved, state), info

    keys = jax.random.split(key, seen.shape[0])
    state, info = jax.lax.scan(step, fresh, (keys, batches, seen))
    return state, trees.at(info, -1)


def _without_distribution(batch: Any) -> Any:
    """Who acted is decided by the params that an update finds."""
    if isinstance(batch, Transition):
        return batch._replace(distribution=None)
    return batch


def _check(learner, forgetting, window, reset_every, reset_drop) -> None:
    if not isinstance(learner, MetaLearner):
        raise TypeError(f"learner must be a MetaLearner, got {type(learner).__name__}")
    if learner.num_updates < 1:
        raise ValueError(
            "learner: it has no inner updates; what adapts in its memory forgets where "
            "a trial starts, with policy.initial_carry()"
        )
    checks.unit_interval("forgetting", forgetting)
    for name, value in (("window", window), ("reset_every", reset_every)):
        if value is not None:
            checks.positive_int(name, value)
    if reset_drop is not None:
        checks.positive("reset_drop", reset_drop)
        if isinstance(learner.environment, Dataset):
            raise ValueError("reset_drop: examples have no return to fall")
    ways = {
        "forgetting": forgetting or None,
        "window": window,
        "reset_every": reset_every,
        "reset_drop": reset_drop,
    }
    given = [name for name, value in ways.items() if value is not None]
    if len(given) > 1:
        got = " and ".join(f"{name}={ways[name]}" for name in given)
        raise ValueError(f"{got}: choose one way to forget")
