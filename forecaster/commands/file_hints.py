"""The options that say what a history file does not say itself."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

from forecaster.errors import ConfigError

if TYPE_CHECKING:
    from forecaster.adapters.tables.sources import FileHints
    from forecaster.data.series import History


def add_file_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--timezone`` and the other options; a file that needs one is refused by its name."""
    group = parser.add_argument_group("what FILE does not say itself")
    add_zone_argument(group)
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
    group.add_argument(
        "--decimal", choices=(".", ","), metavar="MARK", help="of its numbers: . or ,"
    )
    group.add_argument(
        "--dates", choices=("day-first", "month-first"), help="the order in dates like 03/04/2026"
    )


def add_zone_argument(group: argparse._ActionsContainer) -> None:
    """Add ``--timezone``, repeatable."""
    group.add_argument(
        "--timezone",
        metavar="[ITEM=]ZONE",
        action="append",
        default=[],
        help="zone whose clocks the traffic follows, e.g. Europe/Berlin, and of stamps that have "
        "none, e.g. UTC; ITEM=ZONE for one item; repeatable",
    )


def stamp_zone(args: argparse.Namespace) -> str | None:
    """Return the zone that is named for all items, and for stamps that have none.

    Raises:
        ConfigError: there are two.
        HistoryError: one that is named for an item or for all does not exist.
    """
    from forecaster.data.local_clock import people_zone

    for text in args.timezone:
        people_zone(text.rpartition("=")[2])
    of_all = [text for text in args.timezone if "=" not in text]
    if len(of_all) > 1:
        raise ConfigError(
            f"--timezone is given as {' and '.join(of_all)}; name one for all items, and others "
            "as ITEM=ZONE"
        )
    return of_all[0] if of_all else None


def in_zones(history: History, args: argparse.Namespace) -> History:
    """Return the history with the zones that are named by ``--timezone``.

    That of an item comes first, then what the history says itself, then that of all.

    Raises:
        ConfigError: one is of an unknown item.
    """
    from forecaster.data.local_clock import people_zone
    from forecaster.data.series import History

    people = people_zone(stamp_zone(args))
    zones = {
        item: people_zone(zone)
        for item, equals, zone in (one.rpartition("=") for one in args.timezone)
        if equals
    }
    if unknown := sorted(zones.keys() - set(history.item_ids)):
        raise ConfigError(
            f"--timezone names the item {unknown[0]!r}, but there are only "
            f"{', '.join(history.item_ids)}"
        )
    return History(
        tuple(
            replace(one, timezone=zones.get(one.item_id, one.timezone or people)) for one in history
        )
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
