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

from forecaster import smoothing
from forecaster.series import DAY, Block, steps_per

Indices = npt.NDArray[np.int64]

# Profiles of the day: (smoothing half-width in minutes, gain per day). The last is the week before.
DAY_PROFILES = ((5, 0.25), (0, 0.25), (5, 1.0), (15, 0.5))
WEEK_PROFILE = len(DAY_PROFILES)
# Anchors: ("level", span), ("scaled", profile, span), ("shifted", profile, span); spans in samples.
LEVEL_SPANS = (0, 3, 10)
SCALED = ((0, 3), (0, 10), (1, 3), (2, 3), (2, 10), (3, 30), (WEEK_PROFILE, 10))
SHIFTED = ((0, 10),)
ANCHOR_COUNT = len(LEVEL_SPANS) + len(SCALED) + len(SHIFTED)
# How sharply the blend prefers the anchor with the smallest recent error: weight ~ error ** -6.
SHARPNESS = 6.0
# Ratios of levels are taken after adding this share of the day's mean to both: a night without
# requests must not turn into a factor of a million in the morning.
RATIO_FLOOR = 0.02
# The noise scale never falls below this share of the day's mean: a constant series has no error.
SCALE_FLOOR = 1e-3


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
    def warm_up(self) -> int:
        """Samples before the first origin with a day's shape behind it."""
        return self.day + self.memory

    @property
    def tail(self) -> int:
        """Samples after which an average over `memory` has forgotten where it began."""
        return self.day + 8 * self.memory


@dataclass(frozen=True, eq=False)
class Track:
    """A block of items with their anchors at every sample; made by `follow`.

    ``values`` is as recorded (NaN where missing); ``filled`` repeats the last known value.
    ``profiles`` (profiles, items, time + prediction_length) reaches past the last sample.
    ``scale`` is the noise scale: the blend's mean absolute error at the middle horizon.
    """

    timing: Timing
    values: Block
    filled: Block
    profiles: Block
    gains: Block
    shifts: Block
    weights: Block
    scale: Block
    error_next: Block
    error_middle: Block

    def anchors(self, rows: Indices, origins: Indices) -> Block:
        """Return every anchor's forecast from each origin, ``(origins, horizon, anchors)``."""
        ahead = origins[:, None] + 1 + np.arange(self.timing.prediction_length)
        result = np.empty((*ahead.shape, ANCHOR_COUNT), dtype=np.float32)
        for k, profile in enumerate(_PROFILE_OF):
            shape = self.profiles[profile][rows[:, None], ahead]
            line = _line(
                self.gains[k, rows, origins][:, None], shape, self.shifts[k, rows, origins][:, None]
            )
            fallback = self.filled[rows, origins][:, None]
            result[:, :, k] = np.where(np.isfinite(line), line, fallback)
        return result

    def blend(self, rows: Indices, origins: Indices) -> Block:
        """Return the blend of the anchors from each origin, ``(origins, horizon)``."""
        weights = self.weights[:, rows, origins].T  # (origins, anchors)
        blend: Block = np.einsum("ohk,ok->oh", self.anchors(rows, origins), weights)
        return blend

    def anchor_before(self, k: int, lead: int) -> Block:
        """Return what anchor ``k`` said ``lead`` steps before each sample, ``(items, time)``."""
        return _lagged_line(k, self.filled, self.profiles, self.gains, self.shifts, lead)


_PROFILE_OF = (
    *(0 for _ in LEVEL_SPANS),
    *(profile for profile, _ in SCALED),
    *(profile for profile, _ in SHIFTED),
)


def follow(values: npt.ArrayLike, timing: Timing, *, tail: int | None = None) -> Track:
    """Return the track of a block of items, ``(items, time)`` QPS with NaN where missing.

    Args:
        values: whole recorded history; items start and end together.
        timing: step and forecast length.
        tail: keep (and pay for) only this many last samples once the day's shapes are known;
            enough for a forecast from the last sample when it is several ``memory`` long.
    """
    whole = np.asarray(values, dtype=np.float32)
    profiles = _profiles(whole, timing)
    first = 0 if tail is None else max(whole.shape[1] - tail, 0)
    profiles = profiles[:, :, first:]
    block = whole[:, first:]
    filled = _filled(block)
    gains, shifts = _lines(block, filled, profiles, timing)
    weights = _weights(block, filled, profiles, gains, shifts, timing)
    error_next = block - _blend_lagged(filled, profiles, gains, shifts, weights, 1)
    error_middle = block - _blend_lagged(filled, profiles, gains, shifts, weights, timing.middle)
    scale = smoothing.ewma(np.abs(error_middle), timing.memory)
    floor = SCALE_FLOOR * smoothing.ewma(block, timing.day) + np.float32(1e-9)
    scale = np.fmax(np.fmax(scale, floor), np.float32(1e-9))
    return Track(
        timing, block, filled, profiles, gains, shifts, weights, scale, error_next, error_middle
    )


def _filled(block: Block) -> Block:
    """Return the block with the last known value in every gap; before the first, that first one."""
    filled = smoothing.forward_fill(block)
    known = np.isfinite(block)
    first = np.take_along_axis(block, known.argmax(axis=1)[:, None], axis=1)
    filled = np.where(np.isnan(filled), first, filled)
    return np.nan_to_num(filled, nan=0.0)  # an item without one known sample forecasts nothing


def _profiles(values: Block, timing: Timing) -> Block:
    """Return the shapes of the day and of last week, ``prediction_length`` past the end."""
    future = np.full((values.shape[0], timing.prediction_length), np.nan, dtype=np.float32)
    reaching = np.concatenate([values, future], axis=1)
    raw = {gain: smoothing.periodic_profile(reaching, timing.day, gain) for _, gain in DAY_PROFILES}
    room = timing.day - timing.prediction_length  # smoothing further would look past the origin
    widths = [min(timing.samples(minutes), room) for minutes, _ in DAY_PROFILES]
    days = [
        smoothing.centred_mean(raw[gain], width)
        for width, (_, gain) in zip(widths, DAY_PROFILES, strict=True)
    ]
    week = smoothing.centred_mean(smoothing.lagged(reaching, 7 * timing.day), widths[0])
    return np.stack([*days, week])


def _lines(block: Block, filled: Block, profiles: Block, timing: Timing) -> tuple[Block, Block]:
    """Return gain and shift of every anchor at every sample, ``(anchors, items, time)``."""
    known = np.isfinite(block)
    daily = smoothing.ewma(block, timing.day)
    floor = RATIO_FLOOR * daily + np.float32(1e-9)
    levels = {0: filled}
    levels |= {span: smoothing.ewma(block, span) for span in (3, 10, 30)}
    gains, shifts = [], []
    for span in LEVEL_SPANS:
        gains.append(np.zeros_like(block))
        shifts.append(levels[span])
    for profile, span in SCALED + SHIFTED:
        shape = profiles[profile][:, : block.shape[1]]
        expected = smoothing.ewma(np.where(known, shape, np.float32(np.nan)), span)
        if len(gains) < len(LEVEL_SPANS) + len(SCALED):
            ratio = np.asarray((levels[span] + floor) / (expected + floor), dtype=np.float32)
            gains.append(ratio)
            shifts.append(np.asarray((ratio - 1) * floor, dtype=np.float32))
        else:
            gains.append(np.ones_like(block))
            shifts.append(levels[span] - expected)
    return np.stack(gains), np.stack(shifts)


def _line(gain: Block, shape: Block, shift: Block) -> Block:
    # A level has gain 0 and needs no shape: 0 * NaN must stay the level.
    line: Block = np.maximum(np.where(gain == 0, np.float32(0), gain * shape) + shift, 0)
    return line


def _lagged_line(
    k: int, filled: Block, profiles: Block, gains: Block, shifts: Block, lead: int
) -> Block:
    """Return what anchor ``k`` said ``lead`` steps before each sample."""
    shape = profiles[_PROFILE_OF[k]][:, : filled.shape[1]]
    line = _line(smoothing.lagged(gains[k], lead), shape, smoothing.lagged(shifts[k], lead))
    return np.where(np.isfinite(line), line, smoothing.lagged(filled, lead))


def _weights(
    block: Block, filled: Block, profiles: Block, gains: Block, shifts: Block, timing: Timing
) -> Block:
    """Return the blend's weights, ``(anchors, items, time)``: summing to 1, by recent error."""
    errors = np.stack(
        [
            smoothing.ewma(
                np.abs(block - _lagged_line(k, filled, profiles, gains, shifts, timing.middle)),
                timing.memory,
            )
            for k in range(ANCHOR_COUNT)
        ]
    )
    errors = np.where(np.isfinite(errors), errors, np.float32(np.inf))
    best = np.maximum(errors.min(axis=0), np.float32(1e-9))
    weights = np.where(np.isfinite(best), (best / np.maximum(errors, best)) ** SHARPNESS, 0)
    weights[0] += np.float32(1e-6)  # before anything is known, the last value
    return np.asarray(weights / weights.sum(axis=0), dtype=np.float32)


def _blend_lagged(
    filled: Block, profiles: Block, gains: Block, shifts: Block, weights: Block, lead: int
) -> Block:
    """Return what the blend said ``lead`` steps before each sample."""
    total = np.zeros_like(filled)
    for k in range(ANCHOR_COUNT):
        line = _lagged_line(k, filled, profiles, gains, shifts, lead)
        total += smoothing.lagged(weights[k], lead) * line
    return total
