"""Whether traffic follows clocks that nobody has named, as a change of them shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

import numpy as np

from forecaster.data.local_clock import LocalClock, offset_changes
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
    step = int(series.step.total_seconds())
    day = DAY // series.step
    clock = LocalClock(zone, int(series.start.timestamp()), step)
    first = (change - clock.first) // step + day
    after = np.arange(first, min(first + (_MOST_DAYS - 1) * day, len(series)))
    if len(after) < _LEAST_DAYS * day or first < 8 * day:
        return False
    plain, local = after - 7 * day, clock.same_time(after - 7 * day, 7, after)
    differences = [np.abs(series.values[after] - series.values[at]) for at in (plain, local)]
    known = np.isfinite(differences).all(axis=0)
    fixed, moved = (float(one[known].sum()) for one in differences)
    return bool(2 * known.sum() > len(after) and moved < _NEARER * fixed)
