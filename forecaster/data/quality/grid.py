"""The regular grid: brings samples onto it, and detects hours doubled or lost by clock changes.

Stamps are whole seconds since the epoch, ``step`` is in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from forecaster.data.quality.values import StampArray
from forecaster.data.series import FloatArray

BoolArray = npt.NDArray[np.bool_]

HOUR = 3600
# Usual scrape intervals; jittered stamps are assigned the nearest of them.
USUAL_STEPS = np.array([1, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 86400])
# Seconds reach 10^11 in the year 5138; milliseconds passed it in 1973.
FIRST_NOT_SECONDS = 10**11


def spacing(stamps: StampArray) -> StampArray:
    """Return the distances between distinct stamps.

    >>> spacing(np.array([120, 0, 60, 60]))
    array([60, 60])
    """
    distinct = np.unique(stamps)
    return distinct[1:] - distinct[:-1]


def common_step(all_stamps: Iterable[StampArray]) -> int | None:
    """Return the most common spacing in seconds, or None where no item has two stamps.

    Where no spacing has a majority (jitter), it is the usual step within 5 % of the median.

    >>> common_step([np.array([0, 60, 120, 300])])
    60
    >>> common_step([np.array([0, 59, 121, 178, 240, 301])])
    60
    """
    distances = np.concatenate([np.empty(0, dtype=np.int64), *map(spacing, all_stamps)])
    if not len(distances):
        return None
    lengths, counts = np.unique(distances, return_counts=True)
    commonest = int(lengths[counts.argmax()])
    if counts.max() * 2 < len(distances):
        median = float(np.median(distances))
        nearest = int(USUAL_STEPS[np.abs(USUAL_STEPS - median).argmin()])
        if abs(nearest - median) <= 0.05 * median:
            return nearest
    return commonest


def unit_of(stamps: StampArray) -> tuple[str, int]:
    """Return the unit that the stamps must be in to lie before the year 5000, and its factor.

    >>> unit_of(np.array([1_700_000_000_000]))
    ('milliseconds', 1000)
    """
    largest = int(stamps.max(initial=0))
    for unit, factor in (
        ("seconds", 1),
        ("milliseconds", 10**3),
        ("microseconds", 10**6),
    ):
        if largest < FIRST_NOT_SECONDS * factor:
            return unit, factor
    return "nanoseconds", 10**9


def _phase(stamps: StampArray, step: int) -> int:
    """Return the grid's offset: the most common one, or the circular mean of jittered stamps."""
    offsets, counts = np.unique(stamps % step, return_counts=True)
    if counts.max() * 2 >= len(stamps):
        return int(offsets[counts.argmax()])
    turns = 2j * np.pi * offsets / step
    angle = float(np.angle((counts * np.exp(turns)).sum()))
    return round(angle / (2 * np.pi) * step) % step


@dataclass(frozen=True, eq=False)
class SampleGrid:
    """The samples of one item on a grid; every mask has shape ``(n,)``.

    Attributes:
        first: stamp of slot 0.
        values: NaN where there is no sample or where its samples disagree.
        sampled: slots for which the source has a row, even an empty one.
        moved: slots whose sample was off the grid and was moved onto it.
        too_far: slots whose sample is too far off the grid to be moved.
        repeated: slots with several samples of equal value.
        conflicting: slots with several samples of different values.
    """

    first: int
    values: FloatArray
    sampled: BoolArray
    moved: BoolArray
    too_far: BoolArray
    repeated: BoolArray
    conflicting: BoolArray


def to_grid(stamps: StampArray, values: FloatArray, step: int, snap_within: float) -> SampleGrid:
    """Return the samples on the grid that fits their stamps best, in any order of rows."""
    phase = _phase(stamps, step)
    slots = (2 * (stamps - phase) + step) // (2 * step)
    offsets = stamps - phase - slots * step
    first = phase + int(slots.min()) * step
    slots = slots - slots.min()
    order = np.lexsort((values, slots))
    slots, values, offsets = slots[order], values[order], offsets[order]
    at, begin, counts = np.unique(slots, return_index=True, return_counts=True)
    n = int(slots[-1]) + 1

    def mask(where: npt.NDArray[np.int64]) -> BoolArray:
        result = np.zeros(n, dtype=bool)
        result[where] = True
        return result

    lowest, highest = np.fmin.reduceat(values, begin), np.fmax.reduceat(values, begin)
    disagree = highest - lowest > 1e-9 * np.abs(highest)
    on_grid = np.full(n, np.nan)
    on_grid[at] = np.where(disagree, np.nan, lowest)
    too_far = np.abs(offsets) > snap_within * step
    return SampleGrid(
        first=first,
        values=on_grid,
        sampled=mask(at),
        moved=mask(slots[(offsets != 0) & ~too_far]),
        too_far=mask(slots[too_far]),
        repeated=mask(at[(counts > 1) & ~disagree]),
        conflicting=mask(at[disagree]),
    )


def doubled_hour(grid: SampleGrid, step: int) -> BoolArray:
    """Return the conflicting slots of hours that occur twice, as when clocks are set back."""
    if HOUR % step or HOUR // step < 2:
        return np.zeros_like(grid.conflicting)
    hours = (grid.first + step * np.arange(len(grid.values))) // HOUR
    hours -= hours[0]
    conflicts = np.bincount(hours, weights=grid.conflicting)
    around = np.pad(conflicts, 1)
    doubled: BoolArray = (conflicts >= 0.8 * HOUR / step) & (around[:-2] == 0) & (around[2:] == 0)
    conflicting: BoolArray = doubled[hours] & grid.conflicting
    return conflicting


def lost_hour(grid: SampleGrid, step: int) -> BoolArray:
    """Return the slots of gaps that are exactly an hour that a change to summer time skips."""
    lost = np.zeros_like(grid.sampled)
    if HOUR % step or HOUR // step < 2:
        return lost
    for begin, end in runs(~grid.sampled):
        stamp = grid.first + begin * step
        if (end - begin) * step == HOUR and stamp % HOUR < step and _may_change_clocks(stamp):
            lost[begin:end] = True
    return lost


def _may_change_clocks(stamp: int) -> bool:
    """Return whether clocks are set forward at this local time in Europe, America or Oceania."""
    moment = datetime.fromtimestamp(stamp, tz=UTC)
    sundays = {3: (range(8, 15), range(25, 32)), 9: (range(24, 31),), 10: (range(1, 8),)}
    return (
        moment.weekday() == 6
        and moment.hour in (1, 2, 3)
        and any(moment.day in days for days in sundays.get(moment.month, ()))
    )


def runs(mask: BoolArray) -> list[tuple[int, int]]:
    """Return ``(begin, end)`` of every run of True.

    >>> runs(np.array([True, True, False, True]))
    [(0, 2), (3, 4)]
    """
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return [(int(begin), int(end)) for begin, end in edges.reshape(-1, 2)]
