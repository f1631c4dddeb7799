"""The files that come along with the code: manifests, gateways, examples, a small model.

In a checkout they stand at its top; a wheel has them as data of `scaler.shipped` (setup.py).
"""

from __future__ import annotations

from pathlib import Path

FOLDERS = ("deploy", "examples", "models/pretrained")


def shipped_root() -> Path:
    """Return the folder in which they stand as in a checkout."""
    scaler = Path(__file__).parents[1]
    installed = scaler / "shipped"
    return installed if installed.is_dir() else scaler.parent


def shipped_files() -> dict[str, bytes]:
    """Return the content of each, by its path in a checkout with ``/`` between folders."""
    root = shipped_root()
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for folder in FOLDERS
        for path in sorted((root / folder).rglob("*"))
        if path.is_file()
    }
