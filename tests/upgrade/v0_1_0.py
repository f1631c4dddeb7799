"""What version 0.1.0 left behind, unpacked where a test wants it."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

FIXTURES = Path(__file__).parent / "fixtures" / "v0_1_0"


def unpacked(archive: str, folder: Path) -> Path:
    """Unpack ``archive``.tar.xz into a folder and return it."""
    with tarfile.open(FIXTURES / f"{archive}.tar.xz") as packed:
        packed.extractall(folder, filter="data")
    return folder


def read(name: str) -> Any:
    return json.loads((FIXTURES / name).read_text())
