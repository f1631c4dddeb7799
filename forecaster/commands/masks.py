"""Spans of a history that are to count as missing, such as an incident or a load test."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING

from forecaster.errors import ConfigError

if TYPE_CHECKING:
    from forecaster.data.quality import Window


def add_mask_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--mask``, repeatable."""
    parser.add_argument(
        "--mask",
        metavar="[ITEM=]START/END",
        action="append",
        default=[],
        help="count a span as missing, e.g. 2026-03-01T10:00Z/2026-03-01T11:00Z; repeatable",
    )


def windows(texts: Iterable[str]) -> tuple[Window, ...]:
    """Return the masked windows; raises ConfigError."""
    return tuple(window(text) for text in texts)


def window(text: str) -> Window:
    """Return the masked window that ``[ITEM=]START/END`` describes.

    >>> window("shop/api=2026-03-01T10:00:00Z/2026-03-01T11:00:00Z").item_id
    'shop/api'
    """
    from forecaster.data.quality import Window
    from forecaster.data.series import utc

    item, equals, spelled = text.rpartition("=")
    start, _, end = spelled.partition("/")
    try:
        return Window(utc(start), utc(end), item if equals else None)
    except ValueError as error:
        raise ConfigError(
            f"--mask is {text!r} ({error}); write [ITEM=]START/END, "
            "e.g. 2026-03-01T10:00:00Z/2026-03-01T11:00:00Z"
        ) from error
