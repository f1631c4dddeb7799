"""The naive forecasters, which need no training: baselines that a champion must beat.

A `Spread` is a forecast before calibration. Every candidate, naive or trained, is calibrated in
units of its own recent error, so that a comparison depends on the forecasts, not the calibrations.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.signal import lfilter

from forecaster.data.series import Block
from forecaster.features import smoothing
from forecaster.features.outages import without_outages
from forecaster.features.shapes import samples_at
from forecaster.features.smoothing import MIN_QPS
from forecaster.features.track import Indices, Track

LAST_VALUE = "last_value"
SEASONAL_DAY = "seasonal_day"
SEASONAL_WEEK = "seasonal_week"
DAY_SHAPE = "day_shape"
HOLT_WINTERS = "holt_winters"
NAIVE = (LAST_VALUE, SEASONAL_DAY, SEASONAL_WEEK, DAY_SHAPE, HOLT_WINTERS)

# Smoothing of level and season per sample; the best of a grid over 0.05-0.3 on recorded traffic.
LEVEL_GAIN, SEASON_GAIN = 0.1, 0.2
# The level to which the same time of another day is scaled: of so many samples; and how much better
# that must have been in the last hour, by its share of the error.
_LEVEL_SPAN, _MUCH_BETTER = 10, 0.5
# Index of the anchor that scales the smoothed daily profile to the level of ten samples.
_DAY_SHAPE_ANCHOR = 4


@dataclass(frozen=True, eq=False)
class Naive:
    """A point forecast: ``path`` QPS ``(windows, horizon)`` and its noise scale ``(windows,)``."""

    path: Block
    scale: Block

    def take(self, index: Indices) -> Naive:
        """Return the forecasts with the indices ``index``."""
        return Naive(self.path[index], self.scale[index])

    def spread(self, levels: int) -> Spread:
        """Return the forecast as that of each of so many levels; calibration separates them."""
        return Spread(np.repeat(self.path[:, :, None], levels, axis=2), self.scale)

    @staticmethod
    def join(parts: Sequence[Naive]) -> Naive:
        """Return the forecasts of all parts, in order."""
        return Naive(
            np.concatenate([part.path for part in parts]),
            np.concatenate([part.scale for part in parts]),
        )


@dataclass(frozen=True, eq=False)
class Spread:
    """A forecast of quantiles before calibration.

    Attributes:
        centre: the quantiles, ``(windows, horizon, levels)`` QPS.
        unit: recent error, the unit of calibration shifts, ``(windows,)`` QPS.
    """

    centre: Block
    unit: Block


def naive_forecasts(
    track: Track, rows: Indices, origins: Indices, names: Collection[str] = NAIVE
) -> dict[str, Naive]:
    """Return the naive forecasts with the given names at the origins ``(rows[i], origins[i])``."""
    past = _SampleHistory(track, rows, origins)
    makers: dict[str, Callable[[], Naive]] = {
        LAST_VALUE: lambda: _last_value(past),
        SEASONAL_DAY: lambda: _seasonal(past, 1),
        SEASONAL_WEEK: lambda: _seasonal(past, 7),
        DAY_SHAPE: lambda: _day_shape(past),
        HOLT_WINTERS: lambda: _holt_winters(past),
    }
    return {name: makers[name]() for name in names}


@dataclass(frozen=True, eq=False)
class _SampleHistory:
    """The whole history of a track, filled, and the origins in it."""

    track: Track
    rows: Indices
    origins: Indices

    @property
    def values(self) -> Block:
        return self.track.values

    @cached_property
    def filled(self) -> Block:
        return smoothing.forward_fill(self.values)

    @cached_property
    def usual(self) -> Block:
        """The history, filled in outages too: they must not come again."""
        return smoothing.forward_fill(without_outages(self.values, self.track.outage))

    @property
    def target_indices(self) -> Indices:
        return self.origins[:, None] + 1 + np.arange(self.track.timing.prediction_length)

    def result(self, path: Block, error: Block) -> Naive:
        """Return a forecast with the mean recent ``error`` as its scale.

        Where the path is unknown, it is the last value.
        """
        last = self.filled[self.rows, self.origins][:, None]
        recent = smoothing.ewma(np.abs(error), self.track.timing.memory)
        pick = self.rows, self.origins
        scale = recent[pick]
        scale = np.where(np.isfinite(scale), scale, self.track.scale[pick])
        scale = np.fmax(scale, self.track.floor[pick])
        path = np.where(np.isfinite(path), path, last)
        return Naive(np.asarray(path, np.float32), np.asarray(scale, np.float32))

    def days_before(self, index: Indices, days: int, latest: Indices) -> Indices:
        """Return the places at the same time of day ``days`` before; negative if after latest."""
        places, clock = index - days * self.track.timing.day, self.track.clock
        return places if clock is None else clock.same_time(places, days, latest)

    @cached_property
    def yesterday(self) -> Indices | None:
        """The place a day before each sample; None where that is the same number of samples."""
        samples = np.arange(self.values.shape[1])
        return None if self.track.clock is None else self.days_before(samples, 1, samples - 1)

    def at(self, series: Block, index: Indices) -> Block:
        found = series[self.rows[:, None], np.maximum(index, 0)]
        return np.where(index >= 0, found, smoothing.NAN)


def _last_value(past: _SampleHistory) -> Naive:
    timing = past.track.timing
    error = past.values - smoothing.lagged(past.filled, timing.middle)
    path = past.filled[past.rows, past.origins][:, None]
    return past.result(np.repeat(path, timing.prediction_length, axis=1), error)


def _seasonal(past: _SampleHistory, days: int) -> Naive:
    """Return what was, or that scaled to the present level where this was much better of late.

    So a service that has lost or won a third of its traffic for good is followed within hours.
    """
    timing, floor = past.track.timing, past.track.floor + MIN_QPS
    samples = np.arange(past.values.shape[1])
    before = samples_at(past.usual, past.days_before(samples, days, samples))
    known = np.where(np.isnan(past.values), smoothing.NAN, before)
    now, then = (smoothing.ewma(one, _LEVEL_SPAN) + floor for one in (past.values, known))
    gain = np.nan_to_num(now / then, nan=1.0).astype(np.float32)
    scaled = smoothing.lagged(gain, timing.middle) * before
    errors = [np.abs(past.values - forecast) for forecast in (before, scaled)]
    recent = [smoothing.ewma(e, timing.hour)[past.rows, past.origins] for e in errors]
    follows = recent[1] < _MUCH_BETTER * recent[0]
    seen = past.days_before(past.target_indices, days, past.origins[:, None])
    path = past.at(past.usual, seen)
    path *= np.where(follows, gain[past.rows, past.origins], 1)[:, None]
    plain, moved = (past.result(path, e) for e in errors)
    return Naive(plain.path, np.where(follows, moved.scale, plain.scale))


def _day_shape(past: _SampleHistory) -> Naive:
    track = past.track
    shape = track.anchors(past.rows, past.origins)[:, :, _DAY_SHAPE_ANCHOR]
    return past.result(
        shape, track.values - track.anchor_forecasts(_DAY_SHAPE_ANCHOR, track.timing.middle)
    )


def _holt_winters(past: _SampleHistory) -> Naive:
    timing = past.track.timing
    level, season = holt_winters(past.values, timing.day, past.yesterday)
    samples = np.arange(past.values.shape[1])
    before = samples_at(season, past.days_before(samples, 1, samples))
    forecasts = smoothing.lagged(level, timing.middle) + before
    seasonal = past.at(season, past.days_before(past.target_indices, 1, past.origins[:, None]))
    path = level[past.rows, past.origins][:, None] + seasonal
    return past.result(np.maximum(path, 0), past.values - np.maximum(forecasts, 0))


def holt_winters(values: Block, period: int, before: Indices | None = None) -> tuple[Block, Block]:
    """Return level and season after each sample, both ``(items, time)``; additive, no trend.

    The forecast from ``t`` for ``t + h``, where ``h <= period``, is
    ``level[t] + season[t + h - period]``; NaN before the first period is complete. A missing sample
    changes nothing. ``before`` has the place of each sample's season a period ago, where that is
    not always ``period`` samples before, ``(time,)``.
    Source: Hyndman and Athanasopoulos, Forecasting: Principles and Practice, 3rd ed., 8.3 (the
    error-correction form).

    >>> level, season = holt_winters(np.float32([[1, 3, 1, 3, 1, 3]]), 2)
    >>> (level[0, 3] + season[0, 2:4]).tolist()  # from the fourth sample: 1, 3
    [1.0, 3.0]
    """
    known = np.isfinite(values[:, :period])
    count = np.maximum(known.sum(axis=1), 1)
    level = np.where(known, values[:, :period], 0).sum(axis=1, dtype=np.float64) / count
    levels, seasons = np.full_like(values, np.nan), np.empty_like(values)
    seasons[:, :period] = np.where(known, values[:, :period] - level[:, None], np.float32(0))
    levels[:, period - 1 : period] = level[:, None]
    places = np.arange(values.shape[1]) - period
    if before is not None:
        places = np.where(before >= 0, before, places)
    end = period
    while (begin := end) < values.shape[1]:
        later = places[begin : begin + period] >= begin  # whose season is not known yet
        end = begin + (int(later.argmax()) if later.any() else len(later))
        now = np.s_[:, begin:end]
        season = seasons[:, places[begin:end]]
        without_season = values[now] - season
        levels[now] = _smoothed(without_season, levels[:, begin - 1])
        error = without_season - levels[:, begin - 1 : begin - 1 + season.shape[1]]
        seasons[now] = season + np.float32(SEASON_GAIN * (1 - LEVEL_GAIN)) * np.nan_to_num(error)
    return levels, seasons


def _smoothed(samples: Block, level: Block) -> Block:
    """Return the level after each sample of a period: an EWMA, as the season is known there."""
    gain = np.float32(LEVEL_GAIN)
    result = np.empty_like(samples)
    gaps = ~np.isfinite(samples).all(axis=1)
    a, b = np.array([1, gain - 1], dtype=np.float32), np.array([gain])
    start = (1 - gain) * level[~gaps, None]
    result[~gaps], _ = lfilter(b, a, samples[~gaps], zi=start)
    level = level[gaps]
    for t in range(samples.shape[1] if gaps.any() else 0):
        level = level + gain * np.nan_to_num(samples[gaps, t] - level)
        result[gaps, t] = level
    return result
