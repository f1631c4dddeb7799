"""From quantiles per forecast step to the distribution of the peak demand over several steps.

The 0.95 quantile of a maximum is not the maximum of the 0.95 quantiles: with several steps there
are several chances to exceed it. That maximum is a lower bound, Bonferroni's bound an upper one.
Where the truth lies between them depends on how strongly the errors of the steps are correlated,
which one number describes, the extremal index (Leadbetter, 1983, Extremes and local dependence in
stationary sequences): ``P(max <= x) = prod_h F_h(x) ** theta``. ``theta`` is 1 for independent
errors and ``1 / steps`` for identical ones.

Between the quantile levels of a forecast, and beyond them, the logit of the level is taken to be
linear in demand; so both tails are exponential.

Axes: ``values`` is ``(rows, steps, levels)`` QPS; a row is an item or a point in time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forecaster.data.series import FloatArray

# Quantiles that coincide are moved apart by this share of the largest, which avoids a division by
# zero.
_MIN_GAP = 1e-6
# Quantile levels of the single steps at which the distribution of their peak is evaluated.
POINTS = (
    0.1,
    0.25,
    0.4,
    0.55,
    0.7,
    0.8,
    0.87,
    0.9,
    0.92,
    0.95,
    0.97,
    0.983,
    0.99,
    0.995,
    0.998,
    0.9995,
)


def _logit(level: npt.ArrayLike) -> FloatArray:
    p = np.asarray(level, dtype=np.float64)
    return np.asarray(np.log(p / (1 - p)))


_POINT_SCORES = _logit(POINTS)


def _spaced(values: FloatArray) -> FloatArray:
    """Return the quantiles, strictly increasing along the last axis."""
    gap = _MIN_GAP * np.maximum(values[..., -1:], _MIN_GAP)
    return np.asarray(values + gap * np.arange(values.shape[-1]))


def quantile_at(values: FloatArray, levels: Sequence[float], level: float) -> FloatArray:
    """Return the quantile at any ``level`` in (0, 1), shape of ``values`` without its last axis.

    >>> values = np.array([100.0, 120.0, 130.0])
    >>> float(quantile_at(values, (0.5, 0.9, 0.95), 0.9))
    120.0
    >>> round(float(quantile_at(values, (0.5, 0.9, 0.95), 0.99)), 1)  # beyond: logit 4.60
    152.1
    """
    scores, score = _logit(levels), float(_logit(level))
    right = int(np.clip(np.searchsorted(scores, score), 1, len(scores) - 1))
    weight = (score - scores[right - 1]) / (scores[right] - scores[right - 1])
    low, high = values[..., right - 1], values[..., right]
    return np.asarray(np.maximum(low + weight * (high - low), 0.0))


def log_cdf(values: FloatArray, levels: Sequence[float], qps: FloatArray) -> FloatArray:
    """Return ``log P(demand <= qps)`` per row and step; ``qps`` has shape ``(rows, steps)``."""
    values = _spaced(values)
    scores = _logit(levels)
    right = np.clip((values < qps[..., None]).sum(axis=-1), 1, len(scores) - 1)
    pick = right[..., None]
    low = np.take_along_axis(values, pick - 1, -1)[..., 0]
    high = np.take_along_axis(values, pick, -1)[..., 0]
    slope = (scores[right] - scores[right - 1]) / (high - low)
    score = scores[right - 1] + slope * (qps - low)
    with np.errstate(invalid="ignore"):  # a row of NaN stays NaN, without a warning
        return np.asarray(-np.logaddexp(0.0, -score))


@dataclass(frozen=True, eq=False)
class PeakDistribution:
    """The distribution of the peak demand over some steps with independent errors, per row.

    ``qps`` is ``(rows, points)``, ascending; ``scores`` are the logits of ``P(max <= qps)``. An
    unknown row is NaN.
    """

    qps: FloatArray
    scores: FloatArray

    def __len__(self) -> int:
        return len(self.qps)

    def quantile(self, level: npt.ArrayLike, theta: npt.ArrayLike = 1.0) -> FloatArray:
        """Return the quantile of the peak in QPS, ``(rows,)``.

        ``P ** theta = level`` is solved by ``P = level ** (1 / theta)``. The result is at least the
        largest quantile of a single step, which a low index alone would not ensure where the steps
        differ.

        Args:
            level: one for all rows, or ``(rows,)``.
            theta: the extremal index; one for all rows, or ``(rows,)``.
        """
        independent = np.asarray(level) ** (1 / np.asarray(theta))
        score = np.broadcast_to(_logit(independent), len(self))[:, None]
        right = np.clip((self.scores < score).sum(axis=1), 1, self.scores.shape[1] - 1)[:, None]
        low, high = (np.take_along_axis(self.qps, right - i, 1)[:, 0] for i in (1, 0))
        before, after = (np.take_along_axis(self.scores, right - i, 1)[:, 0] for i in (1, 0))
        weight = (score[:, 0] - before) / np.maximum(after - before, _MIN_GAP)
        peak = low + weight * (high - low)
        return np.asarray(np.maximum(np.maximum(peak, self._largest_step(level)), 0.0))

    def _largest_step(self, level: npt.ArrayLike) -> FloatArray:
        """Return the largest quantile of a single step, interpolated between the `POINTS`."""
        score = _logit(level)
        right = np.clip(np.searchsorted(_POINT_SCORES, score), 1, len(POINTS) - 1)
        before, after = _POINT_SCORES[right - 1], _POINT_SCORES[right]
        rows = np.arange(len(self))
        low, high = self.qps[rows, right - 1], self.qps[rows, right]
        return np.asarray(low + (score - before) / (after - before) * (high - low))


def peak_distribution(values: FloatArray, levels: Sequence[float]) -> PeakDistribution:
    """Return the distribution of the peak demand over the steps, for independent errors.

    Args:
        values: quantiles per step, ``(rows, steps, levels)``; unknown rows are NaN.
        levels: the quantile levels of ``values``.

    >>> steps = np.tile([100.0, 120.0, 130.0], (1, 4, 1))  # four equal steps
    >>> peak = peak_distribution(steps, (0.5, 0.9, 0.95))
    >>> [round(float(peak.quantile(0.9, theta)[0])) for theta in (0.25, 0.5, 1.0)]
    [120, 130, 139]
    """
    points = [quantile_at(values, levels, level).max(axis=1) for level in POINTS]
    qps = _spaced(np.stack(points, axis=1))
    total = np.zeros_like(qps)
    for k in range(qps.shape[1]):
        steps = np.broadcast_to(qps[:, k, None], values.shape[:2])
        total[:, k] = log_cdf(values, levels, steps).sum(axis=1)
    # The logit of P = exp(total), written so that P close to 1 keeps its precision.
    scores = total - np.log(-np.expm1(np.minimum(total, -1e-12)))
    return PeakDistribution(qps, np.maximum.accumulate(scores, axis=1))


def surprisals(values: FloatArray, levels: Sequence[float], actual: FloatArray) -> FloatArray:
    """Return ``-sum_h log F_h(actual peak)`` per row; NaN where the actual peak is not known.

    For a calibrated forecast, the surprisal times the extremal index is exponentially distributed
    with mean 1; `extremal_index` is estimated from the mean of the surprisals.

    Args:
        values: forecasts of the past, ``(rows, steps, levels)`` QPS.
        levels: the quantile levels of ``values``.
        actual: observed QPS of those steps, ``(rows, steps)``.
    """
    largest = actual.max(axis=1)
    known = np.isfinite(largest)
    steps = np.broadcast_to(np.where(known, largest, 0.0)[:, None], values.shape[:2])
    return np.asarray(np.where(known, -log_cdf(values, levels, steps).sum(axis=1), np.nan))


def extremal_index(mean_surprisal: float, steps: int) -> float:
    """Return the maximum-likelihood extremal index, in ``[1 / steps, 1]``.

    >>> extremal_index(2.0, steps=4)
    0.5
    """
    return min(max(1.0 / mean_surprisal if mean_surprisal > 0 else 1.0, 1.0 / steps), 1.0)
