"""Whether traffic follows clocks that nobody has named, as a change of them shows."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from forecaster.data.local_clock import Indices, LocalClock, offset_changes
from forecaster.data.series import DAY, Series

# One zone for each region in which many clocks change on one day.
REGIONS = {
    "Europe": "Europe/Berlin",
    "North America": "America/New_York",
    "Australia": "Australia/Sydney",
}
_COARSE = timedelta(minutes=15)
# The week after a change is compared with the one before it, from the next day on.
_LEAST_DAYS, _MOST_DAYS = 2, 7
# The local time of the week before must be that much nearer; noise hides some of the difference.
_NEARER = 0.75
_DAY_S = 86_400
_LOOKED_AT_S, _SOON_S, _RECENT_S = _DAY_S // 4, _DAY_S // 2, 9 * _DAY_S


class FollowedClocks(NamedTuple):
    """The clocks of a region that some items follow, and when they changed."""

    region: str
    changed: date
    items: int

    def __str__(self) -> str:
        some = "an item follows" if self.items == 1 else f"{self.items} items follow"
        return (
            f"{some} the clocks of {self.region}, which changed on {self.changed}; "
            f"name the zone, e.g. --timezone {REGIONS[self.region]}"
        )


def followed_clocks(history: Iterable[Series]) -> FollowedClocks | None:
    """Return the clocks that most of the items follow that name no zone; None if none do."""
    found = Counter(one for series in history if (one := _followed(series)) is not None)
    if not found:
        return None
    ((region, changed), items) = found.most_common(1)[0]
    return FollowedClocks(region, changed, items)


def learned_zone(series: Series) -> str | None:
    """Return the zone of the region whose clocks an item is seen to follow; None if of none.

    Only a change in the last nine days matters: no profile looks further back. What came since
    then, half a day at least, must resemble the week before by local time. It is looked at four
    times a day, at 0, 6, 12 and 18 o'clock UTC.
    """
    start, end = int(series.start.timestamp()), int(series.end.timestamp())
    end -= end % _LOOKED_AT_S
    changes = [at for zone in REGIONS.values() for at in _changes_since(zone, end - _RECENT_S)]
    if not any(start < at < end - _SOON_S for at in changes):
        return None
    begin = max(start + -start % _LOOKED_AT_S, end - _RECENT_S - 8 * _DAY_S)
    past = series.between(datetime.fromtimestamp(begin, UTC), datetime.fromtimestamp(end, UTC))
    return _shown(_Past(past.item_id, begin, end, zlib.crc32(past.values.tobytes()), past))


@dataclass(frozen=True)
class _Past:
    """A series that is the same as another with the same sum, so that it is judged once."""

    item_id: str
    begin: int
    end: int
    checksum: int
    series: Series = field(compare=False)


@lru_cache(maxsize=20_000)
def _shown(past: _Past) -> str | None:
    coarse = past.series if _COARSE % past.series.step else past.series.resampled(_COARSE)
    for zone in REGIONS.values():
        for change in _changes_since(zone, past.end - _RECENT_S):
            if past.begin < change < past.end - _SOON_S and _resembles(coarse, zone, change):
                return zone
    return None


@lru_cache(maxsize=64)
def _changes_since(zone: str, begin: int) -> list[int]:
    return offset_changes(zone, np.array([begin, begin + _RECENT_S]))


def _resembles(series: Series, zone: str, change: int) -> bool:
    """Return whether what came after a change resembles the week before at local time."""
    step, day = int(series.step.total_seconds()), DAY // series.step
    first = max((change - int(series.start.timestamp())) // step, 7 * day)
    last = min((change - int(series.start.timestamp())) // step + 7 * day, len(series))
    return _is_nearer(series, zone, np.arange(first, last), day // 2)


def _followed(series: Series) -> tuple[str, date] | None:
    if series.timezone is not None:
        return None
    coarse = series if _COARSE % series.step else series.resampled(_COARSE)
    for region, zone in REGIONS.items():
        for change in offset_changes(zone, coarse.stamps):
            if _follows(coarse, zone, change):
                return region, datetime.fromtimestamp(change, UTC).date()
    return None


def _follows(series: Series, zone: str, change: int) -> bool:
    """Return whether the days after a change resemble the week before at local time."""
    day = DAY // series.step
    first = (change - int(series.start.timestamp())) // int(series.step.total_seconds()) + day
    after = np.arange(first, min(first + (_MOST_DAYS - 1) * day, len(series)))
    return first >= 8 * day and _is_nearer(series, zone, after, _LEAST_DAYS * day)


def _is_nearer(series: Series, zone: str, after: Indices, least: int) -> bool:
    """Return whether samples are nearer to those of a week before by local time than by hours."""
    if len(after) < least:
        return False
    day = DAY // series.step
    step_s = int(series.step.total_seconds())
    clock = LocalClock(zone, int(series.start.timestamp()), step_s)
    plain, local = after - 7 * day, clock.same_time(after - 7 * day, 7, after)
    differences = [np.abs(series.values[after] - series.values[at]) for at in (plain, local)]
    known = np.isfinite(differences).all(axis=0) & (local >= 0)
    fixed, moved = (float(one[known].sum()) for one in differences)
    return bool(2 * known.sum() > len(after) and moved < _NEARER * fixed)
