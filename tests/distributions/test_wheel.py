"""The wheel of tidegate: all that the commands need when nothing but it is installed."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from scaler.adapters.shipped_files import shipped_files
from tests.distributions.building import build
from tests.paths import ROOT


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    with zipfile.ZipFile(build("wheel", ".", folder)) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_brings_the_packages_and_nothing_beside_them(installed):
    assert sorted(path.name.split("-")[0] for path in installed.iterdir()) == [
        "forecaster",
        "scaler",
        "tidegate",
    ]
    packages = {path.parent.relative_to(installed) for path in installed.rglob("__init__.py")}
    assert packages == {
        path.parent.relative_to(ROOT)
        for package in ("forecaster", "scaler")
        for path in (ROOT / package).rglob("__init__.py")
    }


def test_what_files_writes_from_a_wheel_is_what_it_writes_from_a_checkout(installed, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "scaler.cli", "files", "mine"],
        env={**os.environ, "PYTHONPATH": str(installed)}, cwd=tmp_path,  # noqa: TID251
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    written = {
        path.relative_to(tmp_path / "mine").as_posix(): path.read_bytes()
        for path in (tmp_path / "mine").rglob("*")
        if path.is_file()
    }
    shipped = {path: content for path, content in shipped_files().items() if not own(path)}
    assert written == shipped
    assert done.stdout.splitlines() == [*shipped, f"{len(shipped)} files were written to mine."]


def own(path: str) -> bool:
    """Return whether a file of the checkout is in an overlay that somebody has added."""
    return path.startswith("deploy/overlays/") and path.split("/")[2] not in {
        "example",
        "monitoring",
    }
