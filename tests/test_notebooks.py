"""Every notebook runs from top to bottom, at the small sizes it names for this."""

import ast
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)

METADATA = {
    "kernelspec": {
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
        "name": "python3",
    },
    "language_info": {"name": "python"},
}


def read(path):
    return nbformat.read(path, as_version=4)


def parameters_of(notebook):
    """Where the sizes are set: the one cell tagged so, as papermill has it."""
    tagged = [
        index
        for index, cell in enumerate(notebook.cells)
        if "parameters" in cell.metadata.get("tags", ())
    ]
    assert len(tagged) == 1
    return tagged[0]


def at_smoke_size(notebook):
    """The notebook with small sizes right after those they replace."""
    index = parameters_of(notebook)
    sizes = notebook.cells[index].metadata["smoke"]
    source = "\n".join(f"{name} = {value!r}" for name, value in sizes.items())
    notebook.cells.insert(index + 1, nbformat.v4.new_code_cell(source))
    return notebook


def test_they_are_a_course():
    """Numbered from one, in the order they are read in."""
    numbers = [int(path.stem.split("_")[0]) for path in NOTEBOOKS]
    assert numbers == list(range(1, len(NOTEBOOKS) + 1))
    assert all(re.fullmatch(r"\d\d_[a-z0-9_]+", path.stem) for path in NOTEBOOKS)


@each_notebook
def test_it_is_committed_without_what_running_it_leaves(path):
    """Else outputs go stale, and every run is a change: nbstripout takes them out."""
    notebook = read(path)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata == METADATA
    for cell in notebook.cells:
        allowed = {"tags", "smoke"} if cell.metadata.get("tags") else set()
        assert set(cell.metadata) == allowed, cell.id
        # A name, not the random digits of a new cell: links and reviews can use it.
        assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", cell.id), cell.id
        assert not re.fullmatch(r"[0-9a-f]{8}", cell.id), cell.id
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
    assert path.read_text(encoding="utf-8") == nbformat.writes(notebook) + "\n"


@each_notebook
def test_its_small_sizes_are_those_of_its_parameters(path):
    notebook = read(path)
    cell = notebook.cells[parameters_of(notebook)]
    names = {
        target.id
        for statement in ast.parse(cell.source).body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    assert set(cell.metadata["smoke"]) <= names


@each_notebook
def test_it_runs_and_draws(path, monkeypatch):
    """A cell that raises raises here, with its traceback; figures are seen as such."""
    monkeypatch.delenv("MPLBACKEND", raising=False)  # that of notebooks, as anyone's
    notebook = at_smoke_size(read(path))
    client = NotebookClient(
        notebook, timeout=600, resources={"metadata": {"path": str(path.parent)}}
    )
    client.execute()
    outputs = [
        output
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type in {"display_data", "execute_result"}
    ]
    assert any("image/png" in output.data for output in outputs)
    for output in outputs:
        assert "image/png" in output.data or "<Figure" not in output.data["text/plain"]
