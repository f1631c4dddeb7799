"""When something recurs: from one cron expression to another, by the clocks of a zone.

An expression has the five fields of cron: minute, hour, day of the month, month, day of the week.
In a field: `*`, numbers, ranges and steps, and the English names of months and weekdays, of three
letters each. If both days are restricted, either will do. Source: POSIX.1-2017, crontab; steps and
names are those of Vixie cron.

An hour that clocks skip is lived through as the one after it, and one that they repeat counts once,
when it comes first. Moments are seconds since the epoch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from scaler.decision.days import DAY_S

HOUR_S = 3600.0
# An occurrence is over within a week; each is looked for from so long before on.
LONGEST_S = 7 * DAY_S
# A leap day comes within eight years.
_FURTHEST_DAYS = 8 * 366
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, ("", *_MONTHS)),
    ("day of the week", 0, 7, _WEEKDAYS),
)


@dataclass(frozen=True, slots=True)
class Cron:
    """The minutes that an expression stands for; weekdays are 0 for Sunday to 6."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    either_day: bool

    def is_on(self, day: date) -> bool:
        in_month = day.day in self.days
        in_week = day.isoweekday() % 7 in self.weekdays
        wanted = (in_month or in_week) if self.either_day else (in_month and in_week)
        return day.month in self.months and wanted

    def on(self, day: date, zone: ZoneInfo) -> list[float]:
        """Return the moments of a day, in order."""
        if not self.is_on(day):
            return []
        clocks = (
            datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone)
            for hour in self.hours
            for minute in self.minutes
        )
        return sorted({clock.timestamp() for clock in clocks})


@lru_cache(maxsize=4096)
def parse_cron(text: str) -> Cron:
    """Return what an expression stands for.

    Raises:
        ValueError: it is none.

    >>> parse_cron("0 9 * * mon-fri").weekdays
    (1, 2, 3, 4, 5)
    """
    parts = text.split()
    if len(parts) != len(_FIELDS):
        raise ValueError(
            "must be a cron expression of five fields such as '0 9 * * mon-fri': minute, hour, day "
            f"of the month, month, day of the week; it has {len(parts)}"
        )
    found = [_field(part, *field) for part, field in zip(parts, _FIELDS, strict=True)]
    weekdays = tuple(sorted({day % 7 for day in found[4]}))
    either = not parts[2].startswith("*") and not parts[4].startswith("*")
    return Cron(found[0], found[1], found[2], found[3], weekdays, either)


def _field(text: str, name: str, least: int, most: int, names: tuple[str, ...]) -> tuple[int, ...]:
    values: set[int] = set()
    for part in text.lower().split(","):
        span, slash, step_text = part.partition("/")
        first_text, dash, last_text = span.partition("-")
        if span == "*":
            first, last = least, min(most, 6) if names is _WEEKDAYS else most
        else:
            first = _value(first_text, names)
            last = _value(last_text, names) if dash else (most if slash else first)
        step = _value(step_text, ()) if slash else 1
        if not (least <= first <= last <= most and step >= 1):
            raise ValueError(
                f"must have as its {name} numbers from {least} to {most}, one, a list, a range or "
                f"steps; it has {part!r}"
            )
        values.update(range(first, last + 1, step))
    return tuple(sorted(values))


def _value(text: str, names: tuple[str, ...]) -> int:
    if text and text in names:
        return names.index(text)
    return int(text) if text.isascii() and text.isdigit() else -1


@dataclass(frozen=True, slots=True)
class Recurrence:
    """From each start to the end that comes first after it.

    Attributes:
        start, end: cron expressions.
        zone: name in the IANA database.
    """

    start: str
    end: str
    zone: str

    def __post_init__(self) -> None:
        parse_cron(self.start)
        parse_cron(self.end)


@dataclass(frozen=True, slots=True)
class Occurrence:
    """It covers ``starts <= time < ends``."""

    starts: float
    ends: float


def occurrence_after(recurrence: Recurrence, moment: float) -> Occurrence | None:
    """Return the first occurrence that ends after a moment; None: there is none any more.

    >>> noon = Recurrence("0 12 * * *", "0 13 * * *", "UTC")
    >>> occurrence_after(noon, 0.0)
    Occurrence(starts=43200.0, ends=46800.0)
    """
    found = _of_hour(recurrence, int(moment // HOUR_S))
    return next((one for one in found if one.ends > moment), None)


@lru_cache(maxsize=4096)
def _of_hour(recurrence: Recurrence, hour: int) -> tuple[Occurrence, ...]:
    """Return the occurrences that end within an hour, and the one after them."""
    begin = hour * HOUR_S
    found: list[Occurrence] = []
    at = begin - LONGEST_S
    while not found or found[-1].ends <= begin + HOUR_S:
        starts = _next(parse_cron(recurrence.start), recurrence.zone, at)
        ends = _next(parse_cron(recurrence.end), recurrence.zone, starts, after=True)
        if math.isinf(ends):
            break
        at = ends
        if ends > begin:
            found.append(Occurrence(starts, ends))
    return tuple(found)


def _next(cron: Cron, zone_name: str, moment: float, *, after: bool = False) -> float:
    """Return the first moment of an expression from a moment (or from after it) on; inf: none."""
    if math.isinf(moment):
        return math.inf
    zone = ZoneInfo(zone_name)
    # Clocks of the day before may show what comes after it.
    first = datetime.fromtimestamp(moment, UTC).astimezone(zone).date() - timedelta(days=1)
    for number in range(_FURTHEST_DAYS):
        for one in cron.on(first + timedelta(days=number), zone):
            if one > moment or (one == moment and not after):
                return one
    return math.inf
