"""Local clocks and holidays: where the same local time of an earlier day lies among samples.

Rules of this file:

* A local time that comes twice has the same time of the day before; one that was skipped on an
  earlier day is taken as far after the change of the clocks as the clock says.
* A holiday is like the Sunday before it, and no day before any other day: the last one of the
  week before that is a working day, or of a weekend, as that other day is, stands in for it.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, overload
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt

from forecaster.errors import HistoryError

if TYPE_CHECKING:
    from forecaster.data.series import Series

_DAY_S = 86_400
# Clocks change at the beginning of a quarter hour of UTC, everywhere and since 1972.
_QUARTER_S = 900
_SATURDAY, _SUNDAY = 5, 6

Indices = npt.NDArray[np.int64]


def zone_named(name: str) -> str:
    """Return the name of a time zone; raises HistoryError if there is no such zone."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise HistoryError(
            f"there is no time zone {name!r}; give a name of the IANA database, "
            "e.g. Europe/Berlin or UTC"
        ) from error
    return name


def people_zone(name: str | None) -> str | None:
    """Return the zone of people behind traffic from that of stamps; None where it names none.

    UTC and offsets such as ``+02:00`` only say how stamps were written.

    Raises:
        HistoryError: there is no such zone.
    """
    if name is None or name == "UTC" or name.removeprefix("UTC")[:1] in {"+", "-"}:
        return None
    return zone_named(name)


@dataclass(frozen=True)
class LocalClock:
    """The local clock of items whose samples share their stamps.

    Attributes:
        zone: its IANA name.
        first: stamp of the sample with index 0, in seconds since the epoch.
        step_s: spacing of the samples.
        holidays: those that are no Sundays, in local days since the epoch.
    """

    zone: str
    first: int
    step_s: int
    holidays: tuple[int, ...] = ()

    def same_time(self, index: Indices, days: int | Indices, latest: int | Indices) -> Indices:
        """Return ``index``, ``days`` times 24 hours before some samples, at their local time.

        Those that are later than the sample ``latest`` are not known: -1.
        """
        if self.holidays:
            ahead = index + days * (_DAY_S // self.step_s)
            back = self._days_back(self.first + ahead * self.step_s, days)
            index, days = ahead - back * (_DAY_S // self.step_s), back
            latest = np.where(back > 0, latest, np.iinfo(np.int64).min)
        moved = self.same_clock_time(index, days)
        return np.where(moved <= latest, moved, -1)

    def same_clock_time(self, index: Indices, days: int | Indices) -> Indices:
        """Return the same whatever day it is, as of a scheduled job; it may be any sample."""
        stamps = self.first + index * self.step_s
        later = utc_offsets(self.zone, stamps + days * _DAY_S) - utc_offsets(self.zone, stamps)
        return index + np.rint(later / self.step_s).astype(np.int64)

    def _days_back(self, stamps: Indices, days: int | Indices) -> Indices:
        """Return how many days before each stamp stands for that many; 0: none does."""
        local = (stamps + utc_offsets(self.zone, stamps)) // _DAY_S
        back = np.where(self._is_holiday(local - days), self._stand_in(local), days)
        return np.where(self._is_holiday(local), _weekday(local) + 1, back)

    def _stand_in(self, local: Indices) -> Indices:
        """Return how many days ago the last day like each day was that is no holiday; 0: none."""
        found = np.zeros_like(local)
        for days in range(7, 0, -1):
            before = local - days
            is_alike = (_weekday(before) >= _SATURDAY) == (_weekday(local) >= _SATURDAY)
            found[is_alike & ~self._is_holiday(before)] = days
        return found

    def _is_holiday(self, local: Indices) -> npt.NDArray[np.bool_]:
        return np.isin(local, self.holidays)


def clock_of(series: Series, ahead: int, before: int = 0) -> LocalClock | None:
    """Return the clock of a series; None if it says nothing from there to ``ahead`` samples on.

    Where it does not change and there is no holiday, the same local time is a whole number of days
    ago. It is also there where it changed in the last ``before`` samples, though the series begins
    later.
    """
    if not len(series) or (series.timezone is None and not series.holidays):
        return None
    first, step = int(series.start.timestamp()), int(series.step.total_seconds())
    end, zone = first + (len(series) + ahead) * step, series.timezone or "UTC"
    holidays = tuple(
        day
        for day in map(_epoch_day, series.holidays)
        if first // _DAY_S - 1 <= day <= end // _DAY_S + 1 and _weekday(day) != _SUNDAY
    )
    begin = min(first, first + (len(series) - before) * step)
    since, _ = _changes(zone, *(datetime.fromtimestamp(at, UTC).year for at in (begin, end)))
    if holidays or ((since > begin) & (since <= end)).any():
        return LocalClock(zone, first, step, holidays)
    return None


def calendar_of(series: Series) -> str:
    """Return a text that tells the zone and the holidays of a series from others."""
    days = ",".join(map(str, series.holidays))
    return f"{series.timezone or ''} {zlib.crc32(days.encode())}" if days else series.timezone or ""


def _epoch_day(day: date) -> int:
    return day.toordinal() - date(1970, 1, 1).toordinal()


@overload
def _weekday(day: int) -> int: ...
@overload
def _weekday(day: Indices) -> Indices: ...
def _weekday(day: int | Indices) -> int | Indices:
    """Return the weekday, 0 for Monday; the epoch began on a Thursday."""
    return (day + 3) % 7


def utc_offsets(zone: str, stamps: Indices) -> Indices:
    """Return by how many seconds a zone is ahead of UTC at each stamp.

    >>> utc_offsets("Europe/Berlin", np.array([1774745999, 1774746000])).tolist()  # 2026-03-29
    [3600, 7200]
    """
    if not stamps.size:
        return np.zeros_like(stamps)
    years = (datetime.fromtimestamp(int(at), UTC).year for at in (stamps.min(), stamps.max()))
    since, offsets = _changes(zone, *years)
    return offsets[np.searchsorted(since, stamps, side="right") - 1]


def offset_changes(zone: str, stamps: Indices) -> list[int]:
    """Return when the clocks of a zone change between the first and the last stamp."""
    if not stamps.size:
        return []
    years = (datetime.fromtimestamp(int(at), UTC).year for at in (stamps[0], stamps[-1]))
    since, _ = _changes(zone, *years)
    between = (since > stamps[0]) & (since <= stamps[-1])
    return [int(change) for change in since[between]]


@lru_cache(maxsize=1024)
def _changes(zone: str, first: int, last: int) -> tuple[Indices, Indices]:
    """Return since when each offset holds, from the beginning of year ``first`` on, and it."""
    found = [one for year in range(first, last + 1) for one in _changes_in(zone, year)]
    since, offsets = np.array(found, dtype=np.int64).T
    is_new = np.diff(offsets, prepend=offsets[0] - 1) != 0  # not where a year begins
    return since[is_new], offsets[is_new]


@lru_cache(maxsize=1024)
def _changes_in(zone: str, year: int) -> list[tuple[int, int]]:
    begin, end = (int(datetime(y, 1, 1, tzinfo=UTC).timestamp()) for y in (year, year + 1))
    found = [(begin, _offset(zone, begin))]
    for day in range(begin, end, _DAY_S):
        if _offset(zone, day + _DAY_S - 1) == found[-1][1]:
            continue
        for at in range(day, day + _DAY_S, _QUARTER_S):
            if (offset := _offset(zone, at)) != found[-1][1]:
                found.append((at, offset))
    return found


def _offset(zone: str, stamp: int) -> int:
    offset: Any = datetime.fromtimestamp(stamp, ZoneInfo(zone)).utcoffset()
    return int(offset // timedelta(seconds=1))
