"""The command line, in process, on a recipe made small by its own flags."""

import inspect
import json
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest
from jax.experimental import checkify

from jaxmeta import cli, recipes, reports, runs
from jaxmeta.recipes import RECIPES

SMALL = [
    "--num-updates=3",
    "--num-tasks=2",
    "--num-episodes=2",
    "--num-episodes-test=3",
    "--hidden=4",
]
NAME = "maml-navigation2d"


def jaxmeta(*arguments):
    cli.main([str(argument) for argument in arguments])


def fails(capsys, *arguments):
    """The message of a command that must fail with status 2."""
    with pytest.raises(SystemExit) as error:
        jaxmeta(*arguments)
    assert error.value.code == 2
    captured = capsys.readouterr()
    return captured.err + captured.out


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    directory = tmp_path_factory.mktemp("runs") / "a"
    jaxmeta("train", NAME, "--output", directory, *SMALL)
    return directory


def result(directory):
    return json.loads((directory / "result.json").read_text())


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_has_its_arguments_as_options(name, capsys):
    with pytest.raises(SystemExit) as exit_:
        jaxmeta("train", name, "--help")
    shown = capsys.readouterr().out
    assert exit_.value.code == 0, shown
    for argument in inspect.signature(RECIPES[name].build).parameters:
        assert f"--{argument.replace('_', '-')}" in shown


def test_a_run_leaves_what_it_should(run):
    names = {path.name for path in run.iterdir()}
    assert names == {
        ".lock",
        "config.json",
        "metrics.jsonl",
        "checkpoints",
        "result.json",
        "curve.png",
        "curve.json",
    }
    assert (run / "curve.png").read_bytes().startswith(b"\x89PNG")
    found = result(run)
    assert found["recipe"] == NAME
    assert found["seed"] == 0
    assert found["num_updates"] == 3
    assert found["config"]["num_tasks"] == 2
    assert found["environment_steps"] == 3 * 2 * 3 * 2 * 100
    assert 0 < found["compile_seconds"] < found["wall_seconds"]
    assert set(found["versions"]) >= {"python", "jaxmeta", "jax", "jaxlib", "gymnax"}
    assert found["device"]
    for name in ("adaptation_curve", "mode_adaptation_curve"):
        curve = found[name]
        assert [len(curve[end]) for end in ("mean", "low", "high")] == [4, 4, 4]
        for low, mean, high in zip(
            *(curve[e] for e in ("low", "mean", "high")), strict=True
        ):
            assert low <= mean <= high
    assert found["published"] == {
        "MAML (Finn et al., 2017)": [-40.41, -11.68, -3.33, -3.23]
    }
    assert found["optimum"] == [-0.506] * 4


@pytest.mark.slow
def test_training_again_changes_nothing(run, capsys):
    before = result(run)
    jaxmeta("train", NAME, "--output", run, *SMALL)
    assert result(run) == before
    shown = capsys.readouterr().out
    assert "published: MAML" in shown
    assert "-11.68" in shown
    assert str(run / "curve.png") in shown


def test_evaluate_gives_the_same_result(run, capsys):
    before = result(run)
    (run / "result.json").unlink()
    jaxmeta("evaluate", run)
    assert result(run) == before
    assert f"{before['adaptation_curve']['mean'][1]:.2f}" in capsys.readouterr().out


@pytest.mark.slow
def test_evaluate_takes_a_number_of_tasks(run, tmp_path):
    shutil.copytree(run, tmp_path / "copy")
    jaxmeta("evaluate", tmp_path / "copy", "--num-test-tasks=7")
    assert result(tmp_path / "copy")["num_test_tasks"] == 7


def test_training_can_be_continued(run, tmp_path):
    """For longer, with what was trained; ``fit`` is tested to the bit elsewhere."""
    shutil.copytree(run, tmp_path / "longer")
    jaxmeta(
        "train", NAME, "--output", tmp_path / "longer", "--num-updates=5", *SMALL[1:]
    )
    found = result(tmp_path / "longer")
    assert found["num_updates"] == 5
    assert found["environment_steps"] == result(run)["environment_steps"] / 3 * 5
    rows = (tmp_path / "longer" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(row)["step"] for row in rows] == [3, 5]


@pytest.mark.slow
def test_seeds_differ(run, tmp_path):
    jaxmeta("train", NAME, "--output", tmp_path / "b", "--seed=1", *SMALL)
    assert result(tmp_path / "b")["adaptation_curve"] != result(run)["adaptation_curve"]


def test_plot_draws_a_run_again_or_elsewhere(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    picture = (run / "curve.png").read_bytes()
    (run / "curve.png").unlink()
    jaxmeta("plot", run)
    assert (run / "curve.png").read_bytes() == picture
    jaxmeta("plot", run, "--output", tmp_path / "other.png")
    assert (tmp_path / "other.png").exists()
    assert "other.png" in capsys.readouterr().out


def test_list_shows_every_recipe(capsys):
    jaxmeta("list")
    shown = capsys.readouterr().out
    for recipe in RECIPES.values():
        assert recipe.name in shown
    assert "-11.68" in shown


@pytest.mark.parametrize(
    "arguments", [[], ["--help"], ["train"], ["train", "--help"]], ids=str
)
def test_help(arguments, capsys):
    jaxmeta(*arguments)
    shown = capsys.readouterr().out
    assert "usage: jaxmeta" in shown


def test_flags_come_from_the_recipe(capsys):
    with pytest.raises(SystemExit) as error:
        jaxmeta("train", NAME, "--help")
    assert error.value.code == 0
    shown = capsys.readouterr().out
    for flag in ("--seed", "--output", "--action-scale", "--inner-rate", "--num-tasks"):
        assert flag in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "no command 'trian'. Did you mean 'train'?"),
        (["train", "maml-navigation"], f"Did you mean '{NAME}'?"),
        (["train", NAME, "--num-tasks=0"], "num_tasks must be at least 1, got 0"),
        (["train", NAME, "--num-updates=0"], "num_updates must be at least 1, got 0"),
        (["train", NAME, "--seed=x"], "seed"),
        (["train", NAME, "--rate=1"], "rate"),
        (["train", NAME, "--seed=-1"], "seed must lie in [0, 2**32), got -1"),
        (["train", NAME, f"--seed={10**20}"], "seed must lie in [0, 2**32)"),
        (["train", NAME, "--action-scale=0"], "action_scale must be positive, got 0"),
        (["evaluate", "nowhere"], "nowhere holds no run"),
        (["plot", "nowhere"], "nowhere holds no run"),
        (["plot"], "needs the directory of a run"),
    ],
    ids=str,
)
def test_bad_input_is_named_and_leaves_nothing(
    arguments, message, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert message in " ".join(fails(capsys, *arguments).split())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "option", ["--seed=9", "--inner-rate=0.2", "--matmul-precision=bfloat16"]
)
def test_a_directory_of_other_settings_is_refused(run, option, capsys):
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    shown = fails(capsys, "train", NAME, "--output", run, *SMALL, option)
    assert "belongs to another run" in shown
    assert option.split("=")[1] in shown
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before


def test_a_directory_of_other_files_is_refused(tmp_path, capsys):
    (tmp_path / "thesis.tex").write_text("mine")
    shown = fails(capsys, "train", NAME, "--output", tmp_path, *SMALL)
    assert "holds no run" in shown
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.slow
def test_the_default_directory_tells_recipe_and_seed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    jaxmeta("train", NAME, "--seed=3", *SMALL)
    assert (tmp_path / "runs" / NAME / "seed-3" / "result.json").exists()


def test_python_and_the_command_line_make_the_same_run(run):
    """And what a kill left of the first file is in nobody's way."""
    arguments = {
        "num_tasks": 2,
        "num_episodes": 2,
        "num_episodes_test": 3,
        "hidden": (4,),
    }
    before = result(run)
    again = runs.train(
        recipes.get(NAME), run, num_updates=3, arguments=arguments, progress=False
    )
    assert again == before


def test_a_run_trains_and_is_tested_at_its_precision(run, tmp_path, monkeypatch):
    asked = []

    def fit(key, learner, *given, **options):
        asked.append(jax.config.jax_default_matmul_precision)
        return learner.init(key)

    def curves(*given, **options):
        asked.append(jax.config.jax_default_matmul_precision)
        return jnp.zeros((4, 3)), jnp.zeros((4, 3))

    monkeypatch.setattr(runs, "fit", fit)
    monkeypatch.setattr(runs, "adaptation_curves", curves)
    jaxmeta(
        *("train", NAME, "--output", tmp_path / "a", *SMALL),
        "--matmul-precision=tensorfloat32",
    )
    assert result(tmp_path / "a")["matmul_precision"] == "tensorfloat32"
    shutil.copytree(run, tmp_path / "b")
    path = tmp_path / "b" / "config.json"
    config = json.loads(path.read_text()) | {"matmul_precision": "bfloat16"}
    path.write_text(json.dumps(config))
    jaxmeta("evaluate", tmp_path / "b")
    assert asked == ["tensorfloat32"] * 2 + ["bfloat16"]


@pytest.mark.slow
def test_a_run_of_before_there_were_precisions_goes_on(run, tmp_path):
    shutil.copytree(run, tmp_path / "old")
    path = tmp_path / "old" / "config.json"
    config = json.loads(path.read_text())
    assert config.pop("matmul_precision") == "float32"
    path.write_text(json.dumps(config))
    jaxmeta("train", NAME, "--output", tmp_path / "old", *SMALL)
    jaxmeta("evaluate", tmp_path / "old")
    assert json.loads(path.read_text()) == config


def test_a_kill_while_the_directory_is_claimed_is_no_harm(tmp_path):
    (tmp_path / ".config.json.123.tmp").write_text("{")
    jaxmeta("train", NAME, "--output", tmp_path, *SMALL)
    assert (tmp_path / "result.json").exists()


def test_an_interrupt_says_how_to_go_on(tmp_path, capsys, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "fit", interrupted)
    with pytest.raises(SystemExit) as error:
        jaxmeta("train", NAME, "--output", tmp_path / "a", *SMALL)
    assert error.value.code == 130
    assert "the same command again goes on" in capsys.readouterr().err


def test_seeds_and_settings_are_compared_in_one_picture(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kinds = {"a": (1, 0.1), "b": (2, 0.1), "c": (1, 0.2)}
    for name, (seed, rate) in kinds.items():
        shutil.copytree(run, tmp_path / name)
        config = json.loads((run / "config.json").read_text())
        config["arguments"]["inner_rate"] = rate
        (tmp_path / name / "config.json").write_text(
            json.dumps({**config, "seed": seed})
        )
    jaxmeta("plot", *kinds)
    assert (tmp_path / "comparison.png").read_bytes().startswith(b"\x89PNG")
    data = json.loads((tmp_path / "comparison.json").read_text())
    assert list(data["groups"]) == [
        f"{NAME}, inner_rate=0.1 (2 seeds)",
        f"{NAME}, inner_rate=0.2 (seed 1)",
    ]
    assert data["optima"] == [[-0.506] * 4]
    alone = json.loads((run / "curve.json").read_text())["groups"]
    assert (
        alone[f"{NAME} (seed 0)"]["adaptation"]["value"]
        == (result(run)["adaptation_curve"]["mean"])
    )


def test_no_picture_replaces_what_a_run_left(run, capsys):
    before = result(run)
    shown = fails(capsys, "plot", run, "--output", run / "result.png")
    assert "holds something else" in shown
    assert result(run) == before


def test_a_directory_without_a_run_is_not_drawn(run, tmp_path, capsys):
    assert "holds no run" in fails(capsys, "plot", run, tmp_path)
    (tmp_path / "thesis.tex").write_text("mine")
    assert "holds no run" in fails(capsys, "plot", tmp_path)
    shown = fails(capsys, "plot", run, run, "--output", tmp_path / "a.png")
    assert "give each once" in shown
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("output", ["a.pdf", "nowhere/a.png"])
def test_a_picture_that_cannot_be_written_is_named(run, output, tmp_path, capsys):
    shown = fails(capsys, "plot", run, "--output", tmp_path / output)
    assert "must be a .png in an existing folder" in shown


@pytest.mark.parametrize("name", ["config.json", "result.json"])
def test_files_of_something_else_are_named(name, tmp_path, capsys):
    config = '{"recipe": "x", "seed": 0, "arguments": {}}'
    (tmp_path / "config.json").write_text(config)
    (tmp_path / name).write_text('{"a": 1}')
    assert f"{name} was not written by a run" in fails(capsys, "plot", tmp_path)


def test_a_run_is_exported_once_and_at_its_precision(run, tmp_path, capsys):
    made = tmp_path / "agent"
    jaxmeta("export", run, "--output", made, "--platforms", "cpu")
    assert "act.jax" in capsys.readouterr().out
    names = {"act.jax", "adapt.jax", "start.jax", "manifest.json"}
    names |= {"meta_params.npz", "memory.npz", "timestep.npz"}
    assert {path.name for path in made.iterdir()} == names
    manifest = json.loads((made / "manifest.json").read_text())
    assert manifest["matmul_precision"] == "float32"
    assert manifest["platforms"] == ["cpu"]
    shown = fails(capsys, "export", run, "--output", made)
    assert "exists; give a new directory" in shown
    shown = fails(capsys, "export", run, "--output", tmp_path / "b", "--platforms", "x")
    assert "platforms must be one of" in shown


def test_an_unfinished_run_cannot_be_plotted(tmp_path, capsys):
    (tmp_path / "config.json").write_text('{"recipe": "x", "seed": 0, "arguments": {}}')
    assert "result.json does not exist" in fails(capsys, "plot", tmp_path)


def test_an_unknown_recipe_is_named():
    with pytest.raises(ValueError, match=r"no recipe 'maml-nav'.*There are: maml"):
        recipes.get("maml-nav")


def test_the_module_is_the_command():
    command = [sys.executable, "-m", "jaxmeta", "train", "nonsense"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no recipe 'nonsense'" in done.stderr
    assert "Traceback" not in done.stderr


def test_of_a_long_curve_some_columns_are_shown(capsys, tmp_path):
    """As many as fit, the first and the last among them."""
    means = [float(step) for step in range(25)]
    curve = {"mean": means, "low": means, "high": means}
    result = {
        "adaptation_curve": curve,
        "mode_adaptation_curve": curve,
        "published": {"elsewhere": [1.5, 2.5]},
        "optimum": [100.0] * 25,
        "unit": "episode",
        "num_updates": 1,
        "environment_steps": 1,
        "wall_seconds": 1.0,
        "compile_seconds": 1.0,
        "num_test_tasks": 1,
    }
    reports.run(result, tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["episodes", "before", "0", "5", "10", "14", "19", "24"]
    (row,) = [line for line in lines if line.split()[:1] == ["return"]][:1]
    assert row.split()[1:] == ["0.00", "5.00", "10.00", "14.00", "19.00", "24.00"]
    assert "…" not in "".join(lines)


def test_what_debug_finds_is_no_error_of_the_user(tmp_path, capsys, monkeypatch):
    def fit(*_, debug, **options):
        assert debug
        raise checkify.JaxRuntimeError("nan generated by primitive: log")

    monkeypatch.setattr(runs, "fit", fit)
    with pytest.raises(SystemExit) as stop:
        jaxmeta("train", "reptile-sinusoid", "--debug", "--output", tmp_path / "a")
    assert stop.value.code == 1
    assert "nan generated by primitive: log" in capsys.readouterr().err
