"""Copies the middleware, and the modules that it imports, into `tidegate_client`.

In the repository they stand once, in `scaler` and `forecaster`. Under a name of its own the copy
shares no file with `tidegate`, so that both can be installed. An sdist holds the copy already.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PACKAGE = HERE / "tidegate_client"
FIRST = "scaler.gateway.middleware"
IMPORTED = re.compile(r"^( *from )(?:scaler|forecaster)\.([\w.]+ import)", re.MULTILINE)


def sources(module: str, found: dict[Path, str]) -> dict[Path, str]:
    """Return the file and the text of a module, of its packages, and of all that they import."""
    path = ROOT.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if file in found or path.parent == ROOT:  # `tidegate_client` stands for both of these
        return found
    found[file] = file.read_text("utf-8")
    names = re.findall(r"^ *from ((?:scaler|forecaster)\.[\w.]+) import", found[file], re.MULTILINE)
    for name in [module.rpartition(".")[0], *names]:
        sources(name, found)
    return found


def copy() -> None:
    """Replace the packages in `tidegate_client` by copies that import each other."""
    for old in PACKAGE.glob("*/"):
        shutil.rmtree(old)
    for file, text in sources(FIRST, {}).items():
        target = PACKAGE.joinpath(*file.relative_to(ROOT).parts[1:])
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(IMPORTED.sub(r"\1tidegate_client.\2", text), "utf-8")


if (ROOT / "scaler" / "gateway").is_dir():
    copy()
setup()
