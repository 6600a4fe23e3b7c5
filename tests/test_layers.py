"""The architecture: imports only point down, and what is public is documented."""

import ast
import inspect
from pathlib import Path

import pytest

import jaxmeta

ROOT = Path(jaxmeta.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

# Every module or package of the top level, lowest first; one may import those on its
# own line and those above it.
LAYERS = [
    {
        "types",
        "distributions",
        "trees",
        "checks",
        "files",
        "compilation",
        "minibatches",
        "interruptions",
    },
    {
        "returns",
        "optimizers",
        "environments",
        "sharding",
        "batching",
        "replay",
        "hyperparameters",
    },
    {"tasks", "policies", "decoders"},
    {"rollouts", "bootstrapping", "advantages"},
    {
        "losses",
        "inner",
        "posterior",
        "self_tuning",
        "learned_rules",
        "ruled",
        "learned_optimizers",
        "lifetimes",
        "windows",
        "adaptation",
        "outer",
        "sampling",
        "objectives",
        "estimators",
        "implicit",
    },
    {
        "learner",
        "guard",
        "lifetime_learner",
        "agents",
        "life_curves",
        "recorded",
        "logged",
        "continual",
        "evaluation",
        "diagnostics",
        "references",
    },
    {
        "algorithms",
        "checkpoint",
        "record",
        "loggers",
        "fit",
        "comparisons",
        "deployment",
        "diagnosis",
    },
    {"recipes"},
    {
        "plots",
        "run_directory",
        "runs",
        "transfer",
        "flags",
        "diagnosis_files",
        "diagnose_command",
        "reports",
        "cli",
        "__main__",
    },
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def top_level(path):
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imported(path):
    """The modules of the package that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "jaxmeta":
            names = [f"jaxmeta.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module]
        else:
            continue
        yield from (n.split(".")[1] for n in names if n.startswith("jaxmeta."))


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path):
    name = top_level(path)
    if name == "__init__":
        return
    for other in imported(path):
        assert LEVEL[other] <= LEVEL[name], f"{path} imports {other}"


def test_every_module_has_a_layer():
    assert {top_level(path) for path in MODULES} - {"__init__"} == set(LEVEL)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_and_functions_are_short(path):
    source = path.read_text()
    assert len(source.splitlines()) <= 300
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            body = node.end_lineno - node.body[0].end_lineno  # without the docstring
            assert body <= 80, f"{node.name} has {body} lines"


def test_public_names_are_documented_and_exist():
    for name in jaxmeta.__all__:
        value = getattr(jaxmeta, name)
        if name != "__version__":
            assert inspect.getdoc(value), name
