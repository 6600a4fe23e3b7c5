"""What was learned, as files that need JAX alone: to act, and to adapt."""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from jax import export

import jaxmeta
from jaxmeta import checks, files, recorded
from jaxmeta.policies import first_timestep
from jaxmeta.types import (
    Dataset,
    Environment,
    MetaLearner,
    Params,
    Timestep,
)

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
FORMAT = 1

Arrays = dict[str, jax.Array]  # the leaves of a pytree by their paths


def export_functions(
    learner: MetaLearner,
    meta_params: Params,
    directory: str | Path,
    *,
    platforms: Sequence[str] = ("cpu", "cuda", "tpu"),
) -> None:
    """Write how a meta-trained agent acts and adapts, for programs without jaxmeta.

    The directory gets functions of dicts of arrays, and arrays by path (``.npz``):

    - ``start.jax``: ``(meta_params, key) -> (state, params)``, an agent before it has
      adapted; ``meta_params.npz`` has what was learned.
    - ``act.jax``: ``(params, memory, timestep, key) -> (action, mode, memory)`` of
      ``B`` agents side by side that share their params. ``memory`` and ``timestep``
      (``observation``, ``previous_action``, ``previous_reward``, ``is_first``) have a
      leading ``[B]``; ``memory.npz`` and ``timestep.npz`` have one of each, ``[1]``, at
      the start of a trial. Within a trial memory, last action and last reward go on
      from episode to episode, and ``is_first`` says where one starts. The action is
      random, ``mode`` the most likely one.
    - ``adapt.jax``, if the learner has inner updates: ``(meta_params, state, steps,
      key) -> (state, params)``, one of them, on ``observation``, ``action``,
      ``reward``, ``terminated``, ``truncated`` and ``next_observation`` ``[N, T,
      ...]``, that ``params`` acted. A row starts where an episode does; after its end
      the next one follows, so that no step is filling.
    - ``manifest.json``: versions, platforms, precision and all shapes.

    ``B``, ``N`` and ``T`` are any. A key is two uint32, such as
    ``jax.random.PRNGKey(0)``. ``jax.jit(jax.export.deserialize(bytearray(content))
    .call)`` is the function; it takes the package flatbuffers, and a JAX that is not
    much older. Matrices are multiplied as ``jax.default_matmul_precision`` says when
    this is called.

    Args:
        learner: that was trained.
        meta_params: its.
        directory: to be made.
        platforms: that the functions can run on, of ``cpu``, ``cuda``, ``rocm`` and
            ``tpu``.

    Raises:
        ValueError: if a platform is none of these, the directory exists, the learner is
            of a Dataset, its updates need batches of certain sizes, or a leaf of its
            params or its memory is no plain array with a path of its own.
    """
    directory = Path(directory)
    platforms = _checked_platforms(platforms)
    environment = learner.environment
    if isinstance(environment, Dataset):
        raise ValueError("learner: it predicts labels of a Dataset and does not act")
    check_is_new(directory)
    inner, key, config = learner.inner, jax.random.key(0), cast(Any, jax.config)
    state_like = jax.eval_shape(inner.init, key, meta_params)
    params_like = jax.eval_shape(inner.params, meta_params, state_like)
    arrays = {
        "meta_params": by_path(meta_params),
        "memory": _alone(learner.policy.initial_carry()),
        "timestep": _alone(first_timestep(environment)._asdict()),
    }
    functions = {
        "start": _start(learner, meta_params),
        "act": _act(learner, params_like, arrays),
    }
    if learner.num_updates:
        functions["adapt"] = _adapt(learner, environment, meta_params, state_like)
    exported = {
        name: export.export(jax.jit(one.function), platforms=platforms)(*one.arguments)
        for name, one in functions.items()
    }
    manifest = {
        "format": FORMAT,
        "jaxmeta": jaxmeta.__version__,
        "jax": jax.__version__,
        "platforms": list(platforms),
        "matmul_precision": config.jax_default_matmul_precision,
        "environment": environment.name,
        "num_updates": learner.num_updates,
        "max_length": learner.policy.max_length,
        "functions": {name: _described(one) for name, one in exported.items()},
    }
    _write(directory, exported, arrays, manifest)


def check_is_new(directory: Path) -> None:
    """Nothing is written over.

    Raises:
        ValueError: if the directory exists.
    """
    if directory.exists():
        raise ValueError(f"output: {directory} exists; give a new directory")


class _Function(NamedTuple):
    function: Callable[..., Any]
    arguments: tuple[Any, ...]  # shapes


def by_path(tree: Any) -> Arrays:
    """The leaves of a pytree, by their paths; one alone is ``all``.

    Raises:
        ValueError: if two have the same path, or one is no plain array.
    """
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    found = {_name(path): leaf for path, leaf in leaves}
    if len(found) < len(leaves):
        raise ValueError(
            "learner: some leaves of its params or its memory have the same path; "
            f"rename those with a slash in it, of {', '.join(found)}"
        )
    for name, leaf in found.items():
        dtype = getattr(leaf, "dtype", type(leaf))
        if getattr(dtype, "kind", None) not in set("biufc"):
            raise ValueError(
                f"learner: {name} of its params or its memory is no array that NumPy "
                f"has, but {dtype}"
            )
    return found


def _alone(tree: Any) -> Arrays:
    """With an axis for one agent."""
    return {name: jnp.asarray(leaf)[None] for name, leaf in by_path(tree).items()}


def _like(arrays: Arrays, tree: Any) -> Any:
    """The pytree whose leaves they are."""
    paths, structure = jax.tree_util.tree_flatten_with_path(tree)
    return jax.tree.unflatten(structure, [arrays[_name(path)] for path, _ in paths])


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/") or "all"


def _checked_platforms(platforms: Sequence[str]) -> tuple[str, ...]:
    if isinstance(platforms, str) or not platforms:
        raise ValueError(
            f"platforms must be some of {', '.join(PLATFORMS)}, got {platforms!r}"
        )
    for one in platforms:
        checks.one_of("platforms", one, PLATFORMS)
    return tuple(dict.fromkeys(platforms))


_KEY = jax.ShapeDtypeStruct((2,), jnp.uint32)


def _typed(key: jax.Array) -> jax.Array:
    return jax.random.wrap_key_data(key, impl="threefry2x32")


def _start(learner: MetaLearner, meta_params: Params) -> _Function:
    def start(given, key):
        given = _like(given, meta_params)
        state = learner.inner.init(_typed(key), given)
        return by_path(state), by_path(learner.inner.params(given, state))

    return _Function(start, (_shapes(meta_params), _KEY))


def _act(
    learner: MetaLearner, params_like: Params, arrays: dict[str, Arrays]
) -> _Function:
    policy = learner.policy
    memory_like = policy.initial_carry()
    (count,) = export.symbolic_shape("b")

    def act(params, memory, timestep, key):
        params, key = _like(params, params_like), _typed(key)

        def one(memory, timestep, number):
            carry = _like(memory, memory_like)
            output, carry = policy.apply(params, carry, Timestep(**timestep))
            action = output.distribution.sample(jax.random.fold_in(key, number))
            return action, output.distribution.mode(), by_path(carry)

        numbers = jnp.arange(timestep["is_first"].shape[0])
        return jax.vmap(one)(memory, timestep, numbers)

    def batched(arrays):
        return {
            name: jax.ShapeDtypeStruct((count, *leaf.shape[1:]), leaf.dtype)
            for name, leaf in arrays.items()
        }

    memory, timestep = batched(arrays["memory"]), batched(arrays["timestep"])
    return _Function(act, (_shapes(params_like), memory, timestep, _KEY))


def _adapt(
    learner: MetaLearner, environment: Environment, meta_params: Params, state_like: Any
) -> _Function:
    inner = learner.inner
    rows = export.symbolic_shape("n, t")

    def adapt(given, state, steps, key):
        given, state = _like(given, meta_params), _like(state, state_like)
        row = jax.vmap(lambda one: recorded.as_transitions(one, environment))
        batch = recorded.as_acted(
            learner.policy, inner.params(given, state), row(steps)
        )
        try:
            state, _ = inner.update(_typed(key), given, state, batch)
        except ValueError as error:
            raise ValueError(
                f"learner: its updates need batches of certain sizes: {error}"
            ) from error
        return by_path(state), by_path(inner.params(given, state))

    observation, blank = environment.observation, first_timestep(environment)
    shapes = {
        "observation": observation,
        "action": blank.previous_action,
        "reward": blank.previous_reward,
        "terminated": blank.is_first,
        "truncated": blank.is_first,
        "next_observation": observation,
    }
    steps = {
        name: jax.ShapeDtypeStruct((*rows, *like.shape), like.dtype)
        for name, like in shapes.items()
    }
    return _Function(adapt, (_shapes(meta_params), _shapes(state_like), steps, _KEY))


def _shapes(tree: Any) -> dict[str, jax.ShapeDtypeStruct]:
    return {
        name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)
        for name, leaf in by_path(tree).items()
    }


def _described(exported: export.Exported) -> dict[str, Any]:
    """Shapes and dtypes of what goes in and what comes out."""
    arguments, _ = jax.tree.unflatten(exported.in_tree, exported.in_avals)
    results = jax.tree.unflatten(exported.out_tree, exported.out_avals)
    return jax.tree.map(str, {"arguments": arguments, "results": results})


def _write(
    directory: Path,
    functions: dict[str, export.Exported],
    arrays: dict[str, Arrays],
    manifest: dict[str, Any],
) -> None:
    """All files or none: under another name first."""
    made = directory.parent / f".{directory.name}.{os.getpid()}.tmp"
    made.mkdir(parents=True)
    try:
        for name, one in functions.items():
            files.write_bytes(made / f"{name}.jax", bytes(one.serialize()))
        for name, leaves in arrays.items():
            files.write_arrays(made / f"{name}.npz", leaves)
        files.write_json(made / "manifest.json", manifest)
        made.rename(directory)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
