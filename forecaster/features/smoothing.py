"""Causal filters over regular samples; NaN is an unknown sample, never zero.

Axes: ``values`` is ``(..., time)`` in float32; each function keeps the shape. Spans and widths are
numbers of samples. The result of a row does not depend on the other rows or on later samples, to
the last bit. Recursions run over single samples in float64 and can be continued; see `Average`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import median_filter
from scipy.signal import lfilter

from forecaster.data.series import Block, FloatArray

NAN = np.float32(np.nan)
# A rate below that of any service (one request in thirty years); it avoids 0 / 0.
MIN_QPS = np.float32(1e-9)
# An average becomes unknown when its samples weigh less (they are 69 spans old).
MIN_WEIGHT = 1e-30
# For at most this many samples a loop is faster than setting up a filter.
FEW = 4


@dataclass(frozen=True, eq=False)
class Average:
    """A running exponentially weighted mean: the decayed sums of samples and of weights."""

    total: FloatArray
    weight: FloatArray

    @classmethod
    def empty(cls, *shape: int) -> Average:
        """Return the average before any sample."""
        return cls(np.zeros(shape), np.zeros(shape))

    @property
    def mean(self) -> Block:
        """The mean so far; NaN where no sample is known."""
        return _ratio(self.total, self.weight)


def ewma(values: Block, span: float) -> Block:
    """Return the exponentially weighted mean of the known samples up to and including each one.

    A sample that is ``span`` samples old weighs 1/e. The mean is NaN before the first known sample.

    >>> ewma(np.float32([1, np.nan, 1]), 2.0).tolist()
    [1.0, 1.0, 1.0]
    """
    return ewma_from(Average.empty(*values.shape[:-1]), values, span)[0]


def ewma_from(before: Average, values: Block, span: float) -> tuple[Block, Average]:
    """Return the `ewma` of samples that continue an average, and the average after them.

    >>> first, kept = ewma_from(Average.empty(), np.float32([1, 2]), 2.0)
    >>> ewma_from(kept, np.float32([3]), 2.0)[0] == ewma(np.float32([1, 2, 3]), 2.0)[2:]
    array([ True])
    """
    if not values.size:
        return values.copy(), before
    known = np.isfinite(values)
    is_new = not before.weight.any()
    start = int(known.argmax(axis=-1).min()) if is_new and not known[..., 0].any() else 0
    if start:  # skips the beginning where no row has a known sample
        mean = np.full_like(values, NAN)
        mean[..., start:], after = ewma_from(before, values[..., start:], span)
        return mean, after
    gaps = ~known.all(axis=-1)
    total = _decayed(before.total, np.where(known, values, 0) if gaps.any() else values, span)
    if is_new and not gaps.all():
        weight = np.empty(values.shape)
        weight[...] = _decayed(np.zeros(()), np.ones(values.shape[-1]), span)
        if gaps.any():
            weight[gaps] = _decayed(before.weight[gaps], known[gaps], span)
    else:
        weight = _decayed(before.weight, known, span)
    return _ratio(total, weight), Average(total[..., -1].copy(), weight[..., -1].copy())


def _decayed(last: FloatArray, values: npt.NDArray[Any], span: float) -> FloatArray:
    """Return ``y[t] = decay * y[t-1] + (1 - decay) * values[t]``, where ``y[-1]`` is ``last``."""
    decay = float(np.exp(-1 / span))
    samples = values.astype(np.float64)
    if values.shape[-1] > FEW:
        start = decay * last[..., None]
        return np.asarray(lfilter([1 - decay], [1.0, -decay], samples, zi=start)[0])
    for t in range(values.shape[-1]):
        last = decay * last + (1 - decay) * samples[..., t]
        samples[..., t] = last
    return samples


def _ratio(total: FloatArray, weight: FloatArray) -> Block:
    mean = np.full(total.shape, np.nan)
    np.divide(total, weight, out=mean, where=weight > MIN_WEIGHT)
    return mean.astype(np.float32)


def forward_fill(values: Block) -> Block:
    """Return each sample or, where it is NaN, the last known sample before it.

    >>> forward_fill(np.float32([np.nan, 2.0, np.nan])).tolist()
    [nan, 2.0, 2.0]
    """
    known = np.isfinite(values)
    if known.all():
        return values
    position = np.where(known, np.arange(values.shape[-1]), 0)
    return np.take_along_axis(values, np.maximum.accumulate(position, axis=-1), axis=-1)


def lagged(values: Block, count: int) -> Block:
    """Return the samples delayed by ``count`` steps; NaN at the start.

    >>> lagged(np.float32([1.0, 2.0, 3.0, 4.0]), 2).tolist()
    [nan, nan, 1.0, 2.0]
    """
    length = values.shape[-1]
    result = np.full(values.shape, NAN)
    result[..., count:] = values[..., : max(length - count, 0)]
    return result


def trailing_mean(values: Block, width: int) -> Block:
    """Return the mean of the known samples among the last ``width``, the current one included.

    >>> trailing_mean(np.float32([1.0, 3.0, 5.0]), 2).tolist()
    [1.0, 2.0, 4.0]
    """
    known = np.isfinite(values)
    if known.all():
        count = np.minimum(np.arange(1, values.shape[-1] + 1), width).astype(np.float32)
        return np.asarray(_trailing_sum(values, width) / count)
    total = _trailing_sum(np.where(known, values, np.float32(0)), width)
    count = _trailing_sum(known.astype(np.float32), width)
    return np.divide(total, count, out=np.full_like(total, NAN), where=count > 0)


def _trailing_sum(values: Block, width: int) -> Block:
    """Return the sum of the last ``width`` samples, from sums of 1, 2, 4, 8 ... samples.

    Unlike a running total, it keeps no rounding error of samples that have left the window: after a
    large peak, small numbers would be lost.
    """
    length = values.shape[-1]
    total = np.zeros_like(values)
    power, size, done = values, 1, 0
    while done < min(width, length):
        if width & size:
            total[..., done:] += power[..., : length - done]
            done += size
        if size < length:
            doubled = power.copy()
            doubled[..., size:] += power[..., :-size]
            power = doubled
        size *= 2
    return total


def centred_mean(values: Block, half_width: int) -> Block:
    """Return the mean of the known samples at most ``half_width`` away.

    It is not causal. It is meant for profiles, whose samples all come from earlier days.

    >>> centred_mean(np.float32([1.0, 3.0, 8.0]), 1).tolist()
    [2.0, 4.0, 5.5]
    """
    if half_width == 0:
        return values
    pad = np.full((*values.shape[:-1], half_width), NAN, dtype=np.float32)
    padded = np.concatenate([values, pad], axis=-1)
    return trailing_mean(padded, 2 * half_width + 1)[..., half_width:]


def centred_median(values: Block, half_width: int) -> Block:
    """Return the median of the samples at most ``half_width`` away, along the last axis.

    The first and the last sample are repeated beyond the ends. NaN is not allowed. Not causal.

    >>> centred_median(np.float32([1.0, 9.0, 2.0, 3.0]), 1).tolist()
    [1.0, 2.0, 3.0, 3.0]
    """
    rows = values.reshape(-1, values.shape[-1])
    medians = [median_filter(row, 2 * half_width + 1, mode="nearest") for row in rows]
    return np.stack(medians).reshape(values.shape) if medians else values


def smoothed(samples: Sequence[Block], gain: float) -> Block:
    """Return the exponentially weighted mean of samples, oldest first, element by element.

    Each known sample weighs ``1 - gain`` of the known one after it; ``gain=1`` takes the last
    known one. NaN where none is known.
    Source: simple exponential smoothing (Brown, 1956), over a finite number of samples.

    >>> smoothed([np.float32([3.0]), np.float32([np.nan]), np.float32([9.0])], 0.5).tolist()
    [7.0]
    """
    keep, one = np.float32(1 - gain), np.float32(1)
    if all(np.isfinite(sample).all() for sample in samples):
        total, weight = samples[0], one
        for sample in samples[1:]:
            total, weight = keep * total + sample, keep * weight + one
        return np.asarray(total / weight, dtype=np.float32)
    totals = np.zeros(samples[0].shape, dtype=np.float32)
    weights = np.zeros_like(totals)
    for sample in samples:
        known = np.isfinite(sample)
        totals = np.where(known, keep * totals + sample, totals)
        weights = np.where(known, keep * weights + one, weights)
    return np.divide(totals, weights, out=np.full_like(totals, NAN), where=weights > 0)


def periodic_profile(values: Block, period: int, gain: float, periods: int) -> Block:
    """Return, for each sample, the `smoothed` samples one period before it, two, and so on.

    >>> periodic_profile(np.float32([1.0, 2.0, 4.0, 5.0, 1.0, 2.0]), 2, 0.5, periods=7).tolist()
    [nan, nan, 1.0, 2.0, 3.0, 4.0]
    """
    length = values.shape[-1]
    result = np.full(values.shape, NAN)
    for begin in range(period, length, period):
        end = min(begin + period, length)
        back = [period * age for age in range(periods, 0, -1) if period * age <= begin]
        result[..., begin:end] = smoothed([values[..., begin - b : end - b] for b in back], gain)
    return result


def periodic_mean(values: Block, period: int, span: float) -> Block:
    """Return, for each sample, the `ewma` over earlier periods of the samples in its slot.

    ``span`` is a number of periods.

    >>> periodic_mean(np.float32([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), 2, 1e9).tolist()
    [nan, nan, 1.0, 2.0, 2.0, 3.0]
    """
    return periodic_mean_from(Average.empty(*values.shape[:-1], period), values, span)[0]


def periodic_mean_from(before: Average, values: Block, span: float) -> tuple[Block, Average]:
    """Return the `periodic_mean` of samples that continue averages, and the averages after them.

    ``before`` has one average per slot, ``(..., period)``; the first is that of the first sample.
    """
    period, length = before.total.shape[-1], values.shape[-1]
    count, rest = divmod(length, period)
    result = np.empty(values.shape, dtype=np.float32)
    if count:
        whole = values[..., : count * period].reshape(*values.shape[:-1], count, period)
        means = np.empty((*values.shape[:-1], period, count + 1), dtype=np.float32)
        means[..., 0] = before.mean
        slots = np.ascontiguousarray(whole.swapaxes(-1, -2))
        means[..., 1:], before = ewma_from(before, slots, span)
        earlier = means[..., :-1].swapaxes(-1, -2)
        result[..., : count * period] = earlier.reshape(*values.shape[:-1], count * period)
    if rest:
        begun = Average(before.total[..., :rest], before.weight[..., :rest])
        result[..., count * period :] = begun.mean
        _, begun = ewma_from(begun, values[..., count * period :, None], span)
        before = Average(
            np.concatenate([before.total[..., rest:], begun.total], axis=-1),
            np.concatenate([before.weight[..., rest:], begun.weight], axis=-1),
        )
    return result, before
