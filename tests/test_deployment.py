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
from jaxmeta import cli, policies, recipes, rollouts

TASKS = jm.tasks.navigation2d(horizon=6)
CALL = """
import sys
import jax
import numpy as np
from jax import export

directory, given, made, *names = sys.argv[1:]

def arrays(path):
    return dict(np.load(path))

def group(name):
    start = f"{name}|"
    return {k[len(start):]: v for k, v in inputs.items() if k.startswith(start)}

inputs = arrays(given)
with open(f"{directory}/{names[0]}.jax", "rb") as file:
    function = export.deserialize(bytearray(file.read())).call
params = arrays(f"{directory}/{names[1]}.npz")
results = function(params, *(group(name) for name in names[2:]), inputs["key"])
np.savez(made, *jax.tree.leaves(results))
assert "jaxmeta" not in sys.modules and "gymnax" not in sys.modules
"""


def elsewhere(tmp_path, directory, function, params, key, **groups):
    """What a function returns in a process without jaxmeta: its leaves."""
    given, made = tmp_path / "given.npz", tmp_path / "made.npz"
    inputs = {f"{g}|{k}": v for g, leaves in groups.items() for k, v in leaves.items()}
    np.savez(given, key=jax.random.key_data(key), **inputs)
    subprocess.run(
        [sys.executable, "-c", CALL, directory, given, made, function, params, *groups],
        check=True,
        cwd=tmp_path,
    )
    with np.load(made) as found:
        return [found[f"arr_{i}"] for i in range(len(found.files))]


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
    action, mode = elsewhere(
        *(tmp_path, directory, "act", "params", key),
        memory={},
        timestep=timestep._asdict(),
    )
    output, _ = jax.vmap(lambda one: learner.policy.apply(params, (), one))(timestep)
    keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(count))
    drawn = jax.vmap(lambda d, key: d.sample(key))(output.distribution, keys)
    np.testing.assert_allclose(action, drawn, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(mode, output.distribution.mode(), rtol=1e-6, atol=1e-6)
    assert not np.allclose(action, mode, atol=1e-3)


def test_it_adapts_as_the_learner_does(learned, directory, tmp_path, key):
    """To more and longer episodes than it was trained with."""
    learner, meta_params = learned
    generator = np.random.default_rng(0)
    ends = np.arange(9) == 8
    episodes = [
        {
            "observations": generator.normal(size=(9, 2)).astype(np.float32),
            "actions": generator.uniform(-0.1, 0.1, (9, 2)).astype(np.float32),
            "rewards": generator.normal(size=9).astype(np.float32),
            "terminations": np.zeros(9, bool),
            "truncations": ends,
            "next_observations": generator.normal(size=(9, 2)).astype(np.float32),
        }
        for _ in range(10)
    ]
    names = {
        "observation": "observations",
        "action": "actions",
        "reward": "rewards",
        "terminated": "terminations",
        "truncated": "truncations",
        "next_observation": "next_observations",
    }
    steps = {
        name: np.stack([one[field] for one in episodes]).reshape(
            2, 5, *episodes[0][field].shape
        )
        for name, field in names.items()
    }
    found = elsewhere(tmp_path, directory, "adapt", "meta_params", key, steps=steps)
    experience = jm.logged_experience(key, learner, meta_params, episodes)
    expected, _ = jax.jit(learner.adapt)(meta_params, experience)
    manifest = json.loads((directory / "manifest.json").read_text())
    paths = manifest["functions"]["adapt"]["results"]
    assert len(paths) == len(found) == len(jax.tree.leaves(expected))
    for got, leaf, start in zip(
        found, jax.tree.leaves(expected), jax.tree.leaves(meta_params), strict=True
    ):
        np.testing.assert_allclose(got, leaf, rtol=1e-5, atol=1e-6)
        if got.ndim == 2:
            assert not np.allclose(got, start, atol=1e-4)


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
    params = learner.init(key).meta_params
    jm.export_functions(learner, params, tmp_path / "agent", platforms=["cpu"])
    assert not (tmp_path / "agent" / "adapt.jax").exists()
    experience = learner.collect(key, params, tasks.sample(key))
    trajectory = jm.trees.at(experience.query, 0)
    output, _ = rollouts.unroll(policy, params, trajectory, next_values=False)
    with np.load(tmp_path / "agent" / "memory.npz") as found:
        memory = {name: found[name][None] for name in found.files}
    modes = []
    for step in range(4):
        timestep = jax.tree.map(lambda leaf: leaf[None], trajectory.timestep)
        timestep = jax.tree.map(lambda leaf, t=step: leaf[:, t], timestep)
        _, mode, *rest = elsewhere(
            *(tmp_path, tmp_path / "agent", "act", "params", key),
            memory=memory,
            timestep=timestep._asdict(),
        )
        memory = dict(zip(memory, rest, strict=True))
        modes.append(mode[0])
    np.testing.assert_array_equal(modes, output.distribution.mode())


def test_the_manifest_names_shapes(directory):
    manifest = json.loads((directory / "manifest.json").read_text())
    assert manifest["platforms"] == ["cpu", "cuda", "tpu"]
    params, memory, timestep, key = manifest["functions"]["act"]["arguments"]
    assert params["params/policy_0/kernel"] == "float32[2,8]"
    assert (memory, key) == ({}, "uint32[2]")
    assert timestep["observation"] == "float32[b,2]"
    assert manifest["functions"]["adapt"]["arguments"][1]["reward"] == "float32[2,n,t]"


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
    def full(*given, **arrays):
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space"):
        jm.export_functions(*learned, tmp_path / "a", platforms=["cpu"])
    assert not list(tmp_path.iterdir())


def test_what_predicts_does_not_act(tmp_path):
    learner = recipes.get("maml-sinusoid").build().learner
    with pytest.raises(ValueError, match="of a Dataset and does not act"):
        jm.export_functions(learner, learner.init(jax.random.key(0)).meta_params, "a")


def test_the_command_line(tmp_path, capsys):
    small = ["--num-updates=1", "--num-tasks=2", "--num-episodes=2", "--hidden=4"]
    small += ["--num-episodes-test=2", "--outer-loss-weights=1"]
    run = str(tmp_path / "run")
    cli.main(["train", "maml-navigation2d", "--output", run, *small])
    cli.main(["export", run, "--platforms", "cpu"])
    assert "act.jax" in capsys.readouterr().out
    made = tmp_path / "run" / "exported"
    names = {"act.jax", "adapt.jax", "manifest.json", "memory.npz", "params.npz"}
    assert {path.name for path in made.iterdir()} == names | {"meta_params.npz"}
    with pytest.raises(SystemExit):
        cli.main(["export", run])
    assert "exists; give a new directory" in capsys.readouterr().err
