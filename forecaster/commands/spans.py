"""Lengths of time and moments as they are written on the command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from forecaster.errors import ConfigError

UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
SPAN = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def span(text: str, option: str) -> timedelta:
    """Return the length of time that a text such as 60s, 15m or 1h30m says.

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
        raise ConfigError(
            f"{option} is {text!r}, but must be a length of time: 60s, 15m, 1h30m, 7d"
        )
    return length


def moment(text: str, option: str, *, now: datetime, step: timedelta) -> datetime:
    """Return the aware UTC moment that ``now``, ``-28d`` or an ISO-8601 text with zone says.

    What is relative is moved back to a multiple of ``step`` since the epoch, so that a fetch made
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
            f"{option} is {text!r}, but must be 'now', a span back such as -28d, or a moment "
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
        raise ConfigError(f"{option} lies before the year 1; write a shorter span") from error
