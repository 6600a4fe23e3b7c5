"""What the documents say is true: their code runs, their figures were measured."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import jaxmeta as jm

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def python_blocks(name):
    return re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(), re.DOTALL)


def execute(code, *, optimized=True):
    """Run a block as a user would paste it; what it printed."""
    environment = dict(os.environ)
    if optimized:
        environment.pop("XLA_FLAGS", None)  # of the tests, which spare compilation
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def test_the_quickstart_learns_to_adapt():
    """Half of the cart-poles push the other way: before adapting, 40 steps is good."""
    quickstart, *_ = python_blocks("README.md")
    assert len([line for line in quickstart.splitlines() if line]) <= 16
    before, after = map(float, re.findall(r"\d+\.\d+", execute(quickstart)))
    assert before <= 40
    assert after >= 75


def test_the_agent_with_memory_learns_to_explore():
    """Ten pulls of five arms: 5 at random, 6.66 at best."""
    *_, bandit = python_blocks("README.md")
    (reward,) = map(float, re.findall(r"\d+\.\d+", execute(bandit)))
    assert 5.8 < reward < 6.8


def test_a_new_environment_is_adapted_to():
    """Told to go the wrong way it gets about -20, at best about -2.5."""
    _, own, _ = python_blocks("README.md")
    before, after = map(float, re.findall(r"-\d+\.\d+", execute(own, optimized=False)))
    assert before < -9
    assert after > -7


def test_the_skeleton_for_contributors_runs():
    (method,) = python_blocks("CONTRIBUTING.md")
    execute(method, optimized=False)


def test_the_figures_are_those_of_the_committed_results(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    tables = importlib.import_module("tables")
    front_page = importlib.import_module("front_page")
    model = importlib.import_module("scaling_model")
    assert tables.PAGE.read_text() == tables.render()
    assert front_page.README.read_text() == front_page.render()
    assert model.PAGE.read_text() == model.render()


def test_every_picture_and_page_that_is_linked_exists():
    for page in (ROOT / "README.md", ROOT / "benchmarks" / "README.md"):
        links = re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text())
        assert links
        missing = [link for link in links if not (page.parent / link).exists()]
        assert missing == []


def test_the_citation_names_this_version():
    assert f"version = {{{jm.__version__}}}" in README


def test_both_commands_stand_alone_on_their_lines():
    """Continuous integration runs the second one as it is written there."""
    lines = README.splitlines()
    assert "pip install . && jaxmeta train maml-navigation2d" in lines
    assert 'pip install ".[test]" && pytest' in lines
