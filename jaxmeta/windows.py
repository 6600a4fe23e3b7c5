"""Through a window of many lives, by the meta-params or by what is proposed."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmeta import checks
from jaxmeta.lifetimes import Lifetime
from jaxmeta.types import Experience, Key, Outer, Params

Live = Callable[[Key, Params, Lifetime], tuple[Lifetime, Experience]]


class Lives(NamedTuple):
    """Agents that live at a time.

    Attributes:
        lifetimes: ``[M]``, or ``[M, P]`` of proposals that persist.
        perturbation: like the meta-params, ``[M]``, see ``lifetimes.Window``; None:
            proposals do not persist, or there are none.
    """

    lifetimes: Lifetime
    perturbation: Any = None


class Ways(NamedTuple):
    """How agents live through windows.

    Attributes:
        start: ``(meta_params, lifetimes [M] at their birth) -> Lives``.
        go_on: ``(keys [M], key of the outer update, meta_params, Lives) ->
            (Lives, experience [M] or [M, P], times a window was lived through)``.
    """

    start: Callable[[Params, Lifetime], Lives]
    go_on: Callable[[Key, Key, Params, Lives], tuple[Lives, Experience, int]]


def ways(
    live: Live, outer: Outer, *, persistent: bool, is_life: bool, is_endless: bool
) -> Ways:
    """How agents live through windows for an outer learner.

    Args:
        live: one agent through one window.
        outer: it may propose meta-params.
        persistent: agents live by proposals for life.
        is_life: a window is all of a life, so nobody has to go on after it.
        is_endless: a life never ends.

    Raises:
        ValueError: if what persists is not proposed, or persists for ever.
    """
    if outer.propose is None:
        if persistent:
            raise ValueError(
                "persistent: agents live for life by what outer proposes, and it "
                "proposes nothing; outer.evolution does"
            )
        return Ways(lambda meta_params, born: Lives(born), partial(_plain, live))
    propose = jax.vmap(outer.propose, in_axes=(0, None))
    if persistent:
        if is_endless:
            raise ValueError(
                "persistent: what is remembered of a life is forgotten at its end, and "
                "lifetime=None has none; give a lifetime"
            )
        return Ways(
            partial(_start_all, outer.propose), partial(_for_life, live, propose)
        )
    return Ways(
        lambda meta_params, born: Lives(born),
        partial(_compared, live, propose, is_life),
    )


def _plain(live, keys, key_outer, meta_params, lives):
    del key_outer
    lived, experience = _all_live(live, keys, meta_params, lives.lifetimes)
    return Lives(lived), experience, 1


def _compared(live, propose, is_life, keys, key_outer, meta_params, lives):
    """Evolution strategies: proposals part from one agent, which goes on without."""
    proposals = propose(jax.random.split(key_outer, len(keys)), meta_params)
    each = jax.vmap(live, in_axes=(None, 0, None))
    lived, experience = jax.vmap(each)(keys, proposals, lives.lifetimes)
    times = lived.age.shape[1]
    if is_life:
        return Lives(jax.tree.map(lambda leaf: leaf[:, 0], lived)), experience, times
    lived, _ = _all_live(live, keys, meta_params, lives.lifetimes)
    return Lives(lived), experience, times + 1


def _start_all(propose, meta_params, born):
    count = jax.tree.leaves(jax.eval_shape(propose, jax.random.key(0), meta_params))[0]

    def repeated(leaf):
        shape = (leaf.shape[0], count.shape[0], *leaf.shape[1:])
        return jnp.broadcast_to(leaf[:, None], shape)

    num_lifetimes = born.age.shape[0]
    nowhere = jax.tree.map(
        lambda leaf: jnp.zeros((num_lifetimes, *leaf.shape)), meta_params
    )
    return Lives(jax.tree.map(repeated, born), nowhere)


def _for_life(live, propose, keys, key_outer, meta_params, lives):
    """Persistent evolution strategies: what is judged is all perturbations so far."""
    proposals = propose(jax.random.split(key_outer, len(keys)), meta_params)
    each = jax.vmap(live, in_axes=(None, 0, 0))
    lived, experience = jax.vmap(each)(keys, proposals, lives.lifetimes)
    perturbation = jax.tree.map(
        lambda total, proposed, mean: total + proposed[:, 0] - mean,
        lives.perturbation,
        proposals,
        meta_params,
    )
    window = experience.window._replace(perturbation=perturbation)
    times = lived.age.shape[1]
    return Lives(lived, perturbation), experience._replace(window=window), times


def _all_live(live, keys, meta_params, lifetimes):
    return jax.vmap(live, in_axes=(0, None, 0))(keys, meta_params, lifetimes)


def checked_lifetime(lifetime: int | None, num_updates: int) -> int | None:
    """A lifetime that a window fits into.

    Raises:
        TypeError: if it is no integer.
        ValueError: if it is shorter than a window, or no multiple of it.
    """
    if lifetime is None:
        return None
    lifetime = checks.positive_int("lifetime", lifetime)
    if num_updates > lifetime:
        raise ValueError(
            f"num_updates must be at most the lifetime, {lifetime}, got {num_updates}"
        )
    if lifetime % num_updates:
        raise ValueError(
            f"lifetime must be a multiple of num_updates={num_updates}, got {lifetime}"
        )
    return lifetime


def check_batch(num_lifetimes: int, lifetime_batch_size: int | None) -> None:
    """Check that lifetimes can be split into batches.

    Raises:
        TypeError: if a number is no integer.
        ValueError: if not.
    """
    if lifetime_batch_size is None:
        return
    size = checks.positive_int("lifetime_batch_size", lifetime_batch_size)
    if num_lifetimes % size:
        raise ValueError(
            f"lifetime_batch_size must divide num_lifetimes={num_lifetimes}, got {size}"
        )
