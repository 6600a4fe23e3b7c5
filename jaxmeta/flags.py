"""Flags of a command from the arguments of functions."""

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

from jaxmeta import recipes


def joined(summary: str, *functions: Callable[..., Any]) -> Callable[..., dict]:
    """A function of the arguments of several, with their documentation, for tyro."""

    def call(**given: Any) -> dict[str, Any]:
        return given

    parameters = [
        p for f in functions for p in inspect.signature(f).parameters.values()
    ]
    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
    hints = {k: v for f in functions for k, v in get_type_hints(f).items()}
    helps = [inspect.cleandoc(f.__doc__ or "").split("Args:\n")[-1] for f in functions]
    vars(call)["__signature__"] = inspect.Signature(parameters)
    call.__annotations__ = {p.name: hints[p.name] for p in parameters}
    call.__doc__ = f"{summary}.\n\nArgs:\n" + "\n".join(helps)
    return call


def names_recipe(command: str, arguments: list[str]) -> bool:
    """Whether there is a recipe to take; without one, how to name it is printed."""
    if arguments and arguments[0] not in ("-h", "--help"):
        return True
    print(f"usage: jaxmeta {command} RECIPE [OPTIONS]")
    print("RECIPE is one of these; each takes --help for its options, and jaxmeta list")
    print("says what they are:")
    print(f"  {', '.join(recipes.RECIPES)}")
    return False
