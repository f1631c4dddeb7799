"""Recurring shocks: short jumps of demand that come again each hour, day or week, such as jobs.

A *shock* is a sample far above the median of the samples around it, which is known only some
samples later. Where the last few samples at the same minute of the hour, or at the same time of the
day or of the week, were all shocks, another is expected; their mean and how much they differ say
how high.

This needs no training: a job that began this morning is foreseen after a few hours. Profiles and
networks take days, for they learn means.
"""

from __future__ import annotations

import numpy as np

from forecaster.data.local_clock import LocalClock
from forecaster.data.series import Block
from forecaster.features.rare_samples import MOST
from forecaster.features.smoothing import centred_median
from forecaster.features.timing import Timing
from forecaster.features.track import Indices, Track

# A shock is higher than this many noise scales.
LEAST_SCALES = 3.0
# Below so many new samples, one partition for all items is faster than a filter for each.
FEW = 16
# Of those in a row, the lowest is at least this share of the highest.
ALIKE = 0.5
# Periods in minutes; how many shocks in a row make the next one expected; and by how much a
# prediction interval from so few values is wider than one from many: Student's t at 0.95 over the
# normal distribution's 1.645, times sqrt(1 + 1/n).
RECURRENCES = ((60, 4, 1.60), (24 * 60, 3, 2.05), (7 * 24 * 60, 2, 4.70))
# Up to the level 0.95, an expected shock is at most as high again as the highest of the last ones.
_NORMAL_95 = 1.645


def recurrences(timing: Timing) -> list[tuple[int, int, float]]:
    """Return `RECURRENCES` with periods in samples, without those too short for their shocks.

    >>> from datetime import timedelta
    >>> recurrences(Timing(timedelta(minutes=15), 8))
    [(96, 3, 2.05), (672, 2, 4.7)]
    """
    found = [(timing.samples(minutes), count, wider) for minutes, count, wider in RECURRENCES]
    return [one for one in found if one[0] > 2 * timing.shock_reach]


def new_shocks(filled: Block, values: Block, scale: Block, reach: int) -> Block:
    """Return the height of what was a shock ``reach`` samples before each new sample; else 0.

    Args:
        filled: samples without gaps, ``(items, time)`` QPS; they end with the new samples and
            begin at least ``2 * reach`` before these. NaN before the first known sample.
        values: the same as recorded.
        scale: noise scale at the new samples, ``(items, count)``.
        reach: samples on either side of a shock.
    """
    count = scale.shape[1]
    at = slice(-count - reach, -reach)
    around = np.nan_to_num(filled[:, filled.shape[1] - count - 2 * reach :])
    if count < FEW:
        windows = np.lib.stride_tricks.sliding_window_view(around, 2 * reach + 1, axis=1)
        medians = np.median(windows, axis=2)
    else:
        medians = centred_median(around, reach)[:, reach:-reach]
    with np.errstate(invalid="ignore"):
        high = values[:, at] - medians
        return np.where(high > LEAST_SCALES * scale, high, 0).astype(np.float32)


def shock_ages(timing: Timing) -> Indices:
    """Return how many samples before the origin the shocks are that a forecast looks at.

    ``(prediction_length, lags)``: for each step ahead the last ones of each period, of those that
    are known at the origin.

    >>> from datetime import timedelta
    >>> shock_ages(Timing(timedelta(minutes=1), 30))[0, :5]  # a minute ahead
    array([  59,  119,  179,  239, 1439])
    """
    steps = np.arange(1, timing.prediction_length + 1)[:, None]
    ages = []
    for period, count, _ in recurrences(timing):
        first = -(-(steps + timing.shock_reach) // period)
        ages.append((first + np.arange(count)) * period - steps)
    return np.concatenate(ages, axis=1)


def local_shock_ages(origins: Indices, timing: Timing, clock: LocalClock | None) -> Indices:
    """Return `shock_ages` at origins, ``(origins, prediction_length, lags)``, by a local clock.

    A job of each day or week comes at its local time; one of each hour does not know of clocks.
    What is not known at the origin has the age 0, at which there is no shock.

    Args:
        origins: as the clock counts samples.
        timing: of the forecast.
        clock: of the items; None: it does not change.
    """
    ages = shock_ages(timing)
    if clock is None:
        return np.broadcast_to(ages, (len(origins), *ages.shape))
    steps = np.arange(1, timing.prediction_length + 1)[:, None]
    periods = np.concatenate([np.full(count, one) for one, count, _ in recurrences(timing)])
    days = np.where(periods >= timing.day, (ages + steps) // timing.day, 0)
    at = origins[:, None, None]
    local = at - clock.same_clock_time(at - ages, days)
    return np.where(local >= timing.shock_reach, local, 0)


def shocks_before(track: Track, rows: Indices, origins: Indices) -> Block:
    """Return the heights at `local_shock_ages` before origins of a whole track.

    See `RareSamples.at`.
    """
    reach, shock = track.timing.shock_reach, track.shock
    ages = local_shock_ages(origins, track.timing, track.clock)
    column = np.where(ages > 0, origins[:, None, None] - ages + reach, -1)
    row = rows[:, None, None]
    count = (shock > 0).cumsum(axis=1)
    found = np.where(column >= 0, shock[row, np.maximum(column, 0)], np.float32(0))
    since = count[rows, origins][:, None, None] - count[row, np.maximum(column, 0)]
    return np.where(since < MOST, found, np.float32(0))


def expected_shocks(heights: Block, timing: Timing) -> tuple[Block, Block]:
    """Return mean and spread of the expected shocks, both ``(windows, prediction_length)`` QPS.

    Both are 0 where none is expected. The spread is a standard deviation.

    Args:
        heights: of the shocks at `local_shock_ages`, ``(windows, prediction_length, lags)``.
        timing: of the forecast.
    """
    mean = np.zeros(heights.shape[:2], dtype=np.float32)
    spread = np.zeros_like(mean)
    begin = 0
    for _, count, wider in recurrences(timing):
        seen = heights[:, :, begin : begin + count]
        begin += count
        lowest, highest = seen.min(axis=2), seen.max(axis=2)
        is_expected = (lowest > 0) & (lowest >= ALIKE * highest)
        own = np.where(is_expected, seen.mean(axis=2), np.float32(0))
        is_higher = own > mean
        most = highest / np.float32(_NORMAL_95)
        wide = np.minimum(np.float32(wider) * seen.std(axis=2, ddof=1), most)
        spread = np.where(is_higher, wide, spread)
        mean = np.where(is_higher, own, mean)
    return mean, spread
