"""The locks of the images: they follow from pyproject.toml and constraints.txt, and pin by hash.

`make lock` writes it. These tests ask no index: what it holds is seen when the image is built.
"""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import distribution, distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.deploy.manifests import ROOT
from tests.test_packaging import PINS, PROJECT

REMEDY = "the lock is out of date: run make lock"
LOCK, SERVICE_LOCK = ((ROOT / name).read_text() for name in ("image.lock", "service.lock"))


def pinned(lock: str) -> dict[str, tuple[Version, list[str]]]:
    """Return the version and the hashes of each package in a lock."""
    return {
        canonicalize_name(name): (Version(version), hashes.split())
        for name, version, hashes in re.findall(
            r"^([^#\s=]+)==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", lock, re.MULTILINE
        )
    }


LOCKED, SERVED = pinned(LOCK), pinned(SERVICE_LOCK)
EXTRAS = re.findall(r"--extra (\w+)", (ROOT / "Makefile").read_text())
REQUIREMENTS = [
    Requirement(text)
    for texts in [
        PROJECT["dependencies"],
        *(PROJECT["optional-dependencies"][one] for one in EXTRAS),
        ["setuptools>=77"],  # the build backend
    ]
    for text in texts
]
# Of these the same build is installed here, so that what it requires is known.
KNOWN = sorted(
    {
        name
        for one in distributions()
        if (name := canonicalize_name(one.name)) in LOCKED
        and Version(one.version) == LOCKED[name][0]
    }
)
# What markers are evaluated for; the extras of requirements are not asked for.
LINUX = {
    "extra": "",
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.11.9",
    "python_version": "3.11",
    "sys_platform": "linux",
}


def test_each_line_of_the_lock_is_a_pin_with_its_hashes():
    pins = [line for line in LOCK.splitlines() if re.match(r"[^#\s]", line)]
    assert len(pins) == len(LOCKED) > len(REQUIREMENTS)


def test_the_image_has_what_the_manifests_use():
    assert EXTRAS == ["grpc", "otel", "s3"]


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_what_the_project_requires_is_in_the_lock(requirement):
    assert canonicalize_name(requirement.name) in LOCKED, REMEDY
    version, _ = LOCKED[canonicalize_name(requirement.name)]
    assert version in requirement.specifier, REMEDY


def test_the_lock_pins_what_constraints_pin():
    """Which may lack a build's tag: torch+cpu is a build of torch."""
    others = {
        name: str(version)
        for name, (version, _) in LOCKED.items()
        if PINS[name] != Version(version.public)
    }
    assert others == {}, REMEDY


@pytest.mark.parametrize("name", KNOWN)
def test_what_a_locked_package_requires_is_locked_too(name):
    needed = [
        one
        for one in map(Requirement, distribution(name).requires or ())
        if one.marker is None or one.marker.evaluate(LINUX)
    ]
    assert [str(one) for one in needed if canonicalize_name(one.name) not in LOCKED] == [], REMEDY
    assert all(LOCKED[canonicalize_name(one.name)][0] in one.specifier for one in needed), REMEDY


def test_torch_is_a_cpu_build_of_which_no_other_is_taken():
    version, _ = LOCKED["torch"]
    assert version.local == "cpu"
    assert [name for name in LOCKED if name.startswith("nvidia-")] == []


def test_the_lock_names_no_host():
    assert "://" not in LOCK


def test_the_service_has_what_the_image_has_but_for_what_trains_and_plots():
    group = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["service"]
    asked = {Requirement(text).name for text in group} - {"setuptools"}
    left = {Requirement(text).name for text in PROJECT["dependencies"]} - asked
    assert left == {"pandas", "plotly", "pyarrow", "scikit-learn", "torch"}
    assert set(group) - {"setuptools>=77"} <= set(PROJECT["dependencies"])
    assert asked <= SERVED.keys(), REMEDY
    assert left & SERVED.keys() == set()
    assert {name: SERVED[name] for name in SERVED.keys() & LOCKED.keys()} == {
        name: LOCKED[name] for name in SERVED.keys() & LOCKED.keys()
    }, REMEDY
    assert SERVED.keys() <= LOCKED.keys(), REMEDY
    assert "://" not in SERVICE_LOCK
