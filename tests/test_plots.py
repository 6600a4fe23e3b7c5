"""Pictures: they show what they are given, and everything they speak of is seen."""

import json

import numpy as np
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


def over_seeds(*, seeds=4, updates=5):
    """Returns [S, U] whose interquartile mean is known: that of two middle seeds."""
    base = np.array([0.0, 1.0, 3.0, 100.0])[:seeds, None]
    return base + np.arange(updates)


def test_learning_curves_show_the_middle_of_the_seeds():
    steps = [10, 20, 30, 40, 50]
    curves = {"a": (steps, over_seeds()), "b": (steps, over_seeds(seeds=1))}
    figure, data = plots.learning_curves(curves, optimum=200.0)
    four, one = data["curves"]["a"], data["curves"]["b"]
    np.testing.assert_allclose(four["value"], 2 + np.arange(5), rtol=1e-6)
    # Each resample is of these four numbers, so the middle of one lies between them.
    assert 0 <= four["low"][0] < 2 < four["high"][0] <= 100
    assert (four["num_seeds"], one["num_seeds"]) == (4, 1)
    assert one["low"] == one["value"] == one["high"] == [0, 1, 2, 3, 4]
    (axes,) = figure.axes
    first, second, optimum = axes.lines
    assert list(first.get_xdata()) == four["steps"] == steps
    assert list(first.get_ydata()) == four["value"]
    assert set(optimum.get_ydata()) == {200.0}
    (band,) = axes.collections  # one seed has none
    found = band.get_paths()[0].vertices[:, 1]
    np.testing.assert_allclose(found.max(), max(four["high"]))
    assert first.get_linestyle() != second.get_linestyle()
    assert first.get_marker() != second.get_marker()
    assert axes.get_xlabel() == "environment steps"


def test_adaptation_curves_show_means_over_tasks():
    returns = np.stack([np.array([0.0, 2.0]), np.array([2.0, 6.0])])
    figure, data = plots.adaptation_curves(
        {"a": returns}, published={"b": [None, 5.0]}, optimum=7.0, unit="episode"
    )
    assert data["curves"]["a"] == {
        "num_tasks": 2,
        "value": [1.0, 4.0],
        "low": [0.0, 2.0],  # a quarter of all resamples is the first task alone
        "high": [2.0, 6.0],
    }
    assert data["published"] == {"b": [None, 5.0]}
    assert data["optimum"] == [7.0]
    assert figure.axes[0].get_xlabel() == "after ... episodes"
    (legend,) = figure.legends
    shown = [text.get_text() for text in legend.get_texts()]
    assert shown == ["a", "published: b", "optimum"]


def test_regret_is_summed_over_interactions():
    figure, data = plots.regret({"a": [[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]})
    assert data["curves"]["a"]["value"] == [2.0, 4.0, 6.0]
    assert data["curves"]["a"]["high"] == [3.0, 5.0, 6.0]
    assert list(figure.axes[0].lines[0].get_xdata()) == [1, 2, 3]


def test_traces_have_a_panel_each_and_labels_one_look():
    curve = ([1, 2], [[0.5, 0.25]])
    figure, data = plots.traces(
        {"discount": {"a": curve, "b": curve}, "learning_rate": {"b": curve}}
    )
    assert data["traces"]["learning_rate"]["b"]["value"] == [0.5, 0.25]
    both, alone = figure.axes
    assert alone.get_ylabel() == "learning rate"
    assert alone.lines[0].get_color() == both.lines[1].get_color()


def test_trajectories_have_a_panel_for_each_step_of_adaptation():
    paths = np.arange(2 * 3 * 4 * 2, dtype=float).reshape(2, 3, 4, 2)
    figure, data = plots.trajectories(paths, goal=[1.0, 2.0])
    assert list(data["paths"]) == ["before adaptation", "after 1 gradient step"]
    np.testing.assert_array_equal(data["paths"]["after 1 gradient step"], paths[1])
    assert [axes.get_title() for axes in figure.axes] == list(data["paths"])
    drawn = figure.axes[1].lines[0]
    np.testing.assert_array_equal(drawn.get_xydata(), paths[1, 0])
    uneven = [paths[0, 0], paths[0, 1, :2]]
    figure, data = plots.trajectories(uneven)
    assert [len(path) for path in data["paths"][""]] == [4, 2]
    assert data["goal"] is None
    assert len(figure.axes) == 1


def test_walks_over_a_grid_say_how_often_and_when_first():
    cells = [[[0, 0], [1, 0], [1, 1], [1, 0]], [[2, 1], [2, 1], [2, 1], [2, 1]]]
    figure, data = plots.grid_trajectories(cells, size=(3, 2), goal=(2, 1))
    first, second = data["episodes"]
    assert first["visits"] == [[1, 2, 0], [0, 1, 0]]
    assert second["visits"] == [[0, 0, 0], [0, 0, 4]]
    assert (data["goal"], first["cells"]) == ([2, 1], cells[0])
    numbers = {
        tuple(np.round(text.get_position()).astype(int)): text.get_text()
        for text in figure.axes[0].texts
    }
    assert numbers == {(0, 0): "0", (1, 0): "1", (1, 1): "2"}


PAIR = ([1, 2], [[0.0, 1.0]])


@pytest.mark.parametrize(
    ("draw", "given", "message"),
    [
        (plots.learning_curves, {}, r"curves must map at least one label to"),
        (plots.learning_curves, {"a": [[1.0]]}, r"curves\['a'\] must be a pair"),
        (
            plots.learning_curves,
            {"a": ([1, 2], [0.0, 1.0])},
            r"values of curves\['a'\] must have the shape \[S, U\], got \(2,\)",
        ),
        (
            plots.learning_curves,
            {"a": ([1, 2, 3], [[0.0, 1.0]])},
            r"there are 3 steps \[U\], but values \[S, U\] of shape \(1, 2\)",
        ),
        (
            plots.learning_curves,
            {"a": PAIR, "b": ([1, 2], [[0.0, 1.0], [np.nan, 1.0]])},
            r"values of curves\['b'\] must be finite, got nan at \[1, 0\]",
        ),
        (plots.adaptation_curves, {"a": []}, r"curves\['a'\] must have the shape"),
        (plots.adaptation_curves, {"a": "x"}, r"curves\['a'\] must be numbers"),
        (plots.regret, {"a": [1.0]}, r"must have the shape \[S, T\], got \(1,\)"),
        (plots.traces, {"a": {}}, r"traces\['a'\] must map at least one label"),
        (plots.trajectories, [], r"paths must hold at least one episode"),
        (plots.trajectories, 3, r"paths must hold at least one episode"),
        (plots.trajectories, [[[1.0, 2.0, 3.0]]], r"must have the shape \[T, 2\]"),
        (plots.trajectories, [[[1.0, np.inf]]], r"paths\[0\] must be finite"),
    ],
)
def test_what_cannot_be_drawn_is_named(draw, given, message):
    with pytest.raises(ValueError, match=message):
        draw(given)


def test_bad_arguments_are_named():
    with pytest.raises(TypeError, match=r"curves must map labels to .*, got list"):
        plots.learning_curves([PAIR])  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"confidence must lie in \(0, 1\), got 95"):
        plots.learning_curves({"a": PAIR}, confidence=95)
    with pytest.raises(ValueError, match=r"labels must be 1 different ones"):
        plots.trajectories([[[0.0, 0.0]]], labels=["a", "b"])
    with pytest.raises(ValueError, match=r"goal must have the shape \[2\]"):
        plots.trajectories([[[0.0, 0.0]]], goal=[0.0])
    cells = [[[0, 0], [2, 0]]]
    with pytest.raises(ValueError, match=r"cells\[0\] must be cells .* 2 x 2.*2\.0"):
        plots.grid_trajectories(cells, size=2)
    with pytest.raises(ValueError, match=r"goal must be cells"):
        plots.grid_trajectories(cells, size=3, goal=(0.5, 0))
    with pytest.raises(ValueError, match=r"labels must be 1, one for each episode"):
        plots.grid_trajectories(cells, size=3, labels=["a", "b"])
    with pytest.raises(ValueError, match=r"size must be at least 1, got 0"):
        plots.grid_trajectories(cells, size=0)


def test_a_picture_is_saved_with_its_numbers(tmp_path):
    drawn = plots.picture([run(3, 4)])
    path = tmp_path / "curve.png"
    plots.save(drawn, path)
    assert path.read_bytes() == plots.picture([run(3, 4)])._repr_png_()
    plots.save(drawn, str(path))  # its own files are replaced
    assert path.read_bytes().startswith(b"\x89PNG\r\n")
    assert json.loads((tmp_path / "curve.json").read_text()) == drawn.data
    (tmp_path / "result.json").write_text('{"recipe": "x"}')
    with pytest.raises(ValueError, match=r"result\.json holds something else"):
        plots.save(drawn, tmp_path / "result.png")
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "curve.json",
        "curve.png",
        "result.json",
    ]
    for wrong in ("a.pdf", "nowhere/a.png"):
        with pytest.raises(ValueError, match=r"must be a \.png in an existing folder"):
            plots.save(drawn, tmp_path / wrong)


def moved(one, by, *, seed, **settings):
    """The run with all returns higher by a number."""
    metrics = [{**r, "returns": [v + by for v in r["returns"]]} for r in one.metrics]
    curve = one.result["adaptation_curve"]
    curve = {k: [v + by for v in row] for k, row in curve.items()}
    result = {**one.result, "adaptation_curve": curve}
    return Run(one.recipe, metrics, result, seed, settings)


def test_seeds_of_the_same_settings_are_one_curve():
    """And a setting that differs is in the label; a row that one lacks is left out."""
    one = run(3, 4)
    runs = [moved(one, by, seed=s, rate=0.1, sizes=[4]) for s, by in enumerate((0, 6))]
    runs += [moved(one, 1, seed=7, rate=0.2, sizes=[4])]
    runs[1] = runs[1]._replace(metrics=runs[1].metrics[:3])
    figure, data = plots.picture(runs)
    two, other = data["groups"].values()
    assert list(data["groups"]) == [
        "a-recipe, rate=0.1 (2 seeds)",
        "a-recipe, rate=0.2 (seed 7)",
    ]
    assert (two["seeds"], other["seeds"]) == ([0, 1], [7])
    assert two["learning"] == {
        "steps": [10, 20, 30],
        "value": [4.0] * 3,
        "low": [1.0] * 3,
        "high": [7.0] * 3,
    }
    assert two["adaptation"] == {
        "value": [8.0] * 3,
        "low": [5.0] * 3,
        "high": [11.0] * 3,
    }
    assert other["adaptation"]["value"] == [6.0] * 3
    assert other["learning"]["steps"] == [10, 20, 30, 40]
    (legend,) = figure.legends
    shown = [text.get_text() for text in legend.get_texts()]
    assert shown[:2] == list(data["groups"])
    assert len(shown) == 5  # two published rows, and the optimum once


def test_runs_that_cannot_be_together_are_named():
    one = run(3, 4)
    with pytest.raises(ValueError, match=r"runs must hold at least one"):
        plots.picture([])
    with pytest.raises(ValueError, match=r"two of a-recipe have the same settings and"):
        plots.picture([one, one])
    with pytest.raises(ValueError, match=r"different lengths, \[2, 3\]"):
        plots.picture([one, run(2, 4, seed=1)])


def test_published_rows_of_one_label_are_told_apart():
    one, other = run(1, 1), run(1, 1)._replace(recipe="other")
    published = {"one": [7.0]}
    other = other._replace(result={**other.result, "published": published})
    _, data = plots.picture([one, other])
    assert data["published"] == {"one": [6.0], "another": [6.0], "one, other": [7.0]}
