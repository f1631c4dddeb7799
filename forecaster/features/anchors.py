"""Anchors: what simple smoothing expects next, which of it to believe, and how wrong it is.

The model does not predict requests per second. It predicts the *deviation* from a blend of
exponential-smoothing forecasts in units of that blend's own recent error, as in ES-RNN (Smyl, 2020,
International Journal of Forecasting 36(1)). Everything here is causal: a value at sample ``t``
depends on samples up to ``t`` alone, and costs O(1) per new sample.

Axes: ``(items, time)``; with anchors ``(anchors, items, time)``. ``t`` is the origin: the last
sample that has been seen. An anchor's forecast for ``h`` steps after it is the straight line
``gain[t] * profile[t + h] + shift[t]``, not below 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import numpy.typing as npt

from forecaster.data.series import DAY, Block, steps_per
from forecaster.features import smoothing

Indices = npt.NDArray[np.int64]

# Profiles of the day: (smoothing half-width in minutes, gain per day). The last is the week before.
DAY_PROFILES = ((5, 0.25), (0, 0.25), (5, 1.0), (15, 0.5))
WEEK_PROFILE = len(DAY_PROFILES)
# Anchors, in this order: the level of the last samples; a profile scaled, and one shifted, to that
# level. Each is (profile, span of the level in samples).
LEVEL_SPANS = (0, 3, 10)
SCALED = ((0, 3), (0, 10), (1, 3), (2, 3), (2, 10), (3, 30), (WEEK_PROFILE, 10))
SHIFTED = ((0, 10),)
SHAPED = SCALED + SHIFTED
ANCHOR_COUNT = len(LEVEL_SPANS) + len(SHAPED)
# Ratios of levels are taken after adding this share of the day's mean to both: a night without
# requests must not turn into a factor of a million in the morning.
RATIO_FLOOR = 0.02
# The noise scale never falls below this share of the day's mean: a constant series has no error.
SCALE_FLOOR = 1e-3
# QPS too small for any service (a request in thirty years); it only keeps 0 / 0 apart.
MIN_QPS = np.float32(1e-9)


@dataclass(frozen=True)
class Timing:
    """The spans that follow from the step of the samples and the length of the forecast."""

    step: timedelta
    prediction_length: int

    def __post_init__(self) -> None:
        if not 1 <= self.prediction_length <= self.day:
            raise ValueError(
                f"prediction_length is {self.prediction_length}, but it must be at least 1 and at "
                f"most a day ({self.day} steps of {self.step}), whose shape it rests on"
            )

    @property
    def day(self) -> int:
        return steps_per(DAY, self.step)

    def samples(self, minutes: float) -> int:
        """Return how many steps the minutes are, rounded; 0 when under half a step."""
        return round(minutes * 60 / self.step.total_seconds())

    @property
    def hour(self) -> int:
        """Samples in the hour whose mean is "now"; at least 4."""
        return max(self.samples(60), 4)

    @property
    def middle(self) -> int:
        """The horizon at which anchors are judged: half of the forecast."""
        return max(self.prediction_length // 2, 1)

    @property
    def memory(self) -> int:
        """Span of the error averages: six hours, or two forecasts where that is longer."""
        return max(self.day // 4, 2 * self.prediction_length)

    @property
    def tail(self) -> int:
        """Last samples that `follow` needs for a forecast from the newest one.

        An error that is older weighs at most e**-4, two per cent, in the averages.
        """
        return 4 * self.memory + self.middle

    @property
    def warm_up(self) -> int:
        """Samples before the first origin with a day's shape behind it."""
        return self.day + self.memory


@dataclass(frozen=True, eq=False)
class AnchorLines:
    """What every anchor says at every sample of a block of items.

    Sample ``t`` of each field is sample ``first + t`` of the ``history``, the whole of what was
    recorded. ``values`` is as recorded (NaN where missing); ``filled`` repeats the last known
    value, NaN before any. ``profiles`` (profiles, items, time + prediction_length) reaches past the
    last sample. ``gains`` belong to the shaped anchors alone, ``shifts`` to all.
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
        """Index in the history of sample 0."""
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

    def before(self, k: int, lead: int, first: int) -> Block:
        """Return what anchor ``k`` said ``lead`` samples before each sample from ``first`` on."""
        length = self.values.shape[1]
        seen = np.s_[:, first - lead : max(length - lead, 0)]
        if (s := k - len(LEVEL_SPANS)) < 0:
            return np.asarray(self.shifts[k][seen])
        shape = self.profiles[SHAPED[s][0]][:, first:length]
        return _line(self.gains[s][seen], shape, self.shifts[k][seen], self.filled[seen])


@dataclass(frozen=True, eq=False)
class Track(AnchorLines):
    """A block of items with their anchors and the anchors' blend at every sample; see `follow`.

    ``weights`` (anchors, items, time) make the blend. ``floor`` is the least noise scale; ``scale``
    is the noise scale: the mean absolute error of the blend at the middle horizon.
    ``error_middle`` is that error itself, with its sign; NaN where unknown.
    """

    weights: Block
    floor: Block
    scale: Block
    error_middle: Block

    def blend(self, rows: Indices, origins: Indices) -> Block:
        """Return the blend of the anchors from each origin, ``(origins, horizon)``."""
        weights = self.weights[:, rows, origins].T  # (origins, anchors)
        return np.asarray(np.einsum("ohk,ok->oh", self.anchors(rows, origins), weights))

    def anchor_before(self, k: int, lead: int) -> Block:
        """Return what anchor ``k`` said ``lead`` samples before each sample, ``(items, time)``."""
        line = np.full_like(self.values, np.nan)
        line[:, lead:] = self.before(k, lead, lead)
        return line

    def error(self, lead: int, first: int) -> Block:
        """Return the error of the blend ``lead`` samples before each sample from ``first`` on."""
        skip = max(lead - first, 0)  # the samples that no forecast was made for
        error = np.full_like(self.values[:, first:], np.nan)
        start, end = first + skip, self.values.shape[1]
        total = np.zeros_like(self.values[:, start:])
        for k in range(ANCHOR_COUNT):
            total += self.weights[k, :, start - lead : end - lead] * self.before(k, lead, start)
        error[:, skip:] = self.values[:, start:] - total
        return error


def follow(values: npt.ArrayLike, timing: Timing, *, tail: int | None = None) -> Track:
    """Return the track of a block of items, ``(items, time)`` QPS with NaN where missing.

    Args:
        values: whole recorded history; items start and end together.
        timing: step and forecast length.
        tail: keep (and pay for) only this many last samples once the day's shapes are known;
            for a forecast from the newest sample, `Timing.tail` are enough.
    """
    history = np.asarray(values, dtype=np.float32)
    first = 0 if tail is None else max(history.shape[1] - tail, 0)
    block = history[:, first:]
    daily = smoothing.ewma(block, timing.day)
    lines = _lines(history, first, daily, timing)
    floor = np.fmax(SCALE_FLOOR * daily, MIN_QPS)
    weights, said = _weights(lines, floor)
    lead = timing.middle
    error_middle = np.full_like(block, np.nan)
    error_middle[:, lead:] = block[:, lead:] - np.einsum(
        "kit,kit->it", weights[:, :, : said.shape[2]], said
    )
    scale = np.fmax(smoothing.ewma(np.abs(error_middle), timing.memory), floor)
    return Track(
        **vars(lines), weights=weights, floor=floor, scale=scale, error_middle=error_middle
    )


def _filled(history: Block, first: int) -> Block:
    """Return the samples from ``first`` on with the last known value in every gap."""
    filled = history[:, first:]
    gaps = ~np.isfinite(filled).all(axis=1)
    if gaps.any():
        filled = filled.copy()
        filled[gaps] = smoothing.forward_fill(history[gaps])[:, first:]
    return filled


def _profiles(history: Block, first: int, timing: Timing) -> Block:
    """Return the shapes of the day and of last week, ``prediction_length`` past the end."""
    room = timing.day - timing.prediction_length  # smoothing further would look past the origin
    widths = [min(timing.samples(minutes), room) for minutes, _ in DAY_PROFILES]
    # The samples that smoothing reaches for on either side count, or the newest origin would see
    # another profile than it will when it lies in the past.
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
    block, filled = history[:, first:], _filled(history, first)
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
    ).any():  # a level and what was expected of it must rest on the same samples
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
    """Return the shape on its line, not below 0; the last value where no shape is known."""
    line: Block = gain * shape
    line += shift
    np.maximum(line, 0, out=line)
    unknown = np.isnan(line)
    return np.where(unknown, last, line) if unknown.any() else line


def _weights(lines: AnchorLines, floor: Block) -> tuple[Block, Block]:
    """Return the blend's weights by recent error, and what each anchor had said.

    The weights, ``(anchors, items, time)``, are as error ** -6 and sum to 1. What was said at the
    middle horizon is ``(anchors, items, time - middle)``, for the samples from ``middle`` on.
    """
    values, lead, memory = lines.values, lines.timing.middle, lines.timing.memory
    errors = np.empty((ANCHOR_COUNT, *values.shape), dtype=np.float32)
    errors[:, :, :lead] = np.inf
    said = np.empty((*errors.shape[:2], max(values.shape[1] - lead, 0)), dtype=np.float32)
    for k in range(ANCHOR_COUNT):
        said[k] = lines.before(k, lead, lead)
        error = np.abs(values[:, lead:] - said[k])
        np.fmin(smoothing.ewma(error, memory), np.inf, out=errors[k, :, lead:])
    # Before anything is known, the last value leads.
    np.minimum(errors[0], np.finfo(np.float32).max, out=errors[0])
    best = np.fmax(errors.min(axis=0), floor)  # below the floor all are equally good
    weights = errors  # from here on, in place and one by one: they stay in the cache
    for weight in weights:
        np.maximum(weight, best, out=weight)
        np.divide(best, weight, out=weight)
        cube = weight * weight * weight
        np.multiply(cube, cube, out=weight)  # the sixth power, at a tenth of its price
    weights /= weights.sum(axis=0)
    return weights, said
