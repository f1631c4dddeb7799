"""Builds a distribution as pip does, in a copy of the tree: a build writes beside what it reads."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.paths import ROOT

# Whatever the tests, the checks and other builds have left; and what is no part of the project.
LEFT = shutil.ignore_patterns(
    *(".git", ".venv", ".cache", ".*_cache", ".hypothesis", ".schemathesis", "__pycache__"),
    *("*.egg-info", "build", "dist", "demo-output"),
)


def build(kind: str, folder: str, out: Path) -> Path:
    """Return the ``"wheel"`` or ``"sdist"`` of a folder of the project, built into ``out``.

    Nothing is fetched: the build backend is the one that is installed.
    """
    tree = out / "tree"
    if not tree.exists():
        shutil.copytree(ROOT, tree, ignore=LEFT)
    return out / build_in(tree / folder, kind, out)


def build_in(folder: Path, kind: str, out: Path) -> str:
    """Build from ``folder`` itself; return the name of the file."""
    code = f"from setuptools.build_meta import build_{kind} as build; print(build({str(out)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[-1]
