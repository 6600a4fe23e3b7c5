"""``jaxmeta diagnose RECIPE``."""

import inspect
from pathlib import Path

import tyro

from jaxmeta import diagnosis_files, flags, recipes, reports


def run(arguments: list[str]) -> None:
    """Diagnose a recipe, print what is found and write it."""
    if not flags.names_recipe("diagnose", arguments):
        return
    name, *rest = arguments
    recipe = recipes.get(name)

    def options(
        seed: int = 0,
        num_updates: int = recipe.num_updates,
        num_test_tasks: int = 200,
        num_tuning_tasks: int = 40,
        num_steps: int | None = None,
        output: Path | None = None,
    ) -> None:
        """Diagnose a recipe.

        Args:
            seed: of everything random.
            num_updates: meta-updates, and updates of the one policy.
            num_test_tasks: held-out tasks.
            num_tuning_tasks: tasks on which rates are chosen.
            num_steps: that scratch and fine-tuning descend on each batch; by default
                one, or ten beside an agent that learns in its memory.
            output: directory of what is found, runs/RECIPE/diagnosis-SEED by default.
        """

    summary = f"Does meta-learning help? {recipe.summary}"
    given = tyro.cli(
        flags.joined(summary, options, recipe.build),
        prog=f"jaxmeta diagnose {name}",
        args=rest,
    )
    options_given = {k: given.pop(k) for k in inspect.signature(options).parameters}
    directory = options_given.pop("output")
    if directory is None:
        directory = Path("runs") / name / f"diagnosis-{options_given['seed']}"
    result = diagnosis_files.of_recipe(
        recipe, directory, arguments=given, **options_given
    )
    reports.diagnosis(result, directory)
