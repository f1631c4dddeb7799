"""Anchors: exponential-smoothing forecasts, their blend by recent error, and its noise scale.

The models do not predict requests per second. They predict the *deviation* from the blend of the
anchors, in units of the blend's recent error, as in ES-RNN (Smyl, 2020, International Journal of
Forecasting 36(1)). All values are causal: a value at sample ``t`` depends on samples up to ``t``
only, and costs O(1) per new sample.

Axes: ``(items, time)``; with anchors ``(anchors, items, time)``. ``t`` is the origin, the last
sample that a forecast is based on. An anchor's forecast for ``h`` steps after it is
``gain[t] * profile[t + h] + shift[t]``, but at least 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forecaster.data.series import Block
from forecaster.features import smoothing
from forecaster.features.timing import Timing

Indices = npt.NDArray[np.int64]

# Daily profiles: (smoothing half-width in minutes, gain per day). After them comes the profile of
# the week before.
DAY_PROFILES = ((5, 0.25), (0, 0.25), (5, 1.0), (15, 0.5))
WEEK_PROFILE = len(DAY_PROFILES)
# The anchors in order: the level of the last samples; profiles scaled to that level; a profile
# shifted to it. A scaled or shifted anchor is (profile, span of the level in samples).
LEVEL_SPANS = (0, 3, 10)
SCALED = ((0, 3), (0, 10), (1, 3), (2, 3), (2, 10), (3, 30), (WEEK_PROFILE, 10))
SHIFTED = ((0, 10),)
SHAPED = SCALED + SHIFTED
ANCHOR_COUNT = len(LEVEL_SPANS) + len(SHAPED)
# This share of the day's mean is added to both levels of a ratio: a night without requests must not
# become a factor of a million in the morning.
RATIO_FLOOR = 0.02
# Lower bound of the noise scale as a share of the day's mean: a constant series has no error.
SCALE_FLOOR = 1e-3
# A rate below that of any service (one request in thirty years); it avoids 0 / 0.
MIN_QPS = np.float32(1e-9)


@dataclass(frozen=True, eq=False)
class AnchorLines:
    """The forecasts of all anchors from every sample of a block of items.

    Sample ``t`` of each field is sample ``first + t`` of ``history``.

    Attributes:
        timing: step and forecast length.
        history: all recorded samples, ``(items, all samples)``.
        values: the samples from ``first`` on; NaN where missing.
        filled: the same with the last known value in gaps; NaN before the first known sample.
        profiles: ``(profiles, items, time + prediction_length)``.
        gains: of the scaled and shifted anchors, ``(anchors, items, time)``.
        shifts: of all anchors, ``(anchors, items, time)``.
    """

    timing: Timing
    history: Block
    values: Block
    filled: Block
    profiles: Block
    gains: Block
    shifts: Block

    @property
    def first(self) -> int:
        """Index of sample 0 in the history."""
        return int(self.history.shape[1] - self.values.shape[1])

    def anchors(self, rows: Indices, origins: Indices) -> Block:
        """Return every anchor's forecast from each origin, ``(origins, horizon, anchors)``."""
        steps = origins[:, None] + 1 + np.arange(self.timing.prediction_length)
        shapes = [profile[rows[:, None], steps] for profile in self.profiles]
        gain, shift = self.gains[:, rows, origins], self.shifts[:, rows, origins]
        last = self.filled[rows, origins][:, None]
        result = np.empty((*steps.shape, ANCHOR_COUNT), dtype=np.float32)
        for k in range(ANCHOR_COUNT):
            result[:, :, k] = shift[k][:, None]
            if (s := k - len(LEVEL_SPANS)) >= 0:
                shape = shapes[SHAPED[s][0]]
                result[:, :, k] = _line(gain[s][:, None], shape, shift[k][:, None], last)
        return result

    def past_forecasts(self, k: int, lead: int, first: int) -> Block:
        """Return anchor ``k``'s forecasts for samples from ``first`` on, made ``lead`` ahead."""
        length = self.values.shape[1]
        seen = np.s_[:, first - lead : max(length - lead, 0)]
        if (s := k - len(LEVEL_SPANS)) < 0:
            return np.asarray(self.shifts[k][seen])
        shape = self.profiles[SHAPED[s][0]][:, first:length]
        return _line(self.gains[s][seen], shape, self.shifts[k][seen], self.filled[seen])


@dataclass(frozen=True, eq=False)
class Track(AnchorLines):
    """A block of items with their anchors and the blend of the anchors; see `build_track`.

    Attributes:
        weights: of the anchors in the blend, ``(anchors, items, time)``.
        floor: lower bound of the noise scale, ``(items, time)`` QPS.
        scale: the noise scale, the mean absolute error of the blend at the middle horizon.
        error_middle: that error with its sign, at each sample; NaN where unknown.
    """

    weights: Block
    floor: Block
    scale: Block
    error_middle: Block

    def blend(self, rows: Indices, origins: Indices) -> Block:
        """Return the blend of the anchors from each origin, ``(origins, horizon)``."""
        weights = self.weights[:, rows, origins].T  # (origins, anchors)
        return np.asarray(np.einsum("ohk,ok->oh", self.anchors(rows, origins), weights))

    def anchor_forecasts(self, k: int, lead: int) -> Block:
        """Return the forecasts of anchor ``k``, made ``lead`` ahead, ``(items, time)``."""
        forecasts = np.full_like(self.values, np.nan)
        forecasts[:, lead:] = self.past_forecasts(k, lead, lead)
        return forecasts

    def error(self, lead: int, first: int) -> Block:
        """Return the error of the blend's forecasts, made ``lead`` ahead, from ``first`` on."""
        skip = max(lead - first, 0)  # samples without a forecast
        error = np.full_like(self.values[:, first:], np.nan)
        start, end = first + skip, self.values.shape[1]
        total = np.zeros_like(self.values[:, start:])
        for k in range(ANCHOR_COUNT):
            weights = self.weights[k, :, start - lead : end - lead]
            total += weights * self.past_forecasts(k, lead, start)
        error[:, skip:] = self.values[:, start:] - total
        return error


def build_track(values: npt.ArrayLike, timing: Timing, *, tail: int | None = None) -> Track:
    """Return the track of a block of items.

    Args:
        values: all recorded samples, ``(items, time)`` QPS, NaN where missing; items start and end
            together.
        timing: step and forecast length.
        tail: compute only this many last samples, apart from the profiles; `Timing.tail` are enough
            for a forecast from the newest sample. None: all samples.
    """
    history = np.asarray(values, dtype=np.float32)
    first = 0 if tail is None else max(history.shape[1] - tail, 0)
    block = history[:, first:]
    daily = smoothing.ewma(block, timing.day)
    lines = _lines(history, first, daily, timing)
    floor = np.fmax(SCALE_FLOOR * daily, MIN_QPS)
    weights, forecasts = _weights(lines, floor)
    lead = timing.middle
    error_middle = np.full_like(block, np.nan)
    error_middle[:, lead:] = block[:, lead:] - np.einsum(
        "kit,kit->it", weights[:, :, : forecasts.shape[2]], forecasts
    )
    scale = np.fmax(smoothing.ewma(np.abs(error_middle), timing.memory), floor)
    return Track(
        **vars(lines), weights=weights, floor=floor, scale=scale, error_middle=error_middle
    )


def _forward_filled(history: Block, first: int) -> Block:
    """Return the samples from ``first`` on with the last known value in every gap."""
    filled = history[:, first:]
    gaps = ~np.isfinite(filled).all(axis=1)
    if gaps.any():
        filled = filled.copy()
        filled[gaps] = smoothing.forward_fill(history[gaps])[:, first:]
    return filled


def _profiles(history: Block, first: int, timing: Timing) -> Block:
    """Return the daily profiles and that of last week, up to ``prediction_length`` past the end."""
    room = timing.day - timing.prediction_length  # wider smoothing would use samples after origins
    widths = [min(timing.samples(minutes), room) for minutes, _ in DAY_PROFILES]
    # Smoothing uses samples on either side. They are included, so that a profile at the newest
    # origin is the same as later, when that origin lies in the past.
    start = max(first - max(widths), 0)
    end = history.shape[1] + timing.prediction_length
    future = np.full((len(history), timing.prediction_length + max(widths)), smoothing.NAN)
    reaching = np.concatenate([history, future], axis=1)
    raw = {
        gain: smoothing.periodic_profile(reaching, timing.day, gain, first=start)
        for gain in {gain for _, gain in DAY_PROFILES}
    }
    shapes = [raw[gain] for _, gain in DAY_PROFILES]
    shapes.append(smoothing.lagged(reaching, 7 * timing.day, first=start))
    result = np.empty((len(shapes), len(history), end - first), dtype=np.float32)
    for shape, width, smooth in zip(shapes, [*widths, widths[0]], result, strict=True):
        smooth[:] = smoothing.centred_mean(shape, width)[:, first - start : end - start]
    return result


def _lines(history: Block, first: int, daily: Block, timing: Timing) -> AnchorLines:
    """Return every anchor's gain and shift at every sample from ``first`` on."""
    block, filled = history[:, first:], _forward_filled(history, first)
    profiles = _profiles(history, first, timing)
    floor = RATIO_FLOOR * daily + MIN_QPS
    levels = {0: filled} | {span: smoothing.ewma(block, span) for span in (3, 10, 30)}
    raised = {span: level + floor for span, level in levels.items()}
    gains = np.empty((len(SHAPED), *block.shape), dtype=np.float32)
    shifts = np.empty((ANCHOR_COUNT, *block.shape), dtype=np.float32)
    for k, span in enumerate(LEVEL_SPANS):
        shifts[k] = np.where(np.isfinite(levels[span]), levels[span], filled)
    shapes = profiles[:, :, : block.shape[1]]
    if (
        missing := np.isnan(block)
    ).any():  # a level and the level of its profile must be based on the same samples
        shapes = np.where(missing, smoothing.NAN, shapes)
    for s, (profile, span) in enumerate(SHAPED):
        expected = smoothing.ewma(shapes[profile], span)
        gain, shift = gains[s], shifts[len(LEVEL_SPANS) + s]
        if s < len(SCALED):
            np.divide(raised[span], expected + floor, out=gain)
            np.multiply(gain - 1, floor, out=shift)
        else:
            gain[:] = 1
            np.subtract(levels[span], expected, out=shift)
    return AnchorLines(timing, history, block, filled, profiles, gains, shifts)


def _line(gain: Block, shape: Block, shift: Block, last: Block) -> Block:
    """Return ``gain * shape + shift``, but at least 0; ``last`` where the shape is unknown."""
    line: Block = gain * shape
    line += shift
    np.maximum(line, 0, out=line)
    unknown = np.isnan(line)
    return np.where(unknown, last, line) if unknown.any() else line


def _weights(lines: AnchorLines, floor: Block) -> tuple[Block, Block]:
    """Return the blend's weights by recent error, and the anchors' past forecasts.

    The weights, ``(anchors, items, time)``, are proportional to error ** -6 and sum to 1. The
    forecasts at the middle horizon are ``(anchors, items, time - middle)``, for the samples from
    ``middle`` on.
    """
    values, lead, memory = lines.values, lines.timing.middle, lines.timing.memory
    errors = np.empty((ANCHOR_COUNT, *values.shape), dtype=np.float32)
    errors[:, :, :lead] = np.inf
    forecasts = np.empty((*errors.shape[:2], max(values.shape[1] - lead, 0)), dtype=np.float32)
    for k in range(ANCHOR_COUNT):
        forecasts[k] = lines.past_forecasts(k, lead, lead)
        error = np.abs(values[:, lead:] - forecasts[k])
        np.fmin(smoothing.ewma(error, memory), np.inf, out=errors[k, :, lead:])
    # Before any error is known, the last value (anchor 0) has all the weight.
    np.minimum(errors[0], np.finfo(np.float32).max, out=errors[0])
    best = np.fmax(errors.min(axis=0), floor)  # errors below the floor are equally good
    weights = errors  # computed in place and one by one, so that they stay in the cache
    for weight in weights:
        np.maximum(weight, best, out=weight)
        np.divide(best, weight, out=weight)
        cube = weight * weight * weight
        np.multiply(cube, cube, out=weight)  # the sixth power, ten times as fast as np.power
    weights /= weights.sum(axis=0)
    return weights, forecasts
