"""What the command line says of a run, as tables."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from jaxmeta.runs import Result

_MOST_COLUMNS = 6  # of an adaptation curve, next to each other in a terminal


def run(result: Result, directory: Path) -> None:
    """Print the adaptation curve beside the published row and the optimum.

    Of a long one some columns, from the first to the last; ``result.json`` has all.
    """
    curve, mode = result["adaptation_curve"], result["mode_adaptation_curve"]
    last = len(curve["mean"]) - 1
    parts = min(last, _MOST_COLUMNS - 1)
    steps = [round(part * last / max(parts, 1)) for part in range(parts + 1)]
    table = Table(f"{result['unit']}s before", box=None)
    for step in steps:
        table.add_column(str(step), justify="right")

    def add(label: str, row: Sequence[Any], style: str | None = None) -> None:
        known = [*row, *[None] * (last + 1)]
        cells = ["" if known[i] is None else f"{known[i]:.2f}" for i in steps]
        table.add_row(label, *cells, style=style)

    add("return", curve["mean"], "bold")
    add("  95% interval, from", curve["low"])
    add("  to", curve["high"])
    add("return of the policy's mode", mode["mean"])
    for label, row in result["published"].items():
        add(f"published: {label}", row)
    if result["optimum"]:
        add("optimum", result["optimum"])
    console = Console()
    console.print(table)
    tested = "held-out tasks"
    if result["unit"] == "window":
        tested = "episodes of the agents that live"
    console.print(
        f"{result['num_updates']} meta-updates, {result['environment_steps']:,} "
        f"environment steps, {result['wall_seconds']:.0f} s of training of which "
        f"{result['compile_seconds']:.0f} s compilation; evaluated on "
        f"{result['num_test_tasks']} {tested}",
        highlight=False,
    )
    print(f"result:  {directory / 'result.json'}")
    print(f"picture: {directory / 'curve.png'}")


def transfer(result: Result, directory: Path) -> None:
    """Print how agents did in another environment, by each rule."""
    table = Table(f"{result['environment']}, return", box=None)
    for header in ("before", "half a life", "after", "95% interval", "score", "chosen"):
        table.add_column(header, justify="right")
    for name, row in result["return"].items():
        mean, score = row["interquartile_mean"], result["score"][name]
        table.add_row(
            name,
            *(f"{mean[at]:.2f}" for at in (0, len(mean) // 2, -1)),
            f"{row['low'][-1]:.2f} to {row['high'][-1]:.2f}",
            f"{score['interquartile_mean']:.2f}" if score else "-",
            ", ".join(f"{v:g}" for v in result["chosen"][name].values()),
        )
    console = Console()
    console.print(table)
    console.print(
        f"interquartile mean over {result['num_agents']} agents of each kind, "
        f"{result['environment_steps']:,} environment steps each, from "
        f"{result['recipe']}; a score of 0 is that of agents that have not learned, of "
        "1 that of A2C"
        + ("" if result["score"]["A2C"] else ", which has not learned here"),
        highlight=False,
    )
    print(f"result:  {directory / result['environment']}.json")


def diagnosis(result: Result, directory: Path) -> None:
    """Print what each way to learn reaches, and the verdict in words."""
    units = len(next(iter(result["curves"].values()))["mean"]) - 1
    table = Table("return", box=None)
    if units:
        table.add_column("before", justify="right")
    after = f"after {units} {result['unit']}{'s' if units > 1 else ''}"
    for header in (after if units else "episode", "95% interval"):
        table.add_column(header, justify="right")
    for name, curve in result["curves"].items():
        before = [f"{curve['mean'][0]:.2f}"] if units else []
        ends = f"{curve['low'][-1]:.2f} to {curve['high'][-1]:.2f}"
        table.add_row(name, *before, f"{curve['mean'][-1]:.2f}", ends)
    console = Console()
    console.print(table)
    for sentence in result["words"]:
        console.print(sentence, highlight=False, markup=False)
    print(f"result:  {directory / 'diagnosis.json'}")
    print(f"picture: {directory / 'diagnosis.png'}")
