"""The notebooks run from top to bottom as they are, and are kept with their pictures.

In CI no browser is needed: plotly writes JSON instead of pictures, in a copy of the folder.
"""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path

import nbformat
import pytest

from notebooks.render import KERNEL, executed
from tests.paths import ROOT

FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
# The others train and replay for the better part of a minute each.
QUICK = {"01_explore_traffic"}
MOST_BYTES = 1_500_000

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def outputs(notebook):
    return [out for cell in notebook.cells for out in cell.get("outputs", [])]


def count_of(kind, notebook):
    return sum(kind in out.get("data", {}) for out in outputs(notebook))


def code_of(path):
    cells = nbformat.read(path, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "code")


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=() if path.stem in QUICK else pytest.mark.nightly)
        for path in NOTEBOOKS
    ],
)
def test_a_notebook_runs_and_draws_every_picture_that_it_was_kept_with(path, tmp_path):
    copy = Path(shutil.copy(path, tmp_path))

    fresh = executed(copy, renderer="json", folder=tmp_path)

    kept = nbformat.read(path, as_version=4)
    assert count_of("application/json", fresh) == count_of("image/png", kept) >= 3
    assert [out for out in outputs(fresh) if out.get("name") == "stderr"] == []
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_there_are_four_notebooks():
    assert [path.stem[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04"]


@each_notebook
def test_a_notebook_is_kept_executed_from_top_to_bottom(path):
    cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]

    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert all(out.output_type != "error" for cell in cells for out in cell.outputs)


@each_notebook
def test_a_notebook_tells_neither_where_nor_when_it_was_executed(path):
    notebook = nbformat.read(path, as_version=4)
    source = re.sub(r'"image/png": "[^"]*"', "", path.read_text(encoding="utf-8"))

    assert notebook.metadata.kernelspec == KERNEL
    assert notebook.metadata.language_info == {"name": "python", "file_extension": ".py"}
    assert [dict(cell.metadata) for cell in notebook.cells if cell.metadata] == []
    assert re.findall(r"/(?:home|root|tmp|work|Users)/\S*|[A-Z]:\\\\\S*", source) == []


@each_notebook
def test_a_notebook_stays_small(path):
    assert path.stat().st_size < MOST_BYTES


@each_notebook
def test_a_notebook_imports_and_never_defines(path):
    defined = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)

    assert [node for node in ast.walk(ast.parse(code_of(path))) if isinstance(node, defined)] == []


@each_notebook
def test_a_notebook_uses_what_the_library_promises_and_nothing_behind_it(path):
    modules = {
        node.module
        for node in ast.walk(ast.parse(code_of(path)))
        if isinstance(node, ast.ImportFrom) and node.module
    }

    ours = {name for name in modules if name.partition(".")[0] in {"forecaster", "scaler"}}
    assert ours <= {"forecaster", "forecaster.plots", "scaler"}


@each_notebook
def test_a_notebook_links_to_others_that_exist(path):
    text = "\n".join(c.source for c in nbformat.read(path, as_version=4).cells)

    links = re.findall(r"\]\(([^)]+)\)", text)
    assert [link for link in links if not (path.parent / link).exists()] == []
