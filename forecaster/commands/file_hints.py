"""The options that say what a history file does not say itself."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forecaster.adapters.tables.sources import FileHints


def add_file_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--timezone`` and the other options; a file that needs one is refused by its name."""
    group = parser.add_argument_group("what FILE does not say itself")
    group.add_argument("--timezone", metavar="ZONE", help="of stamps that have none, e.g. UTC")
    group.add_argument(
        "--value-column",
        metavar="NAME",
        action="append",
        default=[],
        help="the column or metric of the traffic; repeat for one column per item",
    )
    group.add_argument(
        "--item-column",
        metavar="NAME",
        action="append",
        default=[],
        help="the column that names the items; repeat to join several by '/'",
    )
    group.add_argument(
        "--unit",
        choices=("rps", "rpm", "rph", "count", "counter"),
        help="requests per second, minute or hour; a count from stamp to stamp; or a counter that "
        "only grows (default: what the file says, or rps)",
    )
    group.add_argument("--decimal", choices=(".", ","), help="the decimal mark of its numbers")
    group.add_argument(
        "--dates", choices=("day-first", "month-first"), help="the order in dates like 03/04/2026"
    )


def hints_from(args: argparse.Namespace) -> FileHints:
    """Return what the options say."""
    from forecaster.adapters.tables.sources import FileHints

    return FileHints(
        tuple(args.value_column),
        tuple(args.item_column) or None,
        args.unit,
        args.decimal,
        args.dates,
    )
