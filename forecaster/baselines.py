"""What an operator could have for free: the forecasters that a champion must beat.

A `Spread` is a forecast before calibration: a centre per level and the QPS that one unit of
calibration shift is worth. Every forecaster, naive or learned, is calibrated in units of its own
recent error, so that a comparison is of forecasts and not of calibrations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forecaster import smoothing
from forecaster.anchors import SCALE_FLOOR, Indices, Track
from forecaster.series import Block

LAST_VALUE = "last_value"
SEASONAL_DAY = "seasonal_day"
SEASONAL_WEEK = "seasonal_week"
DAY_SHAPE = "day_shape"
HOLT_WINTERS = "holt_winters"
NAIVE = (LAST_VALUE, SEASONAL_DAY, SEASONAL_WEEK, DAY_SHAPE, HOLT_WINTERS)

# Smoothing of level and season per sample; of a grid over 0.05-0.3 the best on recorded traffic.
LEVEL_GAIN, SEASON_GAIN = 0.1, 0.2
# Index, among the anchors, of the smoothed day's shape scaled to the level of ten samples.
_DAY_SHAPE_ANCHOR = 4


@dataclass(frozen=True, eq=False)
class Naive:
    """A point forecast: ``path`` QPS ``(windows, horizon)`` and its noise scale ``(windows,)``."""

    path: Block
    scale: Block

    def take(self, index: Indices) -> Naive:
        """Return the forecasts at the places ``index``."""
        return Naive(self.path[index], self.scale[index])


@dataclass(frozen=True, eq=False)
class Spread:
    """``centre`` QPS ``(windows, horizon, levels)``; ``unit`` QPS ``(windows,)``."""

    centre: Block
    unit: Block


def naive_forecasts(track: Track, rows: Indices, origins: Indices) -> dict[str, Naive]:
    """Return every naive forecast at the origins ``(rows[i], origins[i])``."""
    horizon = track.timing.prediction_length
    ahead = origins[:, None] + 1 + np.arange(horizon)
    pick = rows[:, None]
    middle, day = track.timing.middle, track.timing.day
    last = track.filled[rows, origins][:, None]
    values = track.values

    def result(path: Block, error: Block) -> Naive:
        path = np.where(np.isfinite(path), path, last)
        return Naive(np.asarray(path, dtype=np.float32), _scale(track, error)[rows, origins])

    def season(period: int) -> Block:
        index = ahead - period
        found = track.filled[pick, np.maximum(index, 0)]
        return np.where(index >= 0, found, np.float32(np.nan))

    level, seasonal = holt_winters(values, day)
    hw_error = values - smoothing.lagged(level, middle) - smoothing.lagged(seasonal, day)
    shape = track.anchors(rows, origins)[:, :, _DAY_SHAPE_ANCHOR]
    shape_error = values - track.anchor_before(_DAY_SHAPE_ANCHOR, middle)
    return {
        LAST_VALUE: result(
            np.repeat(last, horizon, axis=1), values - smoothing.lagged(track.filled, middle)
        ),
        SEASONAL_DAY: result(season(day), values - smoothing.lagged(track.filled, day)),
        SEASONAL_WEEK: result(season(7 * day), values - smoothing.lagged(track.filled, 7 * day)),
        DAY_SHAPE: result(shape, shape_error),
        HOLT_WINTERS: result(
            level[rows, origins][:, None] + _at(seasonal, rows, ahead - day), hw_error
        ),
    }


def _at(values: Block, rows: Indices, index: Indices) -> Block:
    found = values[rows[:, None], np.maximum(index, 0)]
    return np.where(index >= 0, found, np.float32(np.nan))


def _scale(track: Track, error: Block) -> Block:
    """Return the recent mean absolute error, not below the floor that all share."""
    floor = SCALE_FLOOR * smoothing.ewma(track.values, track.timing.day) + np.float32(1e-9)
    scale = smoothing.ewma(np.abs(error), track.timing.memory)
    scale = np.where(np.isfinite(scale), scale, track.scale)
    return np.asarray(np.fmax(np.fmax(scale, floor), np.float32(1e-9)), dtype=np.float32)


def holt_winters(values: Block, period: int) -> tuple[Block, Block]:
    """Return level and season after each sample, both ``(items, time)``; additive, no trend.

    The forecast from ``t`` for ``t + h``, where ``h <= period``, is
    ``level[t] + season[t + h - period]``.
    Source: Hyndman and Athanasopoulos, Forecasting: Principles and Practice, 3rd ed., 8.3 (the
    error-correction form). A missing sample changes nothing.

    >>> level, season = holt_winters(np.float32([[1, 3, 1, 3, 1, 3]]), 2)
    >>> (level[0, 3] + season[0, 2:4]).tolist()  # from the fourth sample: 1, 3
    [1.0, 3.0]
    """
    known = np.isfinite(values)
    filled = np.where(known, values, np.float32(0))
    count = np.maximum(known[:, :period].sum(axis=1), 1)
    level = (filled[:, :period].sum(axis=1) / count).astype(np.float32)
    levels, seasons = np.empty_like(values), np.empty_like(values)
    start = np.where(known[:, :period], values[:, :period] - level[:, None], np.float32(0))
    levels[:, :period], seasons[:, :period] = level[:, None], start
    for t in range(period, values.shape[1]):
        season = seasons[:, t - period]
        error = np.where(known[:, t], filled[:, t] - level - season, np.float32(0))
        level = level + np.float32(LEVEL_GAIN) * error
        levels[:, t] = level
        seasons[:, t] = season + np.float32(SEASON_GAIN * (1 - LEVEL_GAIN)) * error
    return levels, seasons
