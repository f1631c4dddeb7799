"""The laws of the tree: where things stand, and that each name is one thing's alone."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

from tests.paths import ROOT

PACKAGES = ("forecaster", "scaler")
GENERATED = {"externalscaler_pb2.py"}
SOURCES = sorted(
    path
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if path.name not in GENERATED
)
INITS = [path for path in SOURCES if path.name == "__init__.py"]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def definitions(kind: type[ast.AST]) -> list[tuple[Path, ast.AST]]:
    return [
        (path, node)
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, kind)
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_the_root_of_a_package_holds_packages_and_next_to_nothing_else(package):
    modules = {path.name for path in (ROOT / package).glob("*.py")}
    found = [path for path in (ROOT / package).iterdir() if path.name != "__pycache__"]

    # `moved` keeps the import paths of the last release going, and goes with them.
    assert modules - {"moved.py"} == {"__init__.py", "__main__.py", "cli.py", "errors.py"}
    assert len(found) <= 16


def test_a_class_name_is_one_class_s_alone():
    names = Counter(
        node.name for _, node in definitions(ast.ClassDef) if not node.name.startswith("_")
    )

    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("path", INITS, ids=named)
def test_a_package_says_what_it_may_import_and_who_uses_it(path):
    text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""

    if path.parent.parent == ROOT:
        assert "can be imported from here" in text
    else:
        assert "mport" in text
        assert "Used by" in text


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_a_file_can_be_read_in_one_sitting(path):
    assert len(path.read_text("utf-8").splitlines()) <= 300


def body_lines(node) -> int:
    """Return the lines of a function's code, without its docstring."""
    first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
    return node.end_lineno - first.lineno + 1


def test_a_function_can_be_read_at_a_glance():
    long = [
        f"{named(path)}:{node.lineno} {node.name}"
        for path, node in definitions(ast.FunctionDef | ast.AsyncFunctionDef)
        if body_lines(node) > 40
    ]

    assert long == []


def test_ages_are_measured_by_a_clock_that_a_suspend_does_not_stop():
    found = [named(path) for path in SOURCES if "time.monotonic" in path.read_text("utf-8")]

    # The forecaster measures by it how long a request takes, and no ages.
    assert [one for one in found if one.startswith("scaler/")] == ["scaler/clocks/steady.py"]
