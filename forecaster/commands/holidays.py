"""Local dates on which traffic is like that of a Sunday, named in a file."""

from __future__ import annotations

import argparse
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from forecaster.errors import ConfigError

if TYPE_CHECKING:
    from forecaster.data.series import History


def add_holidays_argument(
    parser: argparse.ArgumentParser, default: str = "those of the history, else the model's"
) -> None:
    """Add ``--holidays``, in whose help stands what is taken where it is not given."""
    parser.add_argument(
        "--holidays",
        metavar="FILE",
        type=Path,
        help="local dates on which traffic is like that of a Sunday: one a line, e.g. 2026-12-25; "
        f"a name may follow after a comma (default: {default})",
    )


def with_holidays(history: History, args: argparse.Namespace) -> History:
    """Return the history with the holidays of ``--holidays``, else its own; raises ConfigError."""
    from forecaster.data.series import History

    if args.holidays is None:
        return history
    found = holidays_in(args.holidays)
    return History(tuple(replace(one, holidays=found) for one in history))


def holidays_in(path: Path) -> tuple[date, ...]:
    """Return the dates in a file, ascending; empty lines and those that begin with # say nothing.

    Raises:
        ConfigError: it cannot be read, or a line begins with no date.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--holidays cannot be read from {path}: {error}") from error
    found = set()
    for number, line in enumerate(lines, start=1):
        text = line.partition(",")[0].strip()
        if not text or text.startswith("#") or (number == 1 and text.lower() == "date"):
            continue
        try:
            found.add(date.fromisoformat(text))
        except ValueError as error:
            raise ConfigError(
                f"--holidays: line {number} of {path} begins with {text!r}, which is no date; "
                "write YYYY-MM-DD, and a name after a comma"
            ) from error
    if not found:
        raise ConfigError(f"--holidays: {path} names no date; write one a line, YYYY-MM-DD")
    return tuple(sorted(found))
