"""Meta-updates whose results are not finite are skipped."""

import logging

import jax
import jax.numpy as jnp
import numpy as np

from jaxmeta import trees
from jaxmeta.types import Info, Key, MetaLearner, MetaState

logger = logging.getLogger(__name__)

SKIPPED = "skipped_updates"


def skip_nonfinite(learner: MetaLearner) -> MetaLearner:
    """The same meta-learner, which passes over updates that would not be finite.

    ``state <- update(key, state)`` where all of it is finite; else meta-params and the
    outer learner's state stay what they were, and only ``step`` counts on, so that the
    next update has another key. ``skipped_updates`` of the info is 1 then, else 0; what
    else is in the info of such an update means nothing.

    Entries that were not finite before, such as bounds kept in an environment's state,
    do not count. Where every update is finite, states are the same to the bit. The
    state before an update is kept until its end, so a replay is copied in each.

    Args:
        learner: to guard.
    """

    def update(key: Key, state: MetaState) -> tuple[MetaState, Info]:
        after, info = learner.update(key, state)
        pairs = zip(jax.tree.leaves(state), jax.tree.leaves(after), strict=True)
        gone = [jnp.any(_gone(old, new)) for old, new in pairs if _is_float(new)]
        fine = ~jnp.any(jnp.stack([jnp.zeros((), bool), *gone]))
        kept = trees.where(fine, after, state)._replace(step=after.step)
        skipped = (~fine).astype(jnp.int32)
        if SKIPPED in info:  # guarded twice
            skipped = jnp.maximum(skipped, info[SKIPPED])
        return kept, {**info, SKIPPED: skipped}

    return learner._replace(update=update)


class Watch:
    """Counts the updates that a guarded learner skips in a row.

    Args:
        key: of the run; that of update ``i`` is ``fold_in(key, i)``.
        learner: without the guard.
        limit: how many in a row are too many.
    """

    def __init__(self, key: Key, learner: MetaLearner, limit: int):
        self.key, self.learner = key, learner
        self._limit, self._in_a_row = limit, 0

    def problem(
        self, state: MetaState, skipped: np.ndarray
    ) -> FloatingPointError | None:
        """What to raise, if there were too many.

        Args:
            state: after the updates.
            skipped: ``[n]``, whether each of them was skipped.
        """
        step, in_a_row = int(state.step), 0
        for one in skipped:
            self._in_a_row = self._in_a_row + 1 if one else 0
            in_a_row = max(in_a_row, self._in_a_row)
        if not np.any(skipped):
            return None
        logger.warning(
            "%d of the %d updates up to %d would not be finite and were skipped",
            np.sum(skipped),
            len(skipped),
            step,
        )
        if in_a_row < self._limit:
            return None
        found = ""
        if self._in_a_row:  # the state is still the one it was tried from
            before = state._replace(step=state.step - 1)
            found = f" Not finite in the last: {self._diagnose(before)}."
        return FloatingPointError(
            f"training stopped after {step} updates: {in_a_row} of them in a row would "
            f"not be finite and were skipped.{found} debug finds the operation"
        )

    def _diagnose(self, state: MetaState) -> str:
        """What of its update is not finite: paths in the info and the next state."""
        update = jax.jit(self.learner.update)
        after, info = update(jax.random.fold_in(self.key, state.step), state)
        rows = zip(
            trees.paths(after._asdict()),
            jax.tree.leaves(state._asdict()),
            jax.tree.leaves(after._asdict()),
            strict=True,
        )
        names = [
            f"info/{name}"
            for name, value in info.items()
            if not np.all(np.isfinite(value))
        ]
        names += [
            path for path, old, new in rows if _is_float(new) and _gone(old, new).any()
        ]
        rest = f" and {len(names) - 8} more" if len(names) > 8 else ""
        return ", ".join(names[:8]) + rest


def _gone(before: jax.Array, after: jax.Array) -> jax.Array:
    """Where numbers were finite and are not any more."""
    return jnp.isfinite(before) & ~jnp.isfinite(after)


def _is_float(leaf: jax.Array) -> bool:
    return jnp.issubdtype(leaf.dtype, jnp.floating)
