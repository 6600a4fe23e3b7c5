"""Functions written for programs that have JAX alone, called by one that does."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmeta as jm
from jaxmeta import (
    adaptation,
    deployment,
    files,
    policies,
    recipes,
    recorded,
    rollouts,
)

TASKS = jm.tasks.navigation2d(horizon=6)
CALL = """
import sys
import jax
import numpy as np
from jax import export

directory, given, made, name, *groups = sys.argv[1:]
inputs = dict(np.load(given))

def group(name):
    if name == "meta_params":
        return dict(np.load(f"{directory}/meta_params.npz"))
    start = f"{name}|"
    return {k[len(start):]: v for k, v in inputs.items() if k.startswith(start)}

with open(f"{directory}/{name}.jax", "rb") as file:
    function = jax.jit(export.deserialize(bytearray(file.read())).call)
results = function(*map(group, groups), inputs["key"])
paths = jax.tree_util.tree_leaves_with_path(results)
named = {jax.tree_util.keystr(p, simple=True, separator="|"): x for p, x in paths}
np.savez(made, **named)
assert "jaxmeta" not in sys.modules and "gymnax" not in sys.modules
"""


def elsewhere(tmp_path, directory, function, key, **groups):
    """What a function returns in a process without jaxmeta, by ``RESULT|NAME``."""
    given, made = tmp_path / "given.npz", tmp_path / "made.npz"
    inputs = {
        f"{g}|{k}": v for g, leaves in groups.items() for k, v in (leaves or {}).items()
    }
    np.savez(given, key=jax.random.key_data(key), **inputs)
    subprocess.run(
        [sys.executable, "-c", CALL, directory, given, made, function, *groups],
        check=True,
        cwd=tmp_path,
    )
    with np.load(made) as found:
        return dict(found)


def part(results, number):
    start = f"{number}|"
    return {k[len(start) :]: v for k, v in results.items() if k.startswith(start)}


def same(arrays, tree):
    """Whether arrays by path are the leaves of a pytree, to 1e-6."""
    leaves = deployment.by_path(tree)
    assert set(arrays) == set(leaves)
    for name, leaf in leaves.items():
        np.testing.assert_allclose(arrays[name], leaf, rtol=1e-5, atol=1e-6)


def maml(num_updates=2):
    return jm.maml(
        TASKS,
        policies.mlp(TASKS.environment, hidden=(8,)),
        inner_optimizer=optax.sgd(0.1),
        outer_optimizer=optax.adam(1e-3),
        num_tasks=2,
        num_updates=num_updates,
        num_episodes=3,
    )


@pytest.fixture(scope="module")
def learned():
    learner, key = maml(), jax.random.key(0)
    # Away from the small last layer, where little is learned in the first.
    return learner, jax.tree.map(
        lambda leaf: leaf + 0.3 * jax.random.normal(key, leaf.shape),
        learner.init(key).meta_params,
    )


@pytest.fixture(scope="module")
def directory(learned, tmp_path_factory):
    directory = tmp_path_factory.mktemp("exported") / "agent"
    jm.export_functions(*learned, directory)
    return directory


@pytest.mark.parametrize("count", [1, 3])
def test_it_acts_as_the_policy_does(learned, directory, tmp_path, key, count):
    learner, params = learned
    blank = policies.first_timestep(TASKS.environment)
    timestep = jax.tree.map(lambda leaf: jnp.stack([leaf] * count), blank)
    timestep = timestep._replace(observation=jax.random.normal(key, (count, 2)))
    found = elsewhere(
        *(tmp_path, directory, "act", key),
        params=deployment.by_path(params),
        memory={},
        timestep=timestep._asdict(),
    )
    output, _ = jax.vmap(lambda one: learner.policy.apply(params, (), one))(timestep)
    keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(count))
    drawn = jax.vmap(lambda d, key: d.sample(key))(output.distribution, keys)
    mode = output.distribution.mode()
    np.testing.assert_allclose(found["0"], drawn, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found["1"], mode, rtol=1e-6, atol=1e-6)
    assert not np.allclose(drawn, mode, atol=1e-3)


def test_it_adapts_as_the_learner_does(learned, directory, tmp_path, key):
    """To more and longer episodes than it was trained with, one update at a time."""
    learner, meta_params = learned
    episodes = [recorded_episode(number) for number in range(10)]
    experience = jm.logged_experience(key, learner, meta_params, episodes)
    keys = jax.random.split(key, 3)
    results = elsewhere(tmp_path, directory, "start", keys[0], meta_params=None)
    same(part(results, 1), meta_params)
    for update in range(2):
        steps = {
            name: np.stack([one[field] for one in episodes[5 * update :][:5]])
            for name, field in NAMES.items()
        }
        results = elsewhere(
            *(tmp_path, directory, "adapt", keys[update + 1]),
            meta_params=None,
            state=part(results, 0),
            steps=steps,
        )
        path, _ = adaptation.adaptation_path(
            meta_params, experience, inner=learner.inner
        )
        same(part(results, 1), jm.trees.at(path, update + 1))
        moved = jm.trees.at(path, update), jm.trees.at(path, update + 1)
        assert jm.trees.safe_norm(jax.tree.map(jnp.subtract, *moved)) > 1e-3


NAMES = {
    "observation": "observations",
    "action": "actions",
    "reward": "rewards",
    "terminated": "terminations",
    "truncated": "truncations",
    "next_observation": "next_observations",
}


def recorded_episode(number, length=9):
    generator = np.random.default_rng(number)
    return {
        "observations": generator.normal(size=(length, 2)).astype(np.float32),
        "actions": generator.uniform(-0.1, 0.1, (length, 2)).astype(np.float32),
        "rewards": generator.normal(size=length).astype(np.float32),
        "terminations": np.zeros(length, bool),
        "truncations": np.arange(length) == length - 1,
        "next_observations": generator.normal(size=(length, 2)).astype(np.float32),
    }


@pytest.mark.slow
def test_its_memory_lasts(tmp_path, key):
    tasks = jm.tasks.bernoulli_bandit(3, horizon=4)
    policy = policies.recurrent(tasks.environment, core=policies.gru(5))
    learner = jm.rl2(
        tasks,
        policy,
        outer_optimizer=optax.adam(1e-3),
        num_tasks=2,
        num_episodes=1,
        num_minibatches=1,
    )
    params = jax.tree.map(
        lambda leaf: leaf + jax.random.normal(key, leaf.shape),
        learner.init(key).meta_params,
    )
    agent = tmp_path / "agent"
    jm.export_functions(learner, params, agent, platforms=["cpu"])
    assert not (agent / "adapt.jax").exists()
    experience = learner.collect(key, params, tasks.sample(key))
    trajectory = jm.trees.at(experience.query, 0)
    output, _ = rollouts.unroll(policy, params, trajectory, next_values=False)
    with np.load(agent / "timestep.npz") as first:
        start = jax.tree.map(lambda leaf: leaf[0], trajectory.timestep)
        for name in ("previous_action", "previous_reward", "is_first"):
            np.testing.assert_array_equal(first[name], getattr(start, name)[None])
    with np.load(agent / "memory.npz") as found:
        memory = dict(found)
    for step in range(4):
        timestep = jax.tree.map(lambda leaf, t=step: leaf[None, t], trajectory.timestep)
        found = elsewhere(
            *(tmp_path, agent, "act", key),
            params=deployment.by_path(params),
            memory=memory,
            timestep=timestep._asdict(),
        )
        memory = part(found, 2)
        mode = jm.trees.at(output.distribution, step).mode()
        np.testing.assert_array_equal(found["1"], mode[None])


@pytest.mark.slow
def test_an_agent_that_lives_on_goes_on(tmp_path, key):
    """LPG: what makes an agent is its start; its updates keep its age."""
    built = recipes.get("lpg-gridworld").build(num_lifetimes=2, size=4)
    learner = built.learner
    meta_params = learner.init(key).meta_params
    jm.export_functions(learner, meta_params, tmp_path / "agent", platforms=["cpu"])
    manifest = json.loads((tmp_path / "agent" / "manifest.json").read_text())
    _, state, steps, _ = manifest["functions"]["adapt"]["arguments"]
    results = elsewhere(tmp_path, tmp_path / "agent", "start", key, meta_params=None)
    assert set(state) == set(part(results, 0))
    inner = learner.inner
    start = inner.init(key, meta_params)
    same(part(results, 1), inner.params(meta_params, start))
    shapes = {
        name: tuple(int(n) for n in text.split("[")[1][:-1].split(",")[2:] if n)
        for name, text in steps.items()
    }
    numbers = np.random.default_rng(0)
    rows = {name: np.zeros((3, 4, *shape)) for name, shape in shapes.items()}
    for name in ("observation", "next_observation"):
        width = shapes[name][0]
        rows[name] = np.eye(width)[numbers.integers(width, size=(3, 4))]
    rows["reward"] = numbers.normal(size=(3, 4))
    rows = {
        name: value.astype(steps[name].split("[")[0]) for name, value in rows.items()
    }
    found = elsewhere(
        *(tmp_path, tmp_path / "agent", "adapt", key),
        meta_params=None,
        state=part(results, 0),
        steps=rows,
    )
    batch = recorded.as_acted(
        learner.policy,
        inner.params(meta_params, start),
        jax.vmap(lambda row: recorded.as_transitions(row, learner.environment))(rows),
    )
    after, _ = jax.jit(inner.update)(key, meta_params, start, batch)
    same(part(found, 1), inner.params(meta_params, after))
    same(part(found, 0), after)


def test_the_manifest_names_shapes(directory):
    manifest = json.loads((directory / "manifest.json").read_text())
    assert manifest["platforms"] == ["cpu", "cuda", "tpu"]
    assert manifest["matmul_precision"] is None
    params, memory, timestep, key = manifest["functions"]["act"]["arguments"]
    assert params["params/policy_0/kernel"] == "float32[2,8]"
    assert (memory, key) == ({}, "uint32[2]")
    assert timestep["observation"] == "float32[b,2]"
    assert manifest["functions"]["adapt"]["arguments"][2]["reward"] == "float32[n,t]"


@pytest.mark.parametrize(
    ("platforms", "message"),
    [
        (["cpu", "abacus"], "platforms must be one of .*cpu.*, got 'abacus'"),
        ("cpu", "platforms must be some of cpu, cuda, rocm, tpu, got 'cpu'"),
        ([], "platforms must be some of"),
    ],
)
def test_unknown_platforms(learned, tmp_path, platforms, message):
    with pytest.raises(ValueError, match=message):
        jm.export_functions(*learned, tmp_path / "a", platforms=platforms)
    assert not list(tmp_path.iterdir())


def test_what_exists_is_left_alone(learned, directory):
    before = {path: path.read_bytes() for path in directory.iterdir()}
    with pytest.raises(ValueError, match="agent exists; give a new directory"):
        jm.export_functions(*learned, directory)
    assert {path: path.read_bytes() for path in directory.iterdir()} == before


def test_a_failed_write_leaves_nothing(learned, tmp_path, monkeypatch):
    def full(path, arrays):
        raise OSError("No space left on device")

    monkeypatch.setattr(deployment.files, "write_arrays", full)
    with pytest.raises(OSError, match="No space"):
        jm.export_functions(*learned, tmp_path / "a", platforms=["cpu"])
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_batches_of_certain_sizes_are_refused(tmp_path):
    learner = recipes.get("dpo-drift").build(num_lifetimes=2).learner
    with pytest.raises(ValueError, match="learner: its updates need batches of cert"):
        jm.export_functions(
            learner, learner.init(jax.random.key(0)).meta_params, tmp_path / "a"
        )


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"a": {"b": jnp.ones(1)}, "a/b": jnp.ones(1)}, "have the same path"),
        ({"w": jnp.ones(1, jnp.bfloat16)}, "learner: w of .* NumPy has, but bfloat16"),
        ({"k": jax.random.key(0)}, "learner: k of .* but key<fry>"),
    ],
    ids=["same path", "bfloat16", "key"],
)
def test_leaves_that_are_no_files(tree, message):
    with pytest.raises(ValueError, match=message):
        deployment.by_path(tree)


def test_any_name_is_a_file_s(tmp_path):
    arrays = {"file": np.arange(3), "a/b": np.ones((), bool)}
    files.write_arrays(tmp_path / "a.npz", arrays)
    with np.load(tmp_path / "a.npz") as found:
        assert set(found) == set(arrays)
        np.testing.assert_array_equal(found["file"], np.arange(3))
        assert found["a/b"]


def test_what_predicts_does_not_act(tmp_path):
    learner = recipes.get("maml-sinusoid").build().learner
    with pytest.raises(ValueError, match="of a Dataset and does not act"):
        jm.export_functions(learner, learner.init(jax.random.key(0)).meta_params, "a")
