"""Metrics of forecast accuracy: losses, coverage and means over items.

Axes: ``actual`` is ``(...)`` QPS, NaN where unknown; ``predicted`` is ``(..., levels)`` QPS.
Unknown samples are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]


def pinball_loss(actual: Array, predicted: Array, quantile_levels: Sequence[float]) -> Array:
    """Return the pinball (quantile) loss of every sample and level, ``(..., levels)``.

    Source: Koenker and Bassett, 1978, Econometrica 46(1).

    >>> pinball_loss(np.array([100.0]), np.array([[90.0]]), [0.9]).tolist()
    [[9.0]]
    """
    levels = np.asarray(quantile_levels, dtype=predicted.dtype)
    error = actual[..., None] - predicted
    return np.maximum(levels * error, (levels - 1) * error)


def crps(actual: Array, predicted: Array, quantile_levels: Sequence[float]) -> Array:
    """Return the continuous ranked probability score of every sample in QPS, ``(...)``.

    It is twice the integral of the pinball loss over all levels, here its mean with the weights of
    `level_weights`; for a single median it is the absolute error. 0 is perfect.

    Source: Gneiting and Raftery, 2007, JASA 102(477), with the integral over quantiles of Laio and
    Tamea, 2007, Hydrology and Earth System Sciences 11(4).

    >>> crps(np.array([100.0]), np.array([[80.0, 90.0, 110.0]]), [0.25, 0.5, 0.75]).tolist()
    [8.125]
    """
    weights = level_weights(quantile_levels)
    return np.asarray(2 * (pinball_loss(actual, predicted, quantile_levels) * weights).sum(axis=-1))


def level_weights(quantile_levels: Sequence[float]) -> Array:
    """Return the share of [0, 1] that each ascending level stands for: to half way to the next.

    >>> level_weights([0.1, 0.5, 0.9, 0.95, 0.99]).round(3).tolist()
    [0.3, 0.4, 0.225, 0.045, 0.03]
    """
    levels = np.asarray(quantile_levels, dtype=np.float64)
    return np.diff((levels[1:] + levels[:-1]) / 2, prepend=0.0, append=1.0)


def coverage(actual: Array, predicted: Array) -> Array:
    """Return the share of known samples at or below each level, ``(levels,)``; NaN if none.

    >>> coverage(np.array([1.0, 3.0]), np.array([[2.0], [2.0]])).tolist()
    [0.5]
    """
    known = np.isfinite(actual)
    if not known.any():
        return np.full(predicted.shape[-1], np.nan)
    return np.asarray((actual[known][:, None] <= predicted[known]).mean(axis=0))


def is_peak(actual: Array, share: float = 0.05) -> npt.NDArray[np.bool_]:
    """Return which samples are among the top ``share`` of the known ones.

    >>> is_peak(np.array([1.0, 9.0, np.nan, 2.0]), 0.4).tolist()
    [False, True, False, False]
    """
    known = actual[np.isfinite(actual)]
    if not known.size:
        return np.zeros(actual.shape, dtype=bool)
    return np.asarray(actual >= np.quantile(known, 1 - share))


def wape(actual: Array, point: Array) -> float:
    """Return the weighted absolute percentage error as a ratio; NaN if the demand is 0.

    >>> wape(np.array([90.0, 110.0]), np.array([100.0, 100.0]))
    0.1
    """
    known = np.isfinite(actual)
    total = float(np.abs(actual[known]).sum(dtype=np.float64))
    if total == 0:
        return float("nan")
    return float(np.abs(actual[known] - point[known]).sum(dtype=np.float64)) / total


def geometric_mean(ratios: Iterable[float]) -> float:
    """Return the geometric mean of the finite ratios above 0; NaN if there is none.

    >>> round(geometric_mean([0.5, 2.0, float("nan")]), 3)
    1.0
    """
    values = np.array([ratio for ratio in ratios if np.isfinite(ratio) and ratio > 0])
    return float(np.exp(np.log(values).mean())) if values.size else float("nan")
