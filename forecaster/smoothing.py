"""Causal filters over regular samples; every one treats NaN as unknown, never as zero.

Axes: ``values`` is ``(..., time)`` in float32; each function keeps the shape. Spans are counted
in samples.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

from forecaster.series import Block


def ewma(values: Block, span: float) -> Block:
    """Return the exponentially weighted mean of the known samples up to and including each one.

    A sample that is ``span`` samples old weighs 1/e; NaN before the first known sample.

    >>> ewma(np.float32([1, np.nan, 1]), 2.0).tolist()
    [1.0, 1.0, 1.0]
    """
    alpha = 1 - np.exp(-1 / span)
    known = np.isfinite(values)
    b = np.array([alpha], dtype=np.float32)
    a = np.array([1, alpha - 1], dtype=np.float32)
    total: Block = lfilter(b, a, np.where(known, values, np.float32(0)))
    weight: Block = lfilter(b, a, known.astype(np.float32))
    floor = np.finfo(np.float32).tiny  # a denormal weight carries no digits of the mean
    return np.divide(total, weight, out=np.full_like(values, np.nan), where=weight > floor)


def forward_fill(values: Block) -> Block:
    """Return each sample or, where it is NaN, the last known one before it.

    >>> forward_fill(np.float32([np.nan, 2.0, np.nan])).tolist()
    [nan, 2.0, 2.0]
    """
    position = np.where(np.isfinite(values), np.arange(values.shape[-1]), 0)
    return np.take_along_axis(values, np.maximum.accumulate(position, axis=-1), axis=-1)


def lagged(values: Block, count: int) -> Block:
    """Return the samples ``count`` steps later: ``result[t] = values[t - count]``, NaN before."""
    result = np.full_like(values, np.nan)
    result[..., count:] = values[..., : max(values.shape[-1] - count, 0)]
    return result


def trailing_mean(values: Block, width: int) -> Block:
    """Return the mean of the known samples among the last ``width``, the current one included.

    >>> trailing_mean(np.float32([1.0, 3.0, 5.0]), 2).tolist()
    [1.0, 2.0, 4.0]
    """
    known = np.isfinite(values)
    # Sums run in float64: a float32 running total loses the small services beside the large.
    total = np.cumsum(np.where(known, values, 0), axis=-1, dtype=np.float64)
    count = np.cumsum(known, axis=-1)
    total[..., width:] -= total[..., :-width].copy()
    count[..., width:] -= count[..., :-width].copy()
    mean = np.divide(total, count, out=np.full(values.shape, np.nan), where=count > 0)
    return np.asarray(mean, dtype=np.float32)


def centred_mean(values: Block, half_width: int) -> Block:
    """Return the mean of the known samples at most ``half_width`` away: not causal by itself.

    It is for profiles, whose samples all stem from earlier days.

    >>> centred_mean(np.float32([1.0, 3.0, 8.0]), 1).tolist()
    [2.0, 4.0, 5.5]
    """
    if half_width == 0:
        return values
    pad = np.full((*values.shape[:-1], half_width), np.nan, dtype=np.float32)
    padded = np.concatenate([values, pad], axis=-1)
    return trailing_mean(padded, 2 * half_width + 1)[..., half_width:]


def periodic_profile(values: Block, period: int, gain: float) -> Block:
    """Return, for each sample, the smoothed value of its slot in the periods before its own.

    Slot ``s`` of period ``p`` holds ``S_p = (1 - gain) * S_(p-1) + gain * value``; what is returned
    at that place is ``S_(p-1)``, so it stems from samples at least one period old, less the phase.
    ``gain=1`` repeats the last period; NaN where the slot was never known.
    Source: simple exponential smoothing (Brown, 1956) of each slot by itself.

    >>> periodic_profile(np.float32([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), 2, 0.5).tolist()
    [nan, nan, 1.0, 2.0, 2.0, 3.0]
    """
    result = np.empty_like(values)
    slot = np.full((*values.shape[:-1], period), np.nan, dtype=np.float32)
    for first in range(0, values.shape[-1], period):
        block = values[..., first : first + period]
        width = block.shape[-1]
        result[..., first : first + width] = slot[..., :width]
        old = slot[..., :width]
        moved = np.where(np.isnan(old), block, old + gain * (block - old))
        slot[..., :width] = np.where(np.isnan(block), old, moved)
    return result
