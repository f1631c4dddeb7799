"""What is served: calibrated quantiles with room for recurring shocks, and a least width."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from forecaster.data.series import Block
from forecaster.features.smoothing import centred_median
from forecaster.features.windows import Windows
from forecaster.models.config import MEDIAN, ModelConfig
from forecaster.models.conformal import widened


def with_margins(qps: Block, windows: Windows, model: ModelConfig) -> Block:
    """Return the quantiles that are served, whatever candidate has forecast them.

    Args:
        qps: calibrated quantiles, ``(windows, horizon, levels)`` QPS.
        windows: those that were forecast.
        model: the shape of the model.
    """
    levels = model.served_levels[: qps.shape[2]]
    return widened(with_shocks(qps, windows, model), levels, model.step)


def with_shocks(qps: Block, windows: Windows, model: ModelConfig) -> Block:
    """Return the quantiles, those above the median raised to the expected shocks.

    A shock comes on top of what is usual: the running median of the forecast median, but at most
    the level of the trailing hour, so that a job that runs now is not counted twice. The median
    itself is left: on recorded traffic, raising it cost up to 4 % of its loss, where raising the
    others costs less than half a percent of theirs.

    Args:
        qps: calibrated quantiles, ``(windows, horizon, levels)`` QPS.
        windows: those that were forecast.
        model: the shape of the model.
    """
    mean, spread = windows.shock[:, :, 0], windows.shock[:, :, 1]
    rows = np.flatnonzero((mean > 0).any(axis=1))
    if not len(rows):
        return qps
    middle = model.quantile_levels.index(MEDIAN)
    usual = centred_median(qps[rows, :, middle], model.timing.shock_reach)
    usual = np.fmin(usual, windows.level[rows, None])
    raised = qps.copy()
    for k, level in enumerate(model.served_levels[: qps.shape[2]]):
        if level > MEDIAN:
            height = mean[rows] + NormalDist().inv_cdf(level) * spread[rows]
            expected = np.where(mean[rows] > 0, usual + height, 0)
            raised[rows, :, k] = np.maximum(qps[rows, :, k], expected)
    return raised
