"""Local clocks: where the same local time of an earlier day lies among regular samples.

A local time that comes twice has the same time of the day before; one that was skipped on an
earlier day is taken as far after the change of the clocks as the clock says.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt

from forecaster.errors import HistoryError

if TYPE_CHECKING:
    from forecaster.data.series import Series

_DAY_S = 86_400
# Clocks change at the beginning of a quarter hour of UTC, everywhere and since 1972.
_QUARTER_S = 900

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
    """

    zone: str
    first: int
    step_s: int

    def same_time(self, index: Indices, days: int | Indices, latest: int | Indices) -> Indices:
        """Return ``index``, ``days`` times 24 hours before some samples, at their local time.

        Those that are later than the sample ``latest`` are not known: -1.
        """
        stamps = self.first + index * self.step_s
        later = utc_offsets(self.zone, stamps + days * _DAY_S) - utc_offsets(self.zone, stamps)
        moved = index + np.rint(later / self.step_s).astype(np.int64)
        return np.where(moved <= latest, moved, -1)


def clock_of(series: Series, ahead: int) -> LocalClock | None:
    """Return the clock of a series; None if it does not change from there to ``ahead`` samples on.

    Where it does not change, the same local time is a whole number of days ago.
    """
    if series.timezone is None or not len(series):
        return None
    first, step = int(series.start.timestamp()), int(series.step.total_seconds())
    end = first + (len(series) + ahead) * step
    changes = _changes(series.timezone, series.start.year, datetime.fromtimestamp(end, UTC).year)
    if ((changes[0] > first) & (changes[0] <= end)).any():
        return LocalClock(series.timezone, first, step)
    return None


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
