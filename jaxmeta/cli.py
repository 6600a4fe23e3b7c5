"""The command line: ``jaxmeta list | train | evaluate | plot | export``."""

import inspect
import logging
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import jax
import tyro
from jax.experimental import checkify
from rich.console import Console
from rich.logging import RichHandler
from rich.table import Table

from jaxmeta import (
    agents,
    checks,
    compilation,
    deployment,
    plots,
    recipes,
    reports,
    runs,
    transfer,
)
from jaxmeta.interruptions import Interrupted

_USAGE = """usage: jaxmeta COMMAND

  jaxmeta list                     the recipes: named experiments
  jaxmeta train RECIPE [OPTIONS]   train one, or go on with it, and evaluate it
  jaxmeta evaluate DIR             evaluate the newest checkpoint of a run again, or
                                   its learning rule in another --environment
  jaxmeta plot DIR [DIR ...]       draw a run, or several in one picture
  jaxmeta export DIR               write how its agent acts and adapts, as functions
                                   that need JAX alone

Every command takes --help."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; errors of the user are one line on stderr and exit status 2."""
    if arguments is None:  # a process of its own
        compilation.cache_on_disk()
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(
        level=logging.WARNING,
        format="%(message)s",
        handlers=[RichHandler(show_time=False, show_path=False)],
    )
    commands = {
        "list": _list,
        "train": _train,
        "evaluate": _evaluate,
        "plot": _plot,
        "export": _export,
    }
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_USAGE)
        return
    name, *rest = arguments
    try:
        if name not in commands:
            near = checks.nearest(name, commands)
            raise ValueError(f"no command {name!r}.{near}\n\n{_USAGE}")
        commands[name](rest)
    except (FloatingPointError, checkify.JaxRuntimeError) as error:  # a ValueError
        print(f"jaxmeta: {error}", file=sys.stderr)
        raise SystemExit(1) from error
    except (ValueError, TypeError, OSError, ModuleNotFoundError) as error:
        print(f"jaxmeta: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    except Interrupted as stop:
        print(f"jaxmeta: {stop}; go on with:\n  {_command(arguments)}", file=sys.stderr)
        raise SystemExit(128 + stop.number) from None
    except KeyboardInterrupt:
        print("jaxmeta: interrupted; the same command again goes on", file=sys.stderr)
        raise SystemExit(130) from None


def _command(arguments: Sequence[str]) -> str:
    return shlex.join(["jaxmeta", *map(str, arguments)])


def _list(arguments: list[str]) -> None:
    def list_recipes() -> None:
        """The recipes: named experiments."""

    tyro.cli(list_recipes, prog="jaxmeta list", args=arguments)
    table = Table(box=None)
    table.add_column("recipe", no_wrap=True)
    for header in ("method", "tasks", "published", "time"):
        table.add_column(header, overflow="fold")
    for recipe in recipes.RECIPES.values():
        published = "\n".join(
            f"{' / '.join('-' if v is None else f'{v:g}' for v in row)}  {label}"
            for label, row in recipe.published.items()
        )
        table.add_row(
            recipe.name, recipe.method, recipe.tasks, published, recipe.expected_time
        )
    Console().print(table)


def _train(arguments: list[str]) -> None:
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: jaxmeta train RECIPE [OPTIONS]")
        print(
            f"Recipes: {', '.join(recipes.RECIPES)}; each takes --help for its options."
        )
        return
    name, *rest = arguments
    recipe = recipes.get(name)

    def options(
        seed: int = 0,
        num_updates: int = recipe.num_updates,
        output: Path | None = None,
        matmul_precision: Literal["float32", "tensorfloat32", "bfloat16"] = "float32",
        debug: bool = False,
        log: Literal["tensorboard", "wandb"] | None = None,
    ) -> None:
        """Train a recipe.

        Args:
            seed: of everything random.
            num_updates: meta-updates in all.
            output: directory of the run, runs/RECIPE/seed-SEED by default; one that was
                interrupted is continued.
            matmul_precision: of the factors of matrix products, where an accelerator
                has a choice; less than float32 is faster.
            debug: check every operation, slowly, and stop where a NaN is made or
                something is divided by zero.
            log: write the metrics for TensorBoard too, into DIR/tensorboard, or to
                Weights & Biases.
        """

    prog = f"jaxmeta train {name}"
    given = tyro.cli(
        _joined(recipe.summary, options, recipe.build), prog=prog, args=rest
    )
    run = {k: given.pop(k) for k in inspect.signature(options).parameters}
    directory = run.pop("output")
    if directory is None:
        directory = Path("runs") / name / f"seed-{run['seed']}"
    result = runs.train(recipe, directory, arguments=given, **run)
    reports.run(result, directory)


def _evaluate(arguments: list[str]) -> None:
    def evaluate(
        directory: tyro.conf.Positional[Path],
        num_test_tasks: int | None = None,
        environment: str | None = None,
        seed: int = 0,
        num_agents: int = 16,
        num_tuning_agents: int = 4,
        num_updates: int = 500,
        num_environments: int = 16,
        length: int = 20,
        hidden: tuple[int, ...] = (64, 64),
        rates: tuple[float, ...] = agents.RATES,
        horizon: int | None = None,
    ) -> dict[str, Any]:
        """Evaluate the newest checkpoint of a run on held-out tasks again.

        Given an environment, take the learning rule of the run there instead, and
        compare it with tuned A2C and PPO; the other options are of that comparison.

        Args:
            directory: of the run.
            num_test_tasks: held-out tasks; as many as the recipe says by default.
            environment: a gymnax id, such as CartPole-v1.
            seed: of everything random.
            num_agents: agents of each kind that learn, each on its own.
            num_tuning_agents: agents for each choice of the numbers of a kind.
            num_updates: in an agent's life, a multiple of 10.
            num_environments: copies of the environment each learns in, a multiple of 4.
            length: steps in each copy per update.
            hidden: sizes of the hidden layers of an agent.
            rates: of Adam, to choose one for each kind from.
            horizon: steps in an episode; by default those of the environment.
        """
        return locals()

    given = tyro.cli(evaluate, prog="jaxmeta evaluate", args=arguments)
    directory, count = given.pop("directory"), given.pop("num_test_tasks")
    if given["environment"] is None:
        reports.run(runs.evaluate(directory, num_test_tasks=count), directory)
        return
    if count is not None:
        raise ValueError(
            "num_test_tasks is of the run's own tasks, and environment takes it to "
            "another; give one of the two"
        )
    reports.transfer(transfer.evaluate(directory, **given), directory)


def _plot(arguments: list[str]) -> None:
    def plot(
        directories: Annotated[
            tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(name="DIR")
        ],
        output: Path | None = None,
    ) -> tuple[tuple[Path, ...], Path | None]:
        """Draw a run, or several in one picture.

        Seeds of the same recipe and settings are one curve with an interval. Beside
        the picture a .json of the same name holds the numbers it shows.

        Args:
            directories: of the runs.
            output: the picture; by default curve.png in the run's directory, or
                comparison.png here for several.
        """
        return directories, output

    directories, output = tyro.cli(plot, prog="jaxmeta plot", args=arguments)
    if not directories:
        raise ValueError("plot needs the directory of a run")
    if output is not None and (output.suffix != ".png" or not output.parent.is_dir()):
        raise ValueError(f"output must be a .png in an existing folder, got {output}")
    if output is None:
        one = len(directories) == 1
        output = directories[0] / "curve.png" if one else Path("comparison.png")
    plots.save(plots.picture([runs.load(path) for path in directories]), output)
    print(f"picture: {output}, and its numbers in {output.with_suffix('.json')}")


def _export(arguments: list[str]) -> None:
    def export(
        directory: tyro.conf.Positional[Path],
        output: Path | None = None,
        platforms: tuple[str, ...] = ("cpu", "cuda", "tpu"),
    ) -> tuple[Path, Path | None, tuple[str, ...]]:
        """Write how the agent of a run acts and adapts, as functions for JAX alone.

        Args:
            directory: of the run; its newest checkpoint is taken.
            output: a directory to be made; by default exported in that of the run.
            platforms: that the functions can run on, of cpu, cuda, rocm and tpu.
        """
        return directory, output, platforms

    directory, output, platforms = tyro.cli(
        export, prog="jaxmeta export", args=arguments
    )
    output = directory / "exported" if output is None else output
    deployment.check_is_new(output)
    _, config, experiment, state = runs.restore(directory)
    with jax.default_matmul_precision(config["matmul_precision"]):
        deployment.export_functions(
            experiment.test_learner, state.meta_params, output, platforms=platforms
        )
    print(f"functions: {', '.join(map(str, sorted(output.glob('*.jax'))))}")


def _joined(summary: str, *functions: Callable[..., Any]) -> Callable[..., dict]:
    """A function of the arguments of several, with their documentation, for tyro."""

    def joined(**given: Any) -> dict[str, Any]:
        return given

    parameters = [
        p for f in functions for p in inspect.signature(f).parameters.values()
    ]
    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
    hints = {k: v for f in functions for k, v in get_type_hints(f).items()}
    helps = [inspect.cleandoc(f.__doc__ or "").split("Args:\n")[-1] for f in functions]
    vars(joined)["__signature__"] = inspect.Signature(parameters)
    joined.__annotations__ = {p.name: hints[p.name] for p in parameters}
    joined.__doc__ = f"{summary}.\n\nArgs:\n" + "\n".join(helps)
    return joined
