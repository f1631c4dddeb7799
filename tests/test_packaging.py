"""What the distribution promises: what an import costs, and what an installation pins."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import forecaster
from tests.paths import ROOT

CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = CONFIG["project"]
CONSTRAINTS = (ROOT / "constraints.txt").read_text()
PINS = {
    canonicalize_name(name): Version(version)
    for name, version in re.findall(r"^([^#\s=]+)==(\S+)$", CONSTRAINTS, re.MULTILINE)
}
REQUIREMENTS = [
    Requirement(text)
    for texts in [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    for text in texts
]
FRAMEWORKS = {
    *(
        "fsspec",
        "jinja2",
        "pandas",
        "plotly",
        "prometheus_api_client",
        "pyarrow",
        "pydantic",
        "requests",
    ),
    *("rich", "safetensors", "scipy", "sklearn", "torch"),
}


def loaded_after(code: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter has loaded after running ``code``."""
    report = "\nimport sys; print(); print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code + report], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


def test_the_values_load_no_framework():
    loaded = loaded_after(
        "import forecaster.data.series, forecaster.errors, forecaster.data.synthetic"
    )

    assert loaded & FRAMEWORKS == set()


def test_help_loads_neither_a_framework_nor_numpy():
    """It adds the options of every command; this keeps it below half a second."""
    loaded = loaded_after(
        "from forecaster.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    )

    assert loaded & (FRAMEWORKS | {"numpy"}) == set()


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_every_dependency_is_pinned_within_its_range(requirement):
    assert PINS[canonicalize_name(requirement.name)] in requirement.specifier


def distributions_of(requirements: list[str]) -> set[str]:
    """Return the names of all that these requirements bring, as far as it is installed here."""
    found: set[str] = set()
    todo = [Requirement(text) for text in requirements]
    while todo:
        one = todo.pop()
        name = canonicalize_name(one.name)
        if name in found or (one.marker is not None and not one.marker.evaluate({"extra": ""})):
            continue
        try:
            todo += map(Requirement, distribution(name).requires or [])
        except PackageNotFoundError:
            continue
        found.add(name)
    return found


def test_the_package_alone_brings_no_development_tool():
    tools = {
        canonicalize_name(Requirement(x).name) for x in PROJECT["optional-dependencies"]["dev"]
    }

    assert distributions_of(PROJECT["dependencies"]) & tools == set()


@pytest.mark.parametrize(
    ("target", "installed"),
    [
        pytest.param("demo", ["."], id="the demo needs the package alone"),
        pytest.param("check", [".", ".[client,dev,grpc,otel]"], id="tools come on top of it"),
    ],
)
def test_a_fresh_clone_installs_what_the_target_needs(tmp_path, target, installed):
    command = ["make", "--dry-run", target, f"VENV={tmp_path / 'venv'}"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert re.findall(r"--editable '?([^'\s]+)'?", told) == installed


def test_pins_carry_no_build_tag_so_that_pip_may_take_a_cpu_build():
    assert [str(version) for version in PINS.values() if version.local] == []


def test_constraints_hold_pins_and_comments_alone():
    lines = [line for line in CONSTRAINTS.splitlines() if not line.startswith("#")]

    assert len(lines) == len(PINS)


def test_no_host_but_the_index_that_pip_is_configured_for_is_named():
    installing = "".join((ROOT / name).read_text() for name in ("Makefile", ".ci/run"))

    assert "://" not in CONSTRAINTS + installing


@pytest.mark.parametrize("package", ["forecaster", "scaler"])
def test_what_is_not_python_is_installed_too(package):
    """Templates, styles and scripts that a wheel lacks are missed only by those who install it."""
    folder = ROOT / package
    declared = CONFIG["tool"]["setuptools"]["package-data"][package]
    installed = {path for pattern in declared for path in folder.glob(pattern)}
    data = {
        path for path in folder.rglob("*") if path.is_file() and path.suffix not in {".py", ".pyc"}
    }

    assert data - installed == set()


def test_the_version_is_the_same_everywhere():
    newest = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert newest is not None
    assert {newest[1], PROJECT["version"]} == {forecaster.__version__}


def test_the_readme_begins_with_the_two_commands():
    commands = re.findall(
        r"^    (\S.*?)(?: +#.*)?$", (ROOT / "README.md").read_text(), re.MULTILINE
    )

    assert commands[:2] == ["make demo", "make test"]


def test_the_readme_says_before_all_else_how_to_install_without_cuda():
    before = (ROOT / "README.md").read_text().partition("\n## ")[0]

    assert before.index("export PIP_EXTRA_INDEX_URL=https://") < before.index("pip install")


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_documents_name_only_make_targets_that_exist(document):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(
        re.findall(r"(?:`|^    )make ([a-z]+)", (ROOT / document).read_text(), re.MULTILINE)
    )

    assert named <= targets
    assert {"demo", "test", "check"} <= targets
