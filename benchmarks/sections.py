"""What the tables of results share: reading files, and Markdown."""

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def read(name: str) -> dict[str, Any]:
    """One result."""
    return json.loads((HERE / "results" / f"{name}.json").read_text())


def versions(result: dict[str, Any]) -> str:
    """Where it was measured, in words."""
    found = result["versions"]
    return (
        f"{result['device']}, Python {found['python']}, jax {found['jax']}; "
        f"`{result['command']}`"
    )


def row(label: str, values: list[float], errors: list[float] | None = None) -> str:
    """A row of returns, with the standard errors over seeds if there are some."""
    cells = [f"{value:.2f}" for value in values]
    if errors is not None:
        cells = [f"{c} ± {e:.2f}" for c, e in zip(cells, errors, strict=True)]
    return " | ".join(["", label, *cells, ""]).strip()


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def between(found: dict[str, Any], index: int) -> str:
    """A mean with its interval."""
    mean, low, high = (found[end][index] for end in ("mean", "low", "high"))
    return f"{mean:.2f} [{low:.2f}, {high:.2f}]"
