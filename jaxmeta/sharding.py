"""The task axis over several devices, of one process or of several.

Several processes (hosts of a pod, jobs of SLURM) run the same program, each of which
first calls ``jax.distributed.initialize()``, before it imports jaxmeta, as importing
gymnax makes arrays. ``task_mesh()`` is then of the devices of all of them.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxmeta.types import Info, Key, MetaLearner, MetaState

logger = logging.getLogger(__name__)

AXIS = "tasks"


class UnevenError(ValueError):
    """Tasks that cannot be shared out evenly."""


class _Axis(NamedTuple):
    mesh: Mesh
    num_tasks: int | None  # None: not in an update yet


_axis: ContextVar[_Axis | None] = ContextVar("task axis", default=None)


def task_mesh(devices: Sequence[Any] | None = None) -> Mesh:
    """A mesh of one axis, ``tasks``.

    Args:
        devices: by default all there are, those of other processes included.
    """
    found = jax.devices() if devices is None else list(devices)
    return jax.make_mesh((len(found),), (AXIS,), (AxisType.Auto,), devices=found)


def sharded(learner: MetaLearner, mesh: Mesh | None = None) -> MetaLearner:
    """The same meta-learner, whose tasks are spread over the devices of a mesh.

    Every device acts and adapts in its share of the tasks (or lifetimes), and the mean
    over all of them makes the meta-gradient: the batch is that of the learner, however
    many devices there are, and so are the results, but for the order of sums. The
    meta-params are on every device, agents that live on where they live. Only ``init``
    and ``update`` differ. What works on all tasks at once (minibatches, replays) is
    right but gains less.

    The cores of a CPU are devices too where ``JAX_NUM_CPU_DEVICES`` says so.

    Args:
        learner: made by jaxmeta; its number of tasks is a multiple of that of devices.
        mesh: by default ``task_mesh()``.

    Raises:
        ValueError: if the mesh has another axis than ``tasks``.
        UnevenError: a ValueError, if the tasks cannot be shared out evenly.
    """
    mesh = task_mesh() if mesh is None else mesh
    if mesh.axis_names != (AXIS,):
        raise ValueError(
            f"mesh must have the one axis {AXIS!r}, as task_mesh() makes it, got "
            f"{mesh.axis_names}"
        )

    def init(key):
        with _entered(_Axis(mesh, None)):
            return learner.init(key)

    def update(key, state):
        with _entered(_Axis(mesh, None)):
            return learner.update(key, state)

    made = learner._replace(init=init, update=update)
    key = jax.eval_shape(lambda: jax.random.key(0))
    jax.eval_shape(update, key, jax.eval_shape(init, key))  # can they be shared out?
    return made


def over_all_devices(learner: MetaLearner) -> MetaLearner:
    """``sharded`` over all devices; a warning where tasks cannot be shared out evenly.

    Raises:
        UnevenError: then, if there are several processes, each of which would do all of
            the work.
    """
    if jax.device_count() == 1:
        return learner
    try:
        return sharded(learner)
    except UnevenError as error:
        if jax.process_count() > 1:
            raise
        logger.warning("training on one of %d devices: %s", jax.device_count(), error)
        return learner


@contextmanager
def _entered(axis: _Axis | None) -> Iterator[None]:
    token = _axis.set(axis)
    try:
        yield
    finally:
        _axis.reset(token)


def spread(
    update: Callable[[Key, MetaState], tuple[MetaState, Info]],
    num_tasks: int,
    name: str = "num_tasks",
) -> Callable[[Key, MetaState], tuple[MetaState, Info]]:
    """An update in which leading axes of so many are spread, where a mesh is given.

    Raises:
        UnevenError: from the update, if they are no multiple of the number of devices.
    """

    def spread_update(key, state):
        axis = _axis.get()
        if axis is None:
            return update(key, state)
        if num_tasks % axis.mesh.size:
            raise UnevenError(
                f"{name} must be a multiple of the {axis.mesh.size} devices of the "
                f"mesh, so that each gets as many, got {num_tasks}"
            )
        with _entered(axis._replace(num_tasks=num_tasks)):
            return update(key, state)

    return spread_update


def over_tasks(tree: Any) -> Any:
    """Spread the leading axis of every leaf over the devices, if there is a mesh."""
    return _placed(tree, PartitionSpec(AXIS))


def replicated(tree: Any) -> Any:
    """Keep all of every leaf on every device, if there is a mesh."""
    return _placed(tree, PartitionSpec())


def _placed(tree: Any, spec: PartitionSpec) -> Any:
    axis = _axis.get()
    if axis is None:
        return tree
    return jax.lax.with_sharding_constraint(tree, NamedSharding(axis.mesh, spec))


def num_shards(num_tasks: int) -> int:
    """In how many parts an axis of so many is spread."""
    axis = _axis.get()
    if axis is None or axis.num_tasks != num_tasks:
        return 1
    return axis.mesh.size


def apart() -> Any:
    """A context in which nothing is spread: a device's own work."""
    return _entered(None)
