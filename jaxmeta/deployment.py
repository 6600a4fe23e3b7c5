"""What was learned, as files that need JAX alone: to act, and to adapt."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

import jaxmeta
from jaxmeta import checks, files, recorded
from jaxmeta.policies import first_timestep
from jaxmeta.types import (
    Dataset,
    Environment,
    Experience,
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

    The directory gets

    - ``act.jax``: ``(params, memory, timestep, key) -> (action, mode, memory)`` of
      ``B`` agents side by side that share their params: dicts of arrays, ``memory``
      and ``timestep`` (``observation``, ``previous_action``, ``previous_reward``,
      ``is_first``) with a leading ``[B]``, ``key`` two uint32 that make the action
      random; ``mode`` is the most likely action;
    - ``adapt.jax``, if the learner has inner updates: ``(meta_params, steps, key) ->
      params``, the ``K`` inner updates on ``observation``, ``action``, ``reward``,
      ``terminated``, ``truncated`` and ``next_observation`` ``[K, N, T, ...]``, rows
      that start where an episode does; they count as acted by the policy at hand;
    - ``params.npz`` to act with before adaptation, ``meta_params.npz`` to adapt from,
      and ``memory.npz``, of one agent at the start of a trial: arrays by path;
    - ``manifest.json``: versions, and the shapes of all of this.

    ``B``, ``N`` and ``T`` are any. ``jax.export.deserialize(bytearray(file)).call`` is
    the function; JAX promises that versions of the following six months read it.

    Args:
        learner: that was trained.
        meta_params: its.
        directory: to be made.
        platforms: that the functions can run on, of ``cpu``, ``cuda``, ``rocm`` and
            ``tpu``.

    Raises:
        ValueError: if a platform is none of these, the directory exists, or the learner
            is of a Dataset.
    """
    directory = Path(directory)
    platforms = _checked_platforms(platforms)
    environment = learner.environment
    if isinstance(environment, Dataset):
        raise ValueError("learner: it predicts labels of a Dataset and does not act")
    if directory.exists():
        raise ValueError(f"output: {directory} exists; give a new directory")
    functions = {"act": _act(learner, environment, meta_params, platforms)}
    if learner.num_updates:
        functions["adapt"] = _adapt(learner, environment, meta_params, platforms)
    arrays = {
        "params": by_path(_first_params(learner, meta_params)),
        "meta_params": by_path(meta_params),
        "memory": by_path(learner.policy.initial_carry()),
    }
    manifest = {
        "format": FORMAT,
        "jaxmeta": jaxmeta.__version__,
        "jax": jax.__version__,
        "platforms": list(platforms),
        "environment": environment.name,
        "num_updates": learner.num_updates,
        "functions": {name: _described(one) for name, one in functions.items()},
    }
    _write(directory, functions, arrays, manifest)


def by_path(tree: Any) -> Arrays:
    """The leaves of a pytree, by their paths; one alone is ``all``."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {_name(path): jnp.asarray(leaf) for path, leaf in leaves}


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


def _first_params(learner: MetaLearner, meta_params: Params) -> Params:
    """Those of the policy before it has adapted."""
    inner = learner.inner
    return inner.params(meta_params, inner.init(jax.random.key(0), meta_params))


def _act(
    learner: MetaLearner,
    environment: Environment,
    meta_params: Params,
    platforms: tuple[str, ...],
) -> export.Exported:
    policy = learner.policy
    params_like = _first_params(learner, meta_params)
    memory_like, blank = policy.initial_carry(), first_timestep(environment)
    (count,) = export.symbolic_shape("b")

    def act(params, memory, timestep, key):
        params = _like(params, params_like)

        def one(memory, timestep, key):
            carry = _like(memory, memory_like)
            output, carry = policy.apply(params, carry, Timestep(**timestep))
            distribution = output.distribution
            return distribution.sample(key), distribution.mode(), by_path(carry)

        key = jax.random.wrap_key_data(key, impl="threefry2x32")
        number = jnp.arange(timestep["is_first"].shape[0])
        keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(number)
        return jax.vmap(one)(memory, timestep, keys)

    def batched(tree):
        return {
            name: jax.ShapeDtypeStruct((count, *leaf.shape), leaf.dtype)
            for name, leaf in by_path(tree).items()
        }

    return _exported(
        act,
        platforms,
        _shapes(by_path(params_like)),
        batched(memory_like),
        batched(blank),
    )


def _adapt(
    learner: MetaLearner,
    environment: Environment,
    meta_params: Params,
    platforms: tuple[str, ...],
) -> export.Exported:
    num_updates = learner.num_updates
    num_rows, length = export.symbolic_shape("n, t")

    def adapt(given, steps, key):
        given = _like(given, meta_params)
        keys = jax.random.split(
            jax.random.wrap_key_data(key, impl="threefry2x32"), num_updates + 1
        )
        row = jax.vmap(lambda one: recorded.as_transitions(one, environment))
        experience = Experience(keys, jax.vmap(row)(steps), None)
        params, _ = learner.adapt(given, recorded.as_acted(learner, given, experience))
        return by_path(params)

    action = environment.action
    of_step = {
        "observation": (environment.observation.shape, environment.observation.dtype),
        "action": (action.shape, first_timestep(environment).previous_action.dtype),
        "reward": ((), jnp.float32),
        "terminated": ((), jnp.bool_),
        "truncated": ((), jnp.bool_),
    }
    of_step["next_observation"] = of_step["observation"]
    steps = {
        name: jax.ShapeDtypeStruct((num_updates, num_rows, length, *shape), dtype)
        for name, (shape, dtype) in of_step.items()
    }
    return _exported(adapt, platforms, _shapes(by_path(meta_params)), steps)


def _exported(
    function: Callable[..., Any], platforms: tuple[str, ...], *arguments: Any
) -> export.Exported:
    key = jax.ShapeDtypeStruct((2,), jnp.uint32)
    return export.export(jax.jit(function), platforms=platforms)(*arguments, key)


def _shapes(arrays: Arrays) -> dict[str, jax.ShapeDtypeStruct]:
    return {
        name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)
        for name, leaf in arrays.items()
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
    directory.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        for name, one in functions.items():
            files.write_bytes(made / f"{name}.jax", bytes(one.serialize()))
        for name, leaves in arrays.items():
            values: dict[str, Any] = {k: np.asarray(v) for k, v in leaves.items()}
            np.savez(made / f"{name}.npz", **values)
        (made / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
        made.chmod(0o755)
        os.rename(made, directory)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
