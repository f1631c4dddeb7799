"""The options that name files to write, and writing them."""

from __future__ import annotations

import argparse
from pathlib import Path

from forecaster.adapters.atomic_write import write_atomically
from forecaster.errors import ConfigError


def add_report_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--report`` and ``--json``."""
    parser.add_argument(
        "--report", metavar="FILE.html", type=Path, help="write an HTML page with plots"
    )
    parser.add_argument("--json", metavar="FILE.json", type=Path, help="write all figures as JSON")


def write_file(path: Path, option: str, content: str | bytes) -> None:
    """Replace ``path`` by ``content`` atomically.

    Raises:
        ConfigError: the file cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        write_atomically(path, data)
    except OSError as error:
        raise ConfigError(f"{option}: {path} cannot be written: {error.strerror}") from error
