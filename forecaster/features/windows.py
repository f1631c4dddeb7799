"""Windows: the features of a model at an origin, and the targets after it.

Axes: ``(windows, horizon, features)`` for features of each step ahead, ``(windows, features)`` for
features of the whole window, ``(windows, context, features)`` for the recent past. All features are
relative to the anchors' blend in units of its noise scale, so that services of 0.1 and of 10^9
requests per second look alike. No feature uses a sample after its origin.

A *surprise* is the difference of a sample from the mean of its trailing hour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from forecaster.data.local_clock import LocalClock
from forecaster.data.series import Block
from forecaster.features import smoothing
from forecaster.features.anchors import CLIP
from forecaster.features.outages import without_outages
from forecaster.features.shocks import expected_shocks, shocks_before
from forecaster.features.timing import ANCHOR_COUNT, PROFILE_DAYS, RHYTHMS, Timing
from forecaster.features.track import Indices, Track, blended

# Earlier days whose surprises at the same time of day are features.
EARLIER_DAYS = (1, 2, 7)
HORIZON_FEATURES = ANCHOR_COUNT + len(EARLIER_DAYS) + len(RHYTHMS) + 2
CONTEXT_FEATURES = 3 + ANCHOR_COUNT
RECENT_FEATURES = 5
# Targets are clipped to this many noise scales, the range of the network; see
# `lstm_forward.LARGEST_LOG`.
LARGEST_DEVIATION = 400.0


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows of one or more items.

    Attributes:
        horizon: ``(windows, prediction_length, HORIZON_FEATURES)``; the anchors come first.
        context: ``(windows, CONTEXT_FEATURES)``; the blend's weights come last.
        recent: ``(windows, context_length, RECENT_FEATURES)``.
        blend: forecast of the blended anchors, ``(windows, prediction_length)`` QPS.
        scale: noise scale, the unit of deviations, ``(windows,)`` QPS.
        target: actual demand, ``(windows, prediction_length)`` QPS; NaN where unknown.
        level: what is usual now, the upper quartile of the trailing hour, ``(windows,)`` QPS.
        shock: mean and spread of the expected recurring shocks, ``(windows, prediction_length, 2)``
            QPS; 0 where none is expected. See `shocks.expected_shocks`.
        peak: 1 where a target is among the top 5 % of its day, else 0; the shape of ``target``.
        age: samples from the item's first known one to the origin, ``(windows,)``; see `oldest`.
    """

    horizon: Block
    context: Block
    recent: Block
    blend: Block
    scale: Block
    level: Block
    shock: Block
    target: Block
    peak: Block
    age: Indices

    def __len__(self) -> int:
        return len(self.scale)

    @property
    def deviation(self) -> Block:
        """Difference of target and blend in noise scales; NaN where the target is unknown.

        It is clipped to `LARGEST_DEVIATION`: the first request after weeks without traffic would
        otherwise be an extreme outlier.
        """
        deviation: Block = (self.target - self.blend) / self.scale[:, None]
        return deviation.clip(-LARGEST_DEVIATION, LARGEST_DEVIATION)

    def restore(self, deviation: Block) -> Block:
        """Return deviations, ``(windows, prediction_length, levels)``, converted to QPS."""
        qps = self.blend[:, :, None] + deviation * self.scale[:, None, None]
        return np.asarray(np.maximum(qps, 0), dtype=np.float32)

    def take(self, index: Indices) -> Windows:
        """Return the windows at the places ``index``."""
        return Windows(*(getattr(self, field.name)[index] for field in fields(Windows)))

    @staticmethod
    def join(parts: Sequence[Windows]) -> Windows:
        """Return the windows of all parts, in order."""
        names = [field.name for field in fields(Windows)]
        return Windows(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))


def origins_between(
    first: int, last: int, timing: Timing, stride: int, *, phase: int = 0
) -> Indices:
    """Return every ``stride``-th origin whose whole horizon lies in samples ``[first, last)``.

    The first origin is the earliest one equal to ``phase`` modulo ``stride``.
    """
    begin = max(first - 1, 0)
    begin += (phase - begin) % stride
    return np.arange(begin, last - timing.prediction_length, stride, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Beyond:
    """What windows need of the samples before the beginning of a shortened track.

    Attributes:
        age: as in `Windows`.
        earlier: samples at `earlier_offsets` from each origin, ``(windows, days, time)``.
        shocks: heights at `shocks.local_shock_ages`, ``(windows, prediction_length, lags)``.
    """

    age: Indices
    earlier: Block
    shocks: Block


def cut_windows(
    track: Track,
    rows: Indices,
    origins: Indices,
    context_length: int,
    beyond: Beyond | None = None,
) -> Windows:
    """Return the windows of ``track`` at ``(rows[i], origins[i])``.

    Targets after the end of the track are NaN, so that the newest origin has a window too.
    ``beyond`` is needed where the track was shortened at its beginning.
    """
    timing = track.timing
    at = origins - track.values.shape[1]  # negative: all fields have the same end
    anchors = track.anchors(rows, origins)
    weights = track.weights[:, rows, at]
    blend = blended(anchors, weights)
    scale = track.scale[rows, at]
    ahead = origins[:, None] + 1 + np.arange(timing.prediction_length)
    target, peak = _targets(track, rows, ahead)
    context = at[:, None] + 1 - context_length + np.arange(context_length)
    most = oldest(timing, context_length)
    age = _ages(track, rows, origins, most) if beyond is None else beyond.age
    earlier = _earlier(track, rows, at) if beyond is None else beyond.earlier
    shocks = shocks_before(track, rows, origins) if beyond is None else beyond.shocks
    past = [_earlier_surprises(earlier, timing), _rhythms(track, rows, at)]
    past_scaled = np.concatenate(past, axis=2, dtype=np.float32) / scale[:, None, None]
    deviation = (anchors - blend[:, :, None]) / scale[:, None, None]
    horizon = [_known(_log_scale(deviation)), _known(_log_scale(past_scaled))]
    steps = np.broadcast_to((ahead - origins[:, None]) / timing.prediction_length, ahead.shape)
    horizon.append(steps[:, :, None].astype(np.float32))
    return Windows(
        horizon=np.concatenate(horizon, axis=2, dtype=np.float32),
        context=_context(track, rows, at, blend, weights.T),
        recent=_recent(track, rows, context, (at + 1 - age)[:, None], blend[:, :1]),
        blend=blend,
        scale=scale,
        level=_level(track, rows, at),
        shock=np.stack(expected_shocks(shocks, timing), axis=2),
        target=target,
        peak=peak,
        age=age,
    )


def oldest(timing: Timing, context_length: int) -> int:
    """Return the most samples that a window's age tells: nothing here depends on older ones."""
    return max(PROFILE_DAYS * timing.day, context_length)


def _ages(track: Track, rows: Indices, origins: Indices, most: int) -> Indices:
    known = np.isfinite(track.values)
    first = np.where(known.any(axis=1), known.argmax(axis=1), known.shape[1])
    return np.asarray(np.clip(origins + 1 - first[rows], 1, most))


def _log_scale(x: Block) -> Block:
    """Return ``sign(x) * log(1 + |x|)``, which compresses large values: `lstm_forward.expand`."""
    return np.asarray(np.sign(x) * np.log1p(np.abs(x)), dtype=np.float32)


def _known(x: Block) -> Block:
    return np.asarray(np.nan_to_num(x, nan=0.0, posinf=0.0, neginf=0.0), dtype=np.float32)


def _targets(track: Track, rows: Indices, ahead: Indices) -> tuple[Block, Block]:
    """Return the actual demand and whether it was a peak, both ``(windows, horizon)``."""
    length, day = track.values.shape[1], track.timing.day
    if ahead.min(initial=length) >= length:
        unknown = np.full(ahead.shape, np.nan, dtype=np.float32)
        return unknown, np.zeros_like(unknown)
    target = track.values[rows[:, None], np.minimum(ahead, length - 1)]
    target = np.where(ahead < length, target, np.float32(np.nan))
    days = np.pad(track.values, ((0, 0), (0, -length % day)), constant_values=np.nan)
    days = np.sort(days.reshape(len(days), -1, day), axis=2)
    # NaN is sorted to the end, so the quantile's place is counted among the known samples.
    count = np.isfinite(days).sum(axis=2)
    place = np.maximum(np.ceil(0.95 * count).astype(np.int64) - 1, 0)
    bar = np.take_along_axis(days, place[:, :, None], axis=2)[:, :, 0]
    pick = rows[:, None], np.minimum(ahead, length - 1) // day
    peak = (target >= bar[pick]) & (target > days[:, :, 0][pick])  # a flat day has no peak
    return target, peak.astype(np.float32)


def earlier_offsets(timing: Timing) -> Indices:
    """Return the places of the samples that earlier surprises need, ``(days, time)``.

    They are relative to the origin, and not after it.
    """
    return np.asarray(earlier_places(np.array([0]), timing, None)[0])


def earlier_places(origins: Indices, timing: Timing, clock: LocalClock | None) -> Indices:
    """Return the places of the samples that earlier surprises need, ``(origins, days, time)``.

    They are not after the origin; negative where they lie before the first sample, or after it.
    """
    days = np.array(EARLIER_DAYS)[:, None]
    around = np.arange(1 - timing.hour, timing.prediction_length) + 1
    places = origins[:, None, None] + around - timing.day * days
    return places if clock is None else clock.same_time(places, days, origins[:, None, None])


def _earlier(track: Track, rows: Indices, at: Indices) -> Block:
    """Return the samples at `earlier_places`, ``(windows, days, time)``, NaN in outages."""
    index = earlier_places(at + track.values.shape[1], track.timing, track.clock)
    usual = without_outages(track.values, track.outage)
    samples = usual[rows[:, None, None], np.maximum(index, 0)]
    return np.where(index >= 0, samples, smoothing.NAN)


def _earlier_surprises(samples: Block, timing: Timing) -> Block:
    """Return the surprises at the same time of day one, two and seven days before."""
    surprise = samples - smoothing.trailing_mean(samples, timing.hour)
    return surprise[:, :, timing.hour - 1 :].swapaxes(1, 2)


def _rhythms(track: Track, rows: Indices, at: Indices) -> Block:
    """Return the mean surprises at the same minute of the hour and of the quarter hour.

    The last feature is the newest surprise of the same minute, which the means do not include.
    """
    timing = track.timing
    steps = np.arange(1, timing.prediction_length + 1)

    def newest(series: Block, period: int) -> Block:
        """Take the newest sample of the same phase that is not after the origin."""
        index = at[:, None] + steps - period * -(-steps // period)
        found = series[rows[:, None], np.maximum(index, -series.shape[1])]
        return np.where(index >= -series.shape[1], found, smoothing.NAN)

    found = [
        newest(means, period) for means, period in zip(track.rhythms, timing.periods, strict=True)
    ]
    found.append(newest(track.surprise, timing.hour))
    return np.stack(found, axis=2)


def _level(track: Track, rows: Indices, at: Indices) -> Block:
    """Return the upper quartile of the trailing hour, without regard to short shocks in it."""
    index = at[:, None] + np.arange(1 - track.timing.hour, 1)
    there = index >= -track.filled.shape[1]
    hour = np.where(
        there, track.filled[rows[:, None], np.maximum(index, -track.filled.shape[1])], smoothing.NAN
    )
    hour = np.sort(hour, axis=1)  # NaN is sorted to the end
    place = (3 * np.maximum(np.isfinite(hour).sum(axis=1) - 1, 0)) // 4
    return np.asarray(np.take_along_axis(hour, place[:, None], axis=1)[:, 0])


def _context(track: Track, rows: Indices, at: Indices, blend: Block, weights: Block) -> Block:
    """Return the ratios of recent noise to the scale and of scale to level, and the weights."""
    scale = track.scale[rows, at]
    lively = track.lively[:, rows, at] / scale
    ratios = [np.clip(np.log(_known(ratio) + 1e-9), -4, 4) for ratio in lively]
    level = np.log(scale / (np.abs(_known(blend[:, track.timing.middle - 1])) + scale))
    stacked = np.stack([*ratios, np.clip(level, -8, 0)], axis=1)
    return np.concatenate([stacked, weights], axis=1, dtype=np.float32)


def _recent(track: Track, rows: Indices, index: Indices, first: Indices, level: Block) -> Block:
    """Return the recent samples at ``index``, ``(windows, context_length)``, relative to ``level``.

    ``level`` is the forecast of the next step, ``(windows, 1)``. Where the context begins before
    the ``first`` known sample, ``(windows, 1)``, that one is repeated, and marked as unknown.
    """
    pick = rows[:, None], np.maximum(index, first)
    scale = track.scale[rows, index[:, -1]][:, None]
    channels: list[Block] = [
        _log_scale(_known((track.filled[pick] - level) / scale)),
        _log_scale(_known(track.error_next[pick] / scale)),
        _log_scale(_known(track.error_middle[pick] / scale)),
        # Three noise scales become 1.
        _known(np.clip(track.surprise[pick] / scale, -CLIP, CLIP) / 3),
        (np.isnan(track.values[pick]) | (index < first)).astype(np.float32),
    ]
    return np.stack(channels, axis=2, dtype=np.float32)
