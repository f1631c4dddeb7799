"""The sdist of tidegate: the whole project, so that who packages it further can test it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.distributions.building import build
from tests.paths import ROOT
from tests.test_structure import SOURCES

LEFT_BY_OTHERS = re.compile(
    r"__pycache__|^build/|\.egg-info|\.ipynb_checkpoints|^tidegate_client/.*/|^overlays/(?!example|mon)"
)
MADE = {"PKG-INFO", "setup.cfg", "tidegate.egg-info"}  # by the build


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(build("sdist", ".", folder)) as archive:
        archive.extractall(folder, filter="data")
    (root,) = folder.glob("tidegate-*/")
    return root


def files(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("folder", ["benchmarks", "client", "deploy", "docs", "notebooks", "tests"])
def test_a_folder_is_whole(unpacked, folder):
    wanted = {path for path in files(ROOT / folder) if not LEFT_BY_OTHERS.search(path)}

    assert wanted - files(unpacked / folder) == set()


def test_the_code_and_what_the_tests_read_of_it_are_there(unpacked):
    assert {str(path.relative_to(ROOT)) for path in SOURCES} <= files(unpacked)
    top = {path.name for path in unpacked.iterdir()} - MADE
    assert top <= {path.name for path in ROOT.iterdir()}
    assert {".ci", ".dockerignore", "Dockerfile", "Makefile", "constraints.txt"} <= top


def test_no_copy_of_the_middleware_is_in_it(unpacked):
    assert [path.name for path in (unpacked / "client" / "tidegate_client").glob("*/")] == []


@pytest.mark.nightly
def test_every_test_of_it_can_be_collected(unpacked):
    def collected(root: Path) -> set[str]:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "--collect-only", "--quiet", "-p", "no:cacheprovider"],
            env={**os.environ, "PYTHONPATH": str(root)}, cwd=root,  # noqa: TID251
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-2000:]
        return {line for line in done.stdout.splitlines() if "::" in line}

    assert collected(unpacked) == collected(ROOT)
