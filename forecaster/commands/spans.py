"""Durations and moments as they are written on the command line."""

from __future__ import annotations

import argparse
import re
from datetime import UTC, datetime, timedelta

from forecaster.errors import ConfigError

UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
SPAN = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def span(text: str, option: str) -> timedelta:
    """Return the duration that a text such as 60s, 15m or 1h30m describes.

    >>> span("1h30m", "--step")
    datetime.timedelta(seconds=5400)
    """
    match = SPAN.fullmatch(text.strip())
    parts = {
        name: int(number)
        for name, number in zip(UNITS.values(), match.groups() if match else (), strict=False)
        if number
    }
    try:
        length = timedelta(**parts)
    except OverflowError:
        length = timedelta(0)
    if not length:
        raise ConfigError(f"{option} is {text!r}, but must be a duration: 60s, 15m, 1h30m, 7d")
    return length


def accept_relative_moments(parser: argparse.ArgumentParser) -> None:
    """Have an option's value begin with a minus and a digit: argparse takes -28d for an option."""
    parser._negative_number_matcher = re.compile(r"-\d")


def moment(text: str, option: str, *, now: datetime, step: timedelta) -> datetime:
    """Return the aware UTC moment that ``now``, ``-28d`` or an ISO-8601 text with zone describes.

    A relative moment is moved back to a multiple of ``step`` since the epoch, so that a fetch made
    a little later has the same grid.

    >>> at = datetime(2026, 3, 29, 1, 0, 59, tzinfo=UTC)
    >>> moment("-1h", "--start", now=at, step=timedelta(minutes=1)).isoformat()
    '2026-03-29T00:00:00+00:00'
    """
    text = text.strip()
    if text == "now" or text.startswith("-"):
        back = span(text[1:], option) if text.startswith("-") else timedelta(0)
        return _aligned(now, back, step, option)
    try:
        stamp = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(
            f"{option} is {text!r}, but must be 'now', a duration back such as -28d, or a moment "
            "such as 2026-03-29T00:00:00Z"
        ) from error
    if stamp.tzinfo is None:
        raise ConfigError(
            f"{option} is {text!r}, which has no time zone; write e.g. {text}Z for UTC"
        )
    return stamp.astimezone(UTC)


def _aligned(now: datetime, back: timedelta, step: timedelta, option: str) -> datetime:
    epoch = datetime.fromtimestamp(0, UTC)
    try:
        return epoch + (now - back - epoch) // step * step
    except OverflowError as error:
        raise ConfigError(f"{option} lies before the year 1; write a shorter duration") from error
