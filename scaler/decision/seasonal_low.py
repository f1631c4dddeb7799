"""The seasonal low: the demand that was least usual at a time of day.

Rows are items at one point in time, or points in time of one item. Demand is in requests per second
(QPS); unknown is NaN.
"""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from forecaster.data.local_clock import utc_offsets
from forecaster.data.series import Block, FloatArray

_DAY, _AROUND = timedelta(days=1), timedelta(minutes=15)
_DAY_S = 86_400
# One of each day of the week, so that a weekend has its like.
DAYS = 7
# A day of which less of the half hour is known says nothing.
_KNOWN_SHARE = 0.5
LEAST_DAYS = 2


@cache
def _offsets(day: int, around: int) -> npt.NDArray[np.int64]:
    """Return where the half hours lie, counted from a place, ``(DAYS, samples)``."""
    ago = day * np.arange(DAYS, 0, -1)
    return np.arange(-around, around + 1) - ago[:, None]


class HalfHours(NamedTuple):
    """Which samples of a history are looked at; in steps of its grid."""

    day: int
    around: int

    def later(
        self, zone: str | None, stamps: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64] | None:
        """Return by how many samples a local time was later on each day before, ``(rows, DAYS)``.

        It is so where the clocks of the zone have changed since; None: no zone is named.

        Args:
            zone: an IANA name.
            stamps: of the places, in seconds since the epoch, ``(rows,)``.
        """
        if zone is None:
            return None
        ago = _DAY_S * np.arange(DAYS, 0, -1)
        since = utc_offsets(zone, stamps)[:, None] - utc_offsets(zone, stamps[:, None] - ago)
        return np.rint(since * self.day / _DAY_S).astype(np.int64)

    @classmethod
    def of(cls, step: timedelta) -> HalfHours:
        return cls(max(round(_DAY / step), 1), round(_AROUND / step))

    def before(
        self,
        values: Block,
        places: npt.NDArray[np.int64],
        later: npt.NDArray[np.int64] | None = None,
    ) -> Block:
        """Return the half hour around the time of day of each place, on the days before it.

        Args:
            values: of one item, ``(samples,)``.
            places: of samples in it, ``(rows,)``.
            later: see `HalfHours.later`; None: no clock changes.

        Returns:
            ``(rows, DAYS, samples of half an hour)``; NaN where the history does not reach.
        """
        at = places[:, None, None] + _offsets(*self)
        if later is not None:
            at += later[:, :, None]
        if at.min() >= 0 and at.max() < len(values):
            return np.asarray(values[at])
        return np.where((at >= 0) & (at < len(values)), values[at.clip(0, len(values) - 1)], np.nan)


def seasonal_lows(half_hours: Block) -> FloatArray:
    """Return the seasonal low of each row of half hours, ``(rows, days, samples)``; NaN if unknown.

    It is the second lowest of the days' medians: on one of the days there may have been an outage,
    and two days of a week are a weekend. Of two days it is the lower one; fewer tell nothing. A day
    counts if half of its samples are known.

    >>> week = np.array([100.0, 98.0, 103.0, 5.0, 101.0, 40.0, 42.0])
    >>> seasonal_lows(np.repeat(week[None, :, None], 31, axis=2))
    array([40.])
    """
    levels = np.sort(_medians(half_hours), axis=-1)  # unknown days come last
    days = np.isfinite(levels).sum(axis=-1)
    second = np.take_along_axis(levels, np.where(days > LEAST_DAYS, 1, 0)[:, None], axis=-1)
    return np.where(days >= LEAST_DAYS, second[:, 0], np.nan).astype(np.float64)


def _medians(half_hours: Block) -> Block:
    """Return the lower median of what is known of each half hour; NaN where too little is."""
    ordered = np.sort(half_hours, axis=-1)
    known = np.isfinite(half_hours).sum(axis=-1)
    middle = np.maximum(known - 1, 0) // 2
    medians = np.take_along_axis(ordered, middle[..., None], axis=-1)[..., 0]
    return np.where(known >= _KNOWN_SHARE * half_hours.shape[-1], medians, np.nan)
