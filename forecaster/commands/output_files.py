"""The options that name files to write, and writing them."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from forecaster.adapters.atomic_write import write_atomically
from forecaster.commands.documents import TABLE
from forecaster.errors import ConfigError


def add_report_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--report`` and ``--json``."""
    parser.add_argument(
        "--report", metavar="FILE.html", type=Path, help="write an HTML page with plots"
    )
    parser.add_argument("--json", metavar="FILE.json", type=Path, help="write all figures as JSON")


def check_reports(args: argparse.Namespace) -> None:
    """Raise before anything is computed if ``--report`` or ``--json`` could not be written."""
    check_writable(args.report, "--report")
    check_writable(args.json, "--json")


def check_writable(path: Path | None, option: str) -> None:
    """Raise if a file could not be written; folders that are missing are made.

    Raises:
        ConfigError: it is a folder, or what is above it is none or not to be written to.
    """
    if path is None:
        return
    if path.is_dir():
        raise ConfigError(f"{option}: {path} cannot be written: it is a folder; name a file in it")
    above = next(folder for folder in path.absolute().parents if os.access(folder, os.F_OK))
    if not above.is_dir():
        raise ConfigError(f"{option}: {path} cannot be written: {above} is a file")
    if not os.access(above, os.W_OK | os.X_OK):
        raise ConfigError(f"{option}: {path} cannot be written: {above} may not be written to")


def check_history_file(out: Path) -> None:
    """Raise before a download or a computation if a history could not be written to ``--out``."""
    if out.suffix != ".parquet":
        raise ConfigError(f"--out is {out}, but must end in .parquet")
    if not out.parent.is_dir():
        raise ConfigError(f"--out is {out}, but there is no folder {out.parent}; create it first")
    if out.is_dir():
        raise ConfigError(f"--out is {out}, which is a folder; name a file in it")


def write_report(args: argparse.Namespace, page: str) -> None:
    """Write the page that ``--report`` names, and say so; a document on stdout stays alone."""
    write_file(args.report, "--report", page)
    print(f"report: {args.report}", file=sys.stdout if args.output == TABLE else sys.stderr)


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
