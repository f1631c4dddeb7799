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

import math
from bisect import bisect_left
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


_POINT_SCORES: list[float] = _logit(POINTS).tolist()


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


@dataclass(frozen=True, eq=False, slots=True)
class PeakDistribution:
    """The distribution of the peak demand over some steps with independent errors.

    ``qps`` ascend; ``scores`` are the logits of ``P(max <= qps)``. Both are as long as `POINTS`,
    and NaN where the forecast is not known.
    """

    qps: Sequence[float]
    scores: Sequence[float]

    def quantile(self, level: float, theta: float = 1.0) -> float:
        """Return the quantile of the peak in QPS, for an extremal index ``theta``.

        ``P ** theta = level`` is solved by ``P = level ** (1 / theta)``. The result is at least the
        largest quantile of a single step, which a low index alone would not ensure where the steps
        differ.
        """
        independent = level ** (1 / theta)
        score = math.log(independent / (1 - independent))
        right = min(max(bisect_left(self.scores, score), 1), len(self.scores) - 1)
        before, after = self.scores[right - 1], self.scores[right]
        low, high = self.qps[right - 1], self.qps[right]
        peak = low + (score - before) / max(after - before, _MIN_GAP) * (high - low)
        return max(peak, self._largest_step(level), 0.0)  # in this order, NaN stays NaN

    def _largest_step(self, level: float) -> float:
        """Return the largest quantile of a single step, interpolated between the `POINTS`."""
        score = math.log(level / (1 - level))
        right = min(max(bisect_left(_POINT_SCORES, score), 1), len(POINTS) - 1)
        before, after = _POINT_SCORES[right - 1], _POINT_SCORES[right]
        low, high = self.qps[right - 1], self.qps[right]
        return low + (score - before) / (after - before) * (high - low)


def peaks_of(values: FloatArray, levels: Sequence[float]) -> tuple[FloatArray, FloatArray]:
    """Return ``qps`` and ``scores`` of each row's `PeakDistribution`, ``(rows, points)`` each.

    Args:
        values: quantiles per step, ``(rows, steps, levels)``; unknown rows are NaN.
        levels: of ``values``.

    >>> qps, scores = peaks_of(np.tile([100.0, 120.0, 130.0], (1, 4, 1)), (0.5, 0.9, 0.95))
    >>> peak = PeakDistribution(qps[0].tolist(), scores[0].tolist())  # of four steps alike
    >>> [round(peak.quantile(0.9, theta)) for theta in (0.25, 0.5, 1.0)]
    [120, 130, 139]
    """
    points = [quantile_at(values, levels, level).max(axis=1) for level in POINTS]
    qps = _spaced(np.stack(points, axis=1))
    total = np.zeros_like(qps)
    for k in range(qps.shape[1]):
        steps = np.broadcast_to(qps[:, k, None], values.shape[:2])
        total[:, k] = log_cdf(values, levels, steps).sum(axis=1)
    # The logit of P = exp(total), without losing what is close to 1.
    scores = total - np.log(-np.expm1(np.minimum(total, -1e-12)))
    return qps, np.maximum.accumulate(scores, axis=1)


def surprisal(values: FloatArray, levels: Sequence[float], largest: float) -> float:
    """Return ``-sum_h log F_h(largest)``; NaN where the actual peak is not known.

    For a calibrated forecast, the surprisal times the extremal index is exponentially distributed
    with mean 1; `extremal_index` is estimated from the mean of the surprisals.

    Args:
        values: forecast of the past, ``(steps, levels)`` QPS.
        levels: the quantile levels of ``values``.
        largest: actual peak of those steps, QPS.
    """
    if math.isnan(largest):
        return math.nan
    return sum([_surprisal(step, levels, largest) for step in values.tolist()])


def _surprisal(quantiles: list[float], levels: Sequence[float], qps: float) -> float:
    """Return ``-log P(demand <= qps)`` of one step, as `log_cdf` does of many."""
    gap = _MIN_GAP * max(quantiles[-1], _MIN_GAP)
    spaced = [quantile + gap * i for i, quantile in enumerate(quantiles)]
    right = min(max(bisect_left(spaced, qps), 1), len(levels) - 1)
    before, after = (math.log(level / (1 - level)) for level in levels[right - 1 : right + 1])
    slope = (after - before) / (spaced[right] - spaced[right - 1])
    score = before + slope * (qps - spaced[right - 1])
    # log(1 + exp(-score)), without overflow where the demand was far beyond what was foreseen.
    return max(-score, 0.0) + math.log1p(math.exp(-abs(score)))


def extremal_index(mean_surprisal: float, steps: int) -> float:
    """Return the maximum-likelihood extremal index, in ``[1 / steps, 1]``.

    >>> extremal_index(2.0, steps=4)
    0.5
    """
    return min(max(1.0 / mean_surprisal if mean_surprisal > 0 else 1.0, 1.0 / steps), 1.0)
