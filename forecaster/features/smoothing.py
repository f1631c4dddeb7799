"""Causal filters over regular samples; NaN is an unknown sample, never zero.

Axes: ``values`` is ``(..., time)`` in float32; each function keeps the shape. Spans and widths are
numbers of samples. The result of a row does not depend on the other rows.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

from forecaster.data.series import Block

NAN = np.float32(np.nan)
# An average becomes unknown when its samples weigh less (they are 69 spans old): their products
# would underflow float32.
MIN_WEIGHT = 1e-30
# Samples per product with a small matrix: 4 times as fast as a recursion over single samples.
CHUNK = 32
# Chunks per product. Above 2**18 multiplications OpenBLAS would start threads, whose
# synchronisation takes longer than such small matrices.
PRODUCT = 2**18 // CHUNK**2


def ewma(values: Block, span: float) -> Block:
    """Return the exponentially weighted mean of the known samples up to and including each one.

    A sample that is ``span`` samples old weighs 1/e. The mean is NaN before the first known sample.

    >>> ewma(np.float32([1, np.nan, 1]), 2.0).tolist()
    [1.0, 1.0, 1.0]
    """
    if not values.size:
        return values.copy()
    flat = values.reshape(-1, values.shape[-1])
    known = np.isfinite(flat)
    gaps = ~known.all(axis=1)
    if gaps.any() and (start := int(known.argmax(axis=1).min())):
        mean = np.full_like(values, NAN)  # skips the beginning where no row has a known sample
        mean[..., start:] = ewma(values[..., start:], span)
        return mean
    whole = -np.expm1(-np.arange(1, flat.shape[1] + 1) / span).astype(np.float32)
    if not gaps.any():
        mean = _decaying_sum(flat, span)
        mean /= whole
        return mean.reshape(values.shape)
    total = _decaying_sum(np.where(known, flat, np.float32(0)), span)
    weight = np.tile(whole, (len(flat), 1))
    weight[gaps] = _decaying_sum(known[gaps].astype(np.float32), span)
    mean = np.divide(total, weight, out=np.full_like(flat, NAN), where=weight > MIN_WEIGHT)
    return mean.reshape(values.shape)


def _decaying_sum(values: Block, span: float) -> Block:
    """Return ``y[t] = decay * y[t-1] + (1 - decay) * values[t]`` of finite rows, ``(rows, time)``.

    Each chunk of samples is multiplied by a triangular matrix; the contribution of earlier chunks
    is added to its first sample.
    """
    rows, length = values.shape
    chunks = -(-length // CHUNK)
    x = np.zeros((rows, chunks, CHUNK), dtype=np.float32)
    x.reshape(rows, -1)[:, :length] = values
    decay = np.exp(-1 / span)
    age = np.arange(CHUNK) - np.arange(CHUNK)[:, None]
    kernel = np.where(age >= 0, (1 - decay) * decay ** np.maximum(age, 0), 0).astype(np.float32)
    ends = np.einsum("rcs,s->rc", x[:, :-1], kernel[:, -1])  # too narrow to gain from BLAS
    left = lfilter([1.0], [1.0, -(decay**CHUNK)], ends.astype(np.float64))
    x[:, 1:, 0] += left * (decay / (1 - decay))
    x = x.reshape(-1, CHUNK)
    result = np.empty_like(x)
    for first in range(0, len(x), PRODUCT):
        part = np.s_[first : first + PRODUCT]
        np.matmul(x[part], kernel, out=result[part])
    return result.reshape(rows, -1)[:, :length]


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


def lagged(values: Block, count: int, *, first: int = 0) -> Block:
    """Return the samples delayed by ``count`` steps, from sample ``first`` on; NaN at the start.

    >>> lagged(np.float32([1.0, 2.0, 3.0, 4.0]), 2).tolist()
    [nan, nan, 1.0, 2.0]
    """
    length = values.shape[-1]
    result = np.full((*values.shape[:-1], length - first), NAN)
    begin = max(count, first)
    result[..., begin - first :] = values[..., begin - count : max(length - count, 0)]
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


def periodic_profile(values: Block, period: int, gain: float, *, first: int = 0) -> Block:
    """Return, for each sample from ``first`` on, its slot's smoothed value in earlier periods.

    The smoothed value of a slot is ``S_p = (1 - gain) * S_(p-1) + gain * value`` in period ``p``.
    The result in period ``p`` is ``S_(p-1)``, which is based on earlier periods only. ``gain=1``
    repeats the last period; NaN where the slot has no known sample before.
    Source: simple exponential smoothing (Brown, 1956) of each slot by itself.

    >>> periodic_profile(np.float32([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), 2, 0.5).tolist()
    [nan, nan, 1.0, 2.0, 2.0, 3.0]
    """
    length = values.shape[-1]
    result = np.empty((*values.shape[:-1], length - first), dtype=np.float32)
    slot = np.full((*values.shape[:-1], period), NAN, dtype=np.float32)
    for begin in range(0, length, period):
        block = values[..., begin : begin + period]
        old = slot[..., : block.shape[-1]]
        skip = min(max(first - begin, 0), block.shape[-1])
        at = begin + skip - first
        result[..., max(at, 0) : max(at, 0) + old.shape[-1] - skip] = old[..., skip:]
        moved = np.asarray(np.float32(1 - gain) * old + np.float32(gain) * block)
        unknown = np.isnan(moved)
        if unknown.any():
            moved = np.where(unknown, np.where(np.isnan(block), old, block), moved)
        slot[..., : block.shape[-1]] = moved
    return result


def periodic_mean(values: Block, period: int, span: float) -> Block:
    """Return, for each sample, the `ewma` over earlier periods of the samples in its slot.

    ``span`` is a number of periods. Unlike `periodic_profile`, the weights of few samples are
    equalised: a slot with a few known samples has their plain mean. It suits many short periods.

    >>> periodic_mean(np.float32([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), 2, 1e9).tolist()
    [nan, nan, 1.0, 2.0, 2.0, 3.0]
    """
    pad = -values.shape[-1] % period
    if pad:  # the incomplete period comes first
        unknown = np.full((*values.shape[:-1], pad), NAN)
        values = np.concatenate([unknown, values], axis=-1, dtype=np.float32)
    slots = values.reshape(*values.shape[:-1], -1, period).swapaxes(-1, -2)
    means = lagged(ewma(np.ascontiguousarray(slots), span), 1).swapaxes(-1, -2)
    return np.asarray(means.reshape(values.shape)[..., pad:])
