"""Calibration: make "0.95" mean that 95 of 100 moments lie below.

Split-conformal, per level and step ahead (Romano et al., 2019, arXiv:1905.03222, one-sided): on
held-out time, the shift of level ``q`` is the ``q``-quantile of how far, in units of recent error,
what happened lay above the predicted quantile.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from forecaster.data.series import Block
from forecaster.models.naive import Spread

# Steps ahead on either side whose residuals are pooled: their shifts differ little, and a level of
# 0.99 needs hundreds of residuals.
POOLED_STEPS = 3


def conformal_level(level: float, count: int) -> float:
    """Return the level to read off ``count`` residuals so that ``level`` holds for a new one.

    >>> round(conformal_level(0.9, 99), 4)
    0.9091
    """
    return min((1 + 1 / count) * level, 1.0)


def conformal_shifts(spread: Spread, target: Block, quantile_levels: Sequence[float]) -> Block:
    """Return the shifts, ``(horizon, levels)``, that calibrate ``spread`` on what happened.

    Args:
        spread: forecasts on held-out time.
        target: QPS that happened, ``(windows, horizon)``; NaN where unknown.
        quantile_levels: the levels of the spread.

    A step without any known residual keeps a shift of 0.
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
    """Return QPS, ``(windows, horizon, levels)``: shifted, not below 0, and never crossing."""
    qps = np.maximum(spread.centre + shifts * spread.unit[:, None, None], 0)
    return np.asarray(np.sort(qps, axis=2), dtype=np.float32)
