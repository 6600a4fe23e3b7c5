"""A learned rule taken to other environments, and what it cannot be taken to."""

import json

import jax
import numpy as np
import pytest
from test_cli import fails, jaxmeta

import jaxmeta as jm
from jaxmeta import agents, comparisons, recipes, runs, transfer
from jaxmeta.comparisons import Found
from jaxmeta.recipes import grid_levels, gridworld

RUN = [
    "lpg-gridworld",
    "--num-updates=2",
    "--num-lifetimes=2",
    "--lifetime=10",
    "--num-environments=2",
    "--length=3",
    "--num-inner-updates=1",
    "--size=3",
    "--num-predictions=2",
    "--horizon=6",
]
SMALL = [
    "--num-agents=2",
    "--num-updates=10",
    "--num-environments=4",
    "--length=3",
    "--hidden=3",
    "--rates=0.01",
    "--num-tuning-agents=1",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    directory = tmp_path_factory.mktemp("runs") / "rule"
    jaxmeta("train", *RUN, "--output", directory)
    return directory


def test_the_run_of_a_rule_says_how_agents_fare_in_held_out_levels(run):
    found = json.loads((run / "result.json").read_text())
    assert found["unit"] == "lifetime tenth"
    best = gridworld_optimum()
    np.testing.assert_allclose(found["optimum"], best)
    assert len(found["adaptation_curve"]["mean"]) == 11
    assert max(found["adaptation_curve"]["mean"]) < best[0]


def gridworld_optimum():
    distribution = grid_levels.levels_of("tiny", 6)
    return [float(grid_levels.held_out(distribution)[1].mean())] * 11


@pytest.mark.slow
def test_a_rule_is_taken_to_another_environment(run, capsys, monkeypatch):
    monkeypatch.setattr(transfer, "ENTROPY_COEFFICIENTS", (0.01,))  # less to compile
    monkeypatch.setitem(gridworld.AGENT_GRID, "reward_scale", (0.1,))
    jaxmeta("evaluate", run, "--environment=Catch-bsuite", "--horizon=9", *SMALL)
    shown = " ".join(capsys.readouterr().out.split())  # a terminal breaks lines
    assert "Catch-bsuite, return" in shown
    assert "120 environment steps each, from lpg-gridworld" in shown
    found = json.loads((run / "Catch-bsuite.json").read_text())
    assert list(found["return"]) == ["learned rule", "A2C", "PPO"]
    for row in found["return"].values():
        ends = (row[k] for k in ("low", "interquartile_mean", "high"))
        for low, mean, high in zip(*ends, strict=True):
            assert -1 <= low <= mean <= high <= 1
    chosen = {"rate": 0.01, "entropy_coefficient": 0.01}
    assert found["chosen"] == {
        "learned rule": {"rate": 0.01, "reward_scale": 0.1},
        "A2C": chosen,
        "PPO": chosen,
    }


def test_it_is_the_rule_of_the_run_that_agents_learn_by(run, monkeypatch):
    """Its params, those of the newest checkpoint, and no others."""
    taken = {}

    def compare(key, distribution, kinds, **sizes):
        for name, kind in kinds.items():
            taken[name] = kind.make({k: row[0] for k, row in kind.grid.items()})
        return {name: Found(np.zeros((2, 11)), {}, []) for name in kinds}

    monkeypatch.setattr(comparisons, "compare", compare)
    found = transfer.evaluate(run, "CartPole-v1", num_updates=10)
    assert found["score"] == dict.fromkeys(taken)  # A2C has not learned
    _, _, experiment, state = runs.restore(run)
    params = taken["learned rule"][1].rule
    kernel = params["head"]["params"]["kernel"]
    kept = state.meta_params["head"]["params"]["kernel"]
    np.testing.assert_array_equal(kernel, kept)
    fresh = experiment.learner.init(runs._keys(0)[0]).meta_params
    assert np.any(kernel != fresh["head"]["params"]["kernel"])
    assert isinstance(taken["A2C"][1], agents.Numbers)
    assert taken["learned rule"][0].inner is not taken["A2C"][0].inner


def test_a_rule_is_told_the_discount_it_was_trained_with(monkeypatch):
    told, make = [], agents.ruled

    def spy(*arguments, **options):
        told.append(options["discount"])
        return make(*arguments, **options)

    monkeypatch.setattr(agents, "ruled", spy)
    build = recipes.get("lpg-gridworld").build
    experiment = build(horizon=4, num_lifetimes=2, discount=0.9)
    cart_pole = jm.tasks.from_gymnax("CartPole-v1")
    experiment.agent_in(cart_pole, (4,), 10, rate=1e-3, reward_scale=1.0)
    assert told == [0.9, 0.9]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["dpo-drift", pytest.param("open-gridworld", marks=pytest.mark.slow)]
)
def test_rules_that_evolved_are_taken_elsewhere_too(name, key):
    """For networks where they were tables, and with rates to choose from or none."""
    build = recipes.get(name).build
    experiment = build(num_lifetimes=2, lifetime=10, num_environments=4)
    catch = jm.tasks.from_gymnax("Catch-bsuite", horizon=9)
    kind = transfer.learned_kind(
        experiment,
        experiment.learner.init(key).meta_params,
        catch,
        name=name,
        hidden=(4,),
        rates=(1e-3, 1e-2),
        num_updates=10,
    )
    assert kind.grid == ({"rate": (1e-3, 1e-2)} if name == "dpo-drift" else {})
    agent, numbers = kind.make({number: row[0] for number, row in kind.grid.items()})
    tasks = jax.vmap(catch.sample)(jax.random.split(key, 2))
    sizes = {"num_updates": 10, "num_environments": 4, "length": 5}
    curves, _ = jm.life_curves(key, agent, numbers, catch.environment, tasks, **sizes)
    assert curves.shape == (2, 11)
    assert np.all(np.abs(curves) <= 1)
    assert np.any(curves[:, 0] != curves[:, -1])


def test_all_levels_that_are_held_out_are_tested(run, capsys):
    """Fewer would have another optimum, more would be the same again."""
    message = fails(capsys, "evaluate", run, "--num-test-tasks=16")
    assert "num_test_tasks must be 64" in message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--environment=Pendulum-v1"], "the actions of Pendulum-v1 are continuous"),
        (["--environment=CartPole"], "no gymnax id 'CartPole'"),
        (["--environment=CartPole-v1", "--num-test-tasks=3"], "give one of the two"),
        (["--environment=CartPole-v1", "--num-updates=5"], "multiple of num_tests=10"),
        (["--environment=CartPole-v1", "--seed=-1"], "seed must lie in"),
        (["--environment=CartPole-v1", "--num-environments=6"], "a multiple of 4"),
        (["--environment=CartPole-v1", "--rates=0"], "rates must be positive"),
        (["--environment=CartPole-v1", "--rates"], "at least one rate"),
        (["--environment=CartPole-v1", "--num-tuning-agents=0"], "num_tuning_agents"),
    ],
)
def test_what_a_rule_cannot_be_taken_to(options, message, run, capsys):
    assert message in fails(capsys, "evaluate", run, *options)


def test_a_run_without_a_rule(run, capsys, monkeypatch):
    recipe, config, experiment, state = runs.restore(run)
    other = recipe, config, experiment._replace(agent_in=None), state
    monkeypatch.setattr(runs, "restore", lambda directory: other)
    message = fails(capsys, "evaluate", run, "--environment=CartPole-v1")
    assert "meta-params are no learning rule" in message
