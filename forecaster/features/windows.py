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

from forecaster.data.series import Block
from forecaster.features import smoothing
from forecaster.features.anchors import ANCHOR_COUNT, Indices, Timing, Track

# Rhythms shorter than a day, such as scheduled jobs: (period in minutes, span in periods).
RHYTHMS = ((60, 12), (60, 24), (15, 24))
# Spans before the oldest origin from which a rhythm is read: all older samples weigh 5 %.
RHYTHM_SPANS = 3
HORIZON_FEATURES = ANCHOR_COUNT + 3 + len(RHYTHMS) + 2
CONTEXT_FEATURES = 3 + ANCHOR_COUNT
RECENT_FEATURES = 5
# Deviations and surprises beyond this many noise scales count as this many.
CLIP = 10.0
# As far as the network can follow an anchor; see `lstm_forward.LARGEST_LOG`.
LARGEST_DEVIATION = 400.0


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
        """Target in units of deviation from the blend; NaN where the target is unknown.

        Beyond `LARGEST_DEVIATION` it counts as that: the first request after weeks of silence is
        no measure of anything.
        """
        deviation: Block = (self.target - self.blend) / self.scale[:, None]
        return deviation.clip(-LARGEST_DEVIATION, LARGEST_DEVIATION)

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
    # Before the first sample there is nothing: that one stands there.
    context = np.maximum(origins[:, None] + 1 - context_length + np.arange(context_length), 0)
    oldest = int(origins.min(initial=track.values.shape[1]))
    reach = max(context_length, *(_reach(timing, *rhythm) for rhythm in RHYTHMS))
    since = max(oldest + 1 - reach, -track.first)
    surprise = _surprise(track, since)
    earlier = _earlier_surprises(track, rows, origins)
    rhythms = _rhythms(surprise, rows, origins - since, timing)
    past = np.concatenate([earlier, rhythms], axis=2, dtype=np.float32) / scale[:, None, None]
    deviation = (anchors - blend[:, :, None]) / scale[:, None, None]
    horizon = [_known(_log_scale(deviation)), _known(_log_scale(past))]
    steps = np.broadcast_to((ahead - origins[:, None]) / timing.prediction_length, ahead.shape)
    horizon.append(steps[:, :, None].astype(np.float32))
    return Windows(
        horizon=np.concatenate(horizon, axis=2, dtype=np.float32),
        context=_context(track, rows, origins, blend, weights),
        recent=_recent(track, surprise, rows, context, blend[:, :1]),
        blend=blend,
        scale=scale,
        target=target,
        peak=peak,
    )


def _log_scale(x: Block) -> Block:
    """Compress large deviations: the sign and ``log(1 + |x|)``; see `lstm_forward.expand`."""
    return np.asarray(np.sign(x) * np.log1p(np.abs(x)), dtype=np.float32)


def _known(x: Block) -> Block:
    return np.asarray(np.nan_to_num(x, nan=0.0, posinf=0.0, neginf=0.0), dtype=np.float32)


def _targets(track: Track, rows: Indices, ahead: Indices) -> tuple[Block, Block]:
    """Return what happened and whether it was a peak, both ``(windows, horizon)``."""
    length, day = track.values.shape[1], track.timing.day
    if ahead.min(initial=length) >= length:
        unknown = np.full(ahead.shape, np.nan, dtype=np.float32)
        return unknown, np.zeros_like(unknown)
    target = track.values[rows[:, None], np.minimum(ahead, length - 1)]
    target = np.where(ahead < length, target, np.float32(np.nan))
    days = np.pad(track.values, ((0, 0), (0, -length % day)), constant_values=np.nan)
    days = np.sort(days.reshape(len(days), -1, day), axis=2)
    # NaN sorts last, so the quantile's place is counted among the known samples.
    count = np.isfinite(days).sum(axis=2)
    place = np.maximum(np.ceil(0.95 * count).astype(np.int64) - 1, 0)
    bar = np.take_along_axis(days, place[:, :, None], axis=2)[:, :, 0]
    pick = rows[:, None], np.minimum(ahead, length - 1) // day
    peak = (target >= bar[pick]) & (target > days[:, :, 0][pick])  # a flat day has no peak
    return target, peak.astype(np.float32)


def _reach(timing: Timing, minutes: int, span: int) -> int:
    """Return how many samples a rhythm is read from."""
    return RHYTHM_SPANS * span * max(timing.samples(minutes), 1)


def _surprise(track: Track, since: int) -> Block:
    """Return how far each sample lay from the mean of its last hour, in QPS.

    It begins at sample ``since`` of the track, below 0 before its first one. Beyond ``CLIP`` noise
    scales a surprise counts no more: a flash crowd would stay in every rhythm for days. Where a
    tail has no noise scale yet, its first settled one stands in.
    """
    samples = track.history[:, track.first + since :]
    surprise = samples - smoothing.trailing_mean(samples, track.timing.hour)
    start = max(since, track.timing.memory if track.first else 0)
    most = CLIP * np.pad(track.scale[:, start:], ((0, 0), (start - since, 0)), mode="edge")
    np.clip(surprise, -most, most, out=surprise)
    return surprise


def _earlier_surprises(track: Track, rows: Indices, origins: Indices) -> Block:
    """Return what surprised at the same places one, two and seven days before."""
    timing = track.timing
    around = np.arange(1 - timing.hour, timing.prediction_length) + 1
    found = []
    for days in (1, 2, 7):
        index = track.first + origins[:, None] + around - timing.day * days
        samples = track.history[rows[:, None], np.maximum(index, 0)]
        samples = np.where(index >= 0, samples, smoothing.NAN)
        surprise = samples - smoothing.trailing_mean(samples, timing.hour)
        found.append(surprise[:, timing.hour - 1 :])
    return np.stack(found, axis=2)


def _rhythms(surprise: Block, rows: Indices, origins: Indices, timing: Timing) -> Block:
    """Return what used to surprise at the same place of the hour and of the quarter hour.

    The last is the newest sample of the same minute; the means before it leave it out.
    """
    steps = np.arange(1, timing.prediction_length + 1)
    oldest = int(origins.min(initial=surprise.shape[1]))

    def at(series: Block, period: int, first: int) -> Block:
        """Take the newest sample of the same phase that is not after the origin."""
        index = origins[:, None] + steps - period * -(-steps // period) - first
        found = series[rows[:, None], np.maximum(index, 0)]
        return np.where(index >= 0, found, smoothing.NAN)

    found = []
    for minutes, span in RHYTHMS:
        first = max(oldest + 1 - _reach(timing, minutes, span), 0)
        period = max(timing.samples(minutes), 1)
        means = smoothing.periodic_mean(surprise[:, first:], period, span)
        found.append(at(means, period, first))
    found.append(at(surprise, timing.hour, 0))
    return np.stack(found, axis=2)


def _context(track: Track, rows: Indices, origins: Indices, blend: Block, weights: Block) -> Block:
    """Return how lively the noise is now, how large beside the level, and which anchors lead."""
    size = np.abs(track.error_middle)
    scale = track.scale[rows, origins]
    middle = track.timing.middle
    lively = [
        smoothing.ewma(size, span)[rows, origins] / scale
        for span in (3 * middle, track.timing.memory * 2)
    ]
    ratios = [np.clip(np.log(_known(ratio) + 1e-9), -4, 4) for ratio in lively]
    level = np.log(scale / (np.abs(_known(blend[:, middle - 1])) + scale))
    stacked = np.stack([*ratios, np.clip(level, -8, 0)], axis=1)
    return np.concatenate([stacked, weights], axis=1, dtype=np.float32)


def _recent(track: Track, surprise: Block, rows: Indices, index: Indices, level: Block) -> Block:
    """Return the samples at ``index`` (windows, context_length) beside the level expected next."""
    pick = rows[:, None], index
    scale = track.scale[rows, index[:, -1]][:, None]
    first = int(index.min(initial=track.values.shape[1]))
    error_next = track.error(1, first)[rows[:, None], index - first]
    surprised = surprise[rows[:, None], index - track.values.shape[1]]  # both have the same end
    channels: list[Block] = [
        _log_scale(_known((track.filled[pick] - level) / scale)),
        _log_scale(_known(error_next / scale)),
        _log_scale(_known(track.error_middle[pick] / scale)),
        _known(np.clip(surprised / scale, -CLIP, CLIP) / 3),  # brings three noise scales to one
        np.isnan(track.values[pick]).astype(np.float32),
    ]
    return np.stack(channels, axis=2, dtype=np.float32)
