"""The results section of the README, made of the files in ``results/``.

``python benchmarks/tables.py`` writes it into the README; a test holds it to them.
"""

import json
import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
SECTION = re.compile(
    r"(?<=<!-- results -->\n).*?(?=<!-- end of results -->)", re.DOTALL
)


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


def navigation() -> str:
    """The adaptation curve of the recipe beside the published one."""
    found = read("maml_navigation2d")
    curve, mode = found["adaptation_curve"], found["mode_adaptation_curve"]
    steps = range(len(curve["mean"]))
    lines = [
        f"| return after ... gradient steps | {' | '.join(map(str, steps))} |",
        "|---" * (len(steps) + 1) + "|",
        row("**jaxmeta**", curve["mean"], curve["standard_error_over_seeds"]),
        row(
            "jaxmeta, mode of the policy",
            mode["mean"],
            mode["standard_error_over_seeds"],
        ),
        *(row(f"published: {name}", v) for name, v in found["published"].items()),
        row("oracle that knows the goal", found["optimum"]),
    ]
    wall = ", ".join(f"{seconds:.0f}" for seconds in found["command_seconds"])
    return "\n".join(lines) + (
        f"\n\nMean and standard error of {found['num_seeds']} seeds, final parameters, "
        f"{found['num_test_tasks_per_seed']} held-out goals each. The whole command, "
        f"imports, compilation, evaluation and picture included, took {wall} s "
        f"({found['environment_steps']:,} environment steps). {versions(found)}."
    )


def speed() -> str:
    """One meta-update, and the quickstart."""
    update, quick = read("meta_update_maml_navigation2d"), read("quickstart")
    run, compiled = update["run_seconds"], update["compile_seconds"]
    before = quick["return_before_adaptation"]
    after = quick["return_after_adaptation"]
    return (
        f"One meta-update of it runs in {run['median']:.3f} s "
        f"(quartiles {run['lower_quartile']:.3f} to {run['upper_quartile']:.3f}), "
        f"{update['environment_steps_per_second'] / 1e3:.0f},000 environment steps a "
        f"second, and compiles in {max(compiled):.1f} s at most. {versions(update)}."
        f"\n\nThe quickstart above prints {before:.1f} before and {after:.1f} after "
        f"adaptation, of 100, and takes {quick['seconds']:.0f} s in all. "
        f"{versions(quick)}."
    )


def render() -> str:
    """The section."""
    return f"\n{navigation()}\n\n{speed()}\n\n"


def main() -> None:
    text = README.read_text()
    if not SECTION.search(text):
        raise SystemExit("README.md has no results section")
    README.write_text(SECTION.sub(lambda _: render(), text))


if __name__ == "__main__":
    main()
