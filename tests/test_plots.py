"""Pictures of runs: everything they speak of can be seen."""

import pytest

from jaxmeta import plots
from jaxmeta.plots import Run


def run(columns, rows, *, optimum=True, seed=0):
    """A run with two references of the same values."""
    values = [5.0] * columns
    curve = {"mean": values, "low": values, "high": values}
    metrics = [
        {"environment_steps": 10 * (i + 1), "returns": [1.0] * columns}
        for i in range(rows)
    ]
    result = {
        "published": {"one": [6.0] * columns, "another": [6.0] * columns},
        "optimum": [6.5] * columns if optimum else None,
        "adaptation_curve": curve,
        "mode_adaptation_curve": curve,
    }
    return Run("a-recipe", metrics, result, seed)


def is_seen(line):
    several = len(set(line.get_xdata())) > 1 and line.get_linestyle() != "None"
    return several or line.get_marker() not in ("None", None, "")


@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("rows", [1, 4])
@pytest.mark.parametrize("num_runs", [1, 2])
def test_every_line_is_seen(columns, rows, num_runs):
    runs = [run(columns, rows, seed=seed) for seed in range(num_runs)]
    figure, _ = plots.picture(runs)
    learning, adaptation = figure.axes
    assert learning.lines
    assert all(map(is_seen, learning.lines))
    assert all(map(is_seen, adaptation.lines))
    assert any(set(line.get_ydata()) == {6.5} for line in adaptation.lines)


def test_chunks_of_skipped_updates_leave_a_gap():
    broken = run(3, 4)
    broken.metrics[1].update(returns=None, discount=None)
    broken.metrics[2].update(discount=0.5)
    broken.result["traces"] = ["discount"]
    figure, _ = plots.picture([broken])
    learning = figure.axes[0]
    assert all(len(line.get_xdata()) == 3 for line in learning.lines)
    nothing = run(3, 1)
    nothing.metrics[0].update(returns=None)
    plots.picture([nothing])


def test_references_of_the_same_values_can_be_told_apart():
    _, adaptation = plots.picture([run(1, 1, optimum=False)]).figure.axes
    lines = [line for line in adaptation.lines if "published" in str(line.get_label())]
    assert len({line.get_marker() for line in lines}) == len(lines) == 2
    assert {line.get_markerfacecolor() for line in lines} == {"none"}
