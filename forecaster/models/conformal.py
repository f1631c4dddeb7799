"""Calibration: shifts the quantiles so that 95 of 100 samples lie below the level 0.95.

Split conformal prediction per level and step ahead (Romano et al., 2019, arXiv:1905.03222,
one-sided): the shift of level ``q`` is the ``q``-quantile, on held-out time, of the difference of
actual demand and predicted quantile, in units of recent error.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from statistics import NormalDist

import numpy as np

from forecaster.data.series import Block
from forecaster.models.naive import Spread

# Residuals of so many steps on either side are pooled: their shifts differ little, and a level of
# 0.99 needs hundreds of residuals.
POOLED_STEPS = 3
# The least noise of a served forecast: rates are counted over five minutes, as by `rate(...[5m])`,
# and the moments of scrapes alone move them by some thousandths.
COUNTED, CALMEST = timedelta(minutes=5), 0.002


def conformal_level(level: float, count: int) -> float:
    """Return the level to use on ``count`` residuals so that ``level`` holds for a new one.

    >>> round(conformal_level(0.9, 99), 4)
    0.9091
    """
    return min((1 + 1 / count) * level, 1.0)


def conformal_shifts(spread: Spread, target: Block, quantile_levels: Sequence[float]) -> Block:
    """Return the shifts, ``(horizon, levels)``, that calibrate ``spread``.

    The shift of a step without a known residual is 0.

    Args:
        spread: forecasts on held-out time.
        target: actual demand, ``(windows, horizon)`` QPS; NaN where unknown.
        quantile_levels: the levels of the spread.
    """
    residual = (target[:, :, None] - spread.centre) / spread.unit[:, None, None]
    horizon = target.shape[1]
    shifts = np.zeros(spread.centre.shape[1:], dtype=np.float32)
    for step in range(horizon):
        near = slice(max(step - POOLED_STEPS, 0), step + POOLED_STEPS + 1)
        pooled = residual[:, near]
        pooled = pooled[np.isfinite(target[:, near])]  # (residuals, levels)
        for k, level in enumerate(quantile_levels):
            if len(pooled):
                shifts[step, k] = np.quantile(pooled[:, k], conformal_level(level, len(pooled)))
    return shifts


def calibrated(spread: Spread, shifts: Block) -> Block:
    """Return the shifted quantiles, ``(windows, horizon, levels)`` QPS; >= 0, without crossing."""
    qps = np.maximum(spread.centre + shifts * spread.unit[:, None, None], 0)
    return np.asarray(np.sort(qps, axis=2), dtype=np.float32)


def widened(qps: Block, quantile_levels: Sequence[float], step: timedelta) -> Block:
    """Return quantiles, ``(windows, horizon, levels)`` QPS, that are no nearer than noise allows.

    Each level keeps the distance from the median that it has in a normal distribution of the least
    noise that a measured rate has: that of counting requests (Poisson) over `COUNTED`, or the step
    where it is longer, one request at least; and `CALMEST` of the rate.

    >>> widened(np.full((1, 1, 2), 900.0), (0.5, 0.95), timedelta(minutes=1)).round(1).tolist()
    [[[900.0, 904.099...]]]
    """
    levels = np.asarray(quantile_levels)
    middle = int(np.abs(levels - 0.5).argmin())
    median, counted_s = qps[:, :, middle : middle + 1], max(step, COUNTED).total_seconds()
    noise = np.sqrt((median + 1 / counted_s) / counted_s + (CALMEST * median) ** 2)
    least = median + noise * np.array([NormalDist().inv_cdf(level) for level in levels])
    wide = np.where(levels > levels[middle], np.maximum(qps, least), np.minimum(qps, least))
    wide[:, :, middle] = qps[:, :, middle]
    return np.asarray(np.maximum(wide, 0), dtype=np.float32)
