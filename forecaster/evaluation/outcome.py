"""What really happened at the moments that were forecast, and which of these moments stand out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from forecaster.data.series import Block
from forecaster.evaluation.metrics import is_peak

MINUTES = 60  # of an hour
DAY_TOPS = 5  # highest samples of a day that are looked at by themselves
MINUTE_LEVEL = 0.95  # the quantile of which coverage is told by minute of the hour

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Outcome:
    """Actual demand after each origin.

    Attributes:
        target: actual demand, ``(origins, horizon)`` QPS; NaN where unknown.
        moments: of each target, seconds since the epoch, ``(origins, horizon)``.
    """

    target: Block
    moments: npt.NDArray[np.int64]

    @classmethod
    def after(cls, origins: npt.NDArray[np.int64], step_seconds: int, target: Block) -> Outcome:
        """Return the outcome after ``origins``, which are in seconds since the epoch."""
        return cls(target, origins[:, None] + step_seconds * np.arange(1, target.shape[1] + 1))

    @cached_property
    def peaks(self) -> Mask:
        """Whether a target is among the top 5 % of the known ones, ``(origins, horizon)``."""
        return is_peak(self.target)

    @cached_property
    def day_tops(self) -> Mask:
        """Whether a target is among the five highest samples of its UTC day."""
        known = np.isfinite(self.target)
        moments, first = np.unique(self.moments[known], return_index=True)
        day, demand = moments // 86_400, self.target[known][first]
        order = np.lexsort((-demand, day))
        ordered = day[order]
        rank = np.arange(len(order)) - np.searchsorted(ordered, ordered)
        return known & np.isin(self.moments, moments[order[rank < DAY_TOPS]])

    @cached_property
    def hours(self) -> tuple[int, ...]:
        """In how many hours each minute of the hour is known, 60 counts."""
        moments = np.unique(self.moments[np.isfinite(self.target)] // 60)
        return tuple(np.bincount(moments % MINUTES, minlength=MINUTES).tolist())

    def by_minute(self, covered: Mask) -> tuple[float, ...]:
        """Return the share of ``covered`` at each minute of the hour, 60 shares; NaN if unknown."""
        known = np.isfinite(self.target)
        minute = self.moments[known] // 60 % MINUTES
        count = np.bincount(minute, minlength=MINUTES)
        found = np.bincount(minute, covered[known], minlength=MINUTES)
        share = np.divide(found, count, out=np.full(MINUTES, np.nan), where=count > 0)
        return tuple(share.round(4).tolist())


def minute_place(levels: Sequence[float]) -> int:
    """Return the place of the level of which coverage is told by minute of the hour.

    >>> minute_place([0.1, 0.5, 0.9, 0.95, 0.99]), minute_place([0.1, 0.5, 0.9])
    (3, 2)
    """
    return min(range(len(levels)), key=lambda place: abs(levels[place] - MINUTE_LEVEL))
