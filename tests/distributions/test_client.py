"""`tidegate-client`: the middleware without the rest of tidegate, and beside it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.conformance.leases import lease
from tests.conformance.scripted import ScriptedEndpoint
from tests.distributions.building import build, build_in
from tests.missing import missing
from tests.paths import ROOT
from tests.test_packaging import PROJECT
from tests.test_readme import BLOCK
from tests.waiting import PATIENCE_S

APP = Path(__file__).with_name("limited_app.py")
UNNEEDED = {Requirement(text).name.replace("-", "_") for text in PROJECT["dependencies"]} | {
    *("forecaster", "scaler", "sklearn", "yaml"),
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return build("wheel", "client", tmp_path_factory.mktemp("client"))


def refused_requests(python: Path, path: str = "") -> str:
    """Return what an application behind the middleware prints, at a limit of 2 requests/s."""
    with ScriptedEndpoint() as endpoint:
        endpoint.set(lease(1, 2.0))
        done = subprocess.run(
            [str(python), str(APP), endpoint.url, ",".join(UNNEEDED)],
            env={**os.environ, "PYTHONPATH": path}, cwd=APP.parent,  # noqa: TID251
            capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_wheel_limits_an_application_without_anything_that_tidegate_needs(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)

    assert refused_requests(Path(sys.executable), str(tmp_path)) == '200 429 1 "default";q=2;w=1'


def test_the_example_of_its_readme_runs(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    (code,) = BLOCK.findall((ROOT / "client" / "README.md").read_text("utf-8"))

    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(tmp_path)}, cwd=tmp_path,
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr


def test_the_wheel_has_no_file_outside_its_own_package(wheel):
    """So it can be installed beside tidegate, and either can be uninstalled."""
    names = zipfile.ZipFile(wheel).namelist()

    assert {name.split("/")[0].split("-")[0] for name in names} == {"tidegate_client"}
    assert "tidegate_client/py.typed" in names


def test_the_wheel_asks_for_httpx_as_tidegate_does_and_has_its_version(wheel):
    archive = zipfile.ZipFile(wheel)
    (name,) = (one for one in archive.namelist() if one.endswith("METADATA"))
    said = Parser().parsestr(archive.read(name).decode())

    assert said.get_all("Requires-Dist") == PROJECT["optional-dependencies"]["client"]
    assert (said["Version"], said["Requires-Python"]) == (
        PROJECT["version"],
        PROJECT["requires-python"],
    )


def test_no_module_of_the_wheel_is_from_another_package(wheel):
    archive = zipfile.ZipFile(wheel)
    texts = [archive.read(name).decode() for name in archive.namelist() if name.endswith(".py")]

    assert [
        one
        for one in texts
        if re.search(r"^ *(from|import) (scaler|forecaster)", one, re.MULTILINE)
    ] == []


def test_the_sdist_builds_the_same_wheel_with_nothing_else_at_hand(wheel, tmp_path):
    sdist = build("sdist", "client", tmp_path)
    subprocess.run(["tar", "xf", sdist, "-C", tmp_path], check=True)
    again = tmp_path / build_in(tmp_path / sdist.name.removesuffix(".tar.gz"), "wheel", tmp_path)

    contents = [
        {name: archive.read(name) for name in archive.namelist() if "dist-info" not in name}
        for archive in map(zipfile.ZipFile, (wheel, again))
    ]
    assert contents[0] == contents[1]


def test_both_have_the_same_build_backend():
    both = [
        tomllib.loads((ROOT / name / "pyproject.toml").read_text())["build-system"]
        for name in (".", "client")
    ]

    assert both[0] == both[1]


def test_a_fresh_environment_limits_an_application_and_stays_small(wheel, tmp_path, capsys):
    python = tmp_path / "fresh" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "fresh"], check=True)
    install = [str(python), "-m", "pip", "install", "--quiet", str(wheel), "starlette"]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode:
        missing(f"a package index with httpx and starlette: {done.stderr}")

    assert refused_requests(python) == '200 429 1 "default";q=2;w=1'
    files = [path for path in (tmp_path / "fresh").rglob("*") if path.is_file()]
    taken = sum(path.stat().st_size for path in files) / 1e6
    with capsys.disabled():
        sys.stdout.write(f"\nwith httpx, starlette and pip: {taken:.1f} MB\n")
    assert taken < 35
