"""Windows: what a model sees at an origin, and what happened after it.

Axes: ``(windows, horizon, features)`` for what is known about each step ahead,
``(windows, features)`` for what holds for the whole window, ``(windows, context, features)`` for
the recent past. All is relative to the anchors' blend in units of its noise scale, so that a
service of 0.1 and one of 10^9 requests per second look alike. No feature knows a sample after its
origin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from forecaster import smoothing
from forecaster.anchors import ANCHOR_COUNT, Indices, Timing, Track
from forecaster.series import Block

# Rhythms shorter than a day, such as scheduled jobs: (period in minutes, gain per period).
RHYTHMS = ((60, 1 / 12), (60, 1 / 24), (15, 1 / 24))
HORIZON_FEATURES = ANCHOR_COUNT + 3 + len(RHYTHMS) + 2
CONTEXT_FEATURES = 3 + ANCHOR_COUNT
RECENT_FEATURES = 5
# Deviations beyond this many noise scales count as this many when they enter an average.
CLIP = 10.0


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows of one or more items.

    Attributes:
        horizon: ``(windows, prediction_length, HORIZON_FEATURES)``; the anchors come first.
        context: ``(windows, CONTEXT_FEATURES)``; the blend's weights come last.
        recent: ``(windows, context_length, RECENT_FEATURES)``.
        blend: QPS that the anchors expect, ``(windows, prediction_length)``.
        scale: QPS of one unit of deviation, ``(windows,)``.
        target: QPS that happened, ``(windows, prediction_length)``; NaN where unknown.
        peak: whether each target is among the top 5 % of its day, ``(windows, prediction_length)``.
    """

    horizon: Block
    context: Block
    recent: Block
    blend: Block
    scale: Block
    target: Block
    peak: Block

    def __len__(self) -> int:
        return len(self.scale)

    @property
    def deviation(self) -> Block:
        """Target in units of deviation from the blend; NaN where the target is unknown."""
        return (self.target - self.blend) / self.scale[:, None]

    def restore(self, deviation: Block) -> Block:
        """Return QPS, ``(windows, prediction_length, levels)``, of deviations of that shape."""
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

    The first one is the earliest that is ``phase`` modulo ``stride``.
    """
    begin = max(first - 1, 0)
    begin += (phase - begin) % stride
    return np.arange(begin, last - timing.prediction_length, stride, dtype=np.int64)


def cut(track: Track, rows: Indices, origins: Indices, context_length: int) -> Windows:
    """Return the windows of ``track`` at ``(rows[i], origins[i])``.

    Targets after the end of the track are NaN, so that the newest origin can be cut as well.
    """
    timing = track.timing
    anchors = track.anchors(rows, origins)
    weights = track.weights[:, rows, origins].T
    blend = np.einsum("ohk,ok->oh", anchors, weights)
    scale = track.scale[rows, origins]
    ahead = origins[:, None] + 1 + np.arange(timing.prediction_length)
    target, peak = _targets(track, rows, ahead)
    surprise = _surprise(track)
    horizon = [_log_scale((anchors - blend[:, :, None]) / scale[:, None, None])]
    horizon += _seasonal_surprises(surprise, rows, origins, ahead, timing)
    steps = np.broadcast_to((ahead - origins[:, None]) / timing.prediction_length, ahead.shape)
    horizon.append(steps[:, :, None].astype(np.float32))
    return Windows(
        horizon=np.concatenate(horizon, axis=2, dtype=np.float32),
        context=_context(track, rows, origins, blend, weights),
        recent=_recent(track, surprise, rows, origins, context_length, blend),
        blend=blend,
        scale=scale,
        target=target,
        peak=peak,
    )


def _log_scale(x: Block) -> Block:
    """Compress large deviations: the sign and ``log(1 + |x|)``; see `model.expand`."""
    return np.asarray(np.sign(x) * np.log1p(np.abs(x)), dtype=np.float32)


def _known(x: Block) -> Block:
    return np.asarray(np.nan_to_num(x, nan=0.0, posinf=0.0, neginf=0.0), dtype=np.float32)


def _targets(track: Track, rows: Indices, ahead: Indices) -> tuple[Block, Block]:
    """Return what happened and whether it was a peak, both ``(windows, horizon)``."""
    length = track.values.shape[1]
    target = track.values[rows[:, None], np.minimum(ahead, length - 1)]
    target = np.where(ahead < length, target, np.float32(np.nan))
    day = track.timing.day
    days = np.pad(track.values, ((0, 0), (0, -length % day)), constant_values=np.nan)
    days = days.reshape(len(days), -1, day)
    # NaN sorts last, so the quantile's place is counted among the known samples.
    count = np.isfinite(days).sum(axis=2)
    place = np.maximum(np.ceil(0.95 * count).astype(np.int64) - 1, 0)
    bar = np.take_along_axis(np.sort(days, axis=2), place[:, :, None], axis=2)[:, :, 0]
    peak = target >= bar[rows[:, None], np.minimum(ahead, length - 1) // day]
    return target, peak.astype(np.float32)


def _surprise(track: Track) -> Block:
    """Return how far each sample lay from the mean of its last hour, in noise scales."""
    mean = smoothing.trailing_mean(track.filled, track.timing.hour)
    surprise: Block = np.clip((track.values - mean) / track.scale, -CLIP, CLIP)
    return surprise


def _seasonal_surprises(
    surprise: Block, rows: Indices, origins: Indices, ahead: Indices, timing: Timing
) -> list[Block]:
    """Return what surprised at the same place of earlier days, week, hours and quarter hours."""

    def at(series: Block, index: Indices) -> Block:
        found = series[rows[:, None], np.maximum(index, 0)]
        return _known(np.where(index >= 0, found, np.float32(0)))[:, :, None]

    def back(period: int) -> Indices:
        """The newest sample of the same phase that is not after the origin."""
        distance = ahead - origins[:, None]
        return ahead - period * -(-distance // period)

    result = [at(surprise, ahead - timing.day * days) for days in (1, 2, 7)]
    for minutes, gain in RHYTHMS:
        period = max(timing.samples(minutes), 1)
        # `periodic_profile` holds at each place what its slot was before that period began.
        result.append(at(smoothing.periodic_profile(surprise, period, gain), back(period)))
    result.append(at(surprise, back(timing.hour)))
    return result


def _context(track: Track, rows: Indices, origins: Indices, blend: Block, weights: Block) -> Block:
    """Return how lively the noise is now, how large beside the level, and which anchors lead."""
    size = np.abs(track.error_middle)
    scale = track.scale[rows, origins]
    middle = track.timing.middle
    lively = [
        smoothing.ewma(size, span)[rows, origins] / scale
        for span in (3 * middle, track.timing.memory * 2)
    ]
    with np.errstate(divide="ignore"):
        ratios = [np.clip(np.log(_known(ratio) + 1e-9), -4, 4) for ratio in lively]
    level = np.log(scale / (np.abs(blend[:, middle - 1]) + scale))
    stacked = np.stack([*ratios, np.clip(level, -8, 0)], axis=1)
    return np.concatenate([stacked, weights], axis=1, dtype=np.float32)


def _recent(
    track: Track, surprise: Block, rows: Indices, origins: Indices, length: int, blend: Block
) -> Block:
    """Return the last ``length`` samples up to the origin; the first one stands for any before."""
    index = np.maximum(origins[:, None] - length + 1 + np.arange(length), 0)
    pick = rows[:, None], index
    scale = track.scale[rows, origins][:, None]
    channels = [
        _log_scale((track.filled[pick] - blend[:, :1]) / scale),
        _log_scale(_known(track.error_next[pick]) / scale),
        _log_scale(_known(track.error_middle[pick]) / scale),
        _known(surprise[pick]) / 3,  # brings three noise scales to one
        np.isnan(track.values[pick]),
    ]
    return np.stack(channels, axis=2, dtype=np.float32)
