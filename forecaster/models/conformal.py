"""Calibration: shifts the quantiles so that 95 of 100 samples lie below the level 0.95.

Split conformal prediction per level (Romano et al., 2019, arXiv:1905.03222, one-sided): the shift
of level ``q`` is the ``q``-quantile, on held-out time, of the difference of actual demand and
predicted quantile, in units of recent error. It is calm:

- in the step: shifts are found at a few steps, the knots, from the residuals between the knots on
  either side, and interpolated over the logarithm of the step;
- in time: an item's own shifts count by the stretches of time that they rest on, the rest is
  that of all items;
- in the tail: levels beyond 0.95 are not shifted but follow from the 0.95 quantile by a law, see
  `tail`, which adds the level 0.999.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from forecaster.data.series import Block, FloatArray
from forecaster.features.track import Indices
from forecaster.models.config import MEDIAN, TAIL_FROM, served_levels
from forecaster.models.naive import Spread
from forecaster.models.tail import Evidence, TailLaw, evidence, shrunk_laws

# Stretches of time after which an item's own shifts weigh as much as those of all items.
SHIFT_STRETCHES = 1
# The 0.95 quantile counts as at least so far from the median, in units of recent error: where both
# are 0, such as at night, the levels beyond would be 0 as well.
LEAST_DISTANCE = 0.5
# The least noise of a served forecast: rates are counted over five minutes, as by `rate(...[5m])`,
# and the moments of scrapes alone move them by some thousandths.
COUNTED, CALMEST = timedelta(minutes=5), 0.002


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Forecasts of one item on held-out time, and what came of them.

    Attributes:
        spread: the forecasts before calibration.
        target: actual demand, ``(windows, horizon)`` QPS; NaN where unknown.
        stretch: of time that each origin lies in, ``(windows,)``; what goes wrong within one may
            have one cause.
        pooled: whether it may say something of other items.
    """

    spread: Spread
    target: Block
    stretch: Indices
    pooled: bool = True


@dataclass(frozen=True, eq=False)
class Tail:
    """The levels beyond 0.95 of some windows.

    Attributes:
        median, threshold: indices of the levels 0.5 and 0.95.
        factors: how far each level beyond lies from the median, in distances of the threshold,
            ``(windows or 1, levels beyond)``.
    """

    median: int
    threshold: int
    factors: FloatArray


@dataclass(frozen=True, eq=False)
class Calibration:
    """The calibration of one candidate for one item.

    ``shifts`` are ``(horizon, levels)`` in units of recent error; ``law`` is None where the model's
    levels do not include 0.95.
    """

    shifts: Block
    law: TailLaw | None


def conformal_level(level: float, count: int) -> float:
    """Return the level to use on ``count`` residuals so that ``level`` holds for a new one.

    >>> round(conformal_level(0.9, 99), 4)
    0.9091
    """
    return min((1 + 1 / count) * level, 1.0)


def knots(horizon: int) -> list[int]:
    """Return the steps ahead at which shifts are found.

    >>> knots(30), knots(1)
    ([1, 2, 4, 8, 16, 30], [1])
    """
    return [2**k for k in range((horizon - 1).bit_length())] + [horizon]


def conformal_shifts(spread: Spread, target: Block, quantile_levels: Sequence[float]) -> Block:
    """Return the shifts, ``(horizon, levels)``, that calibrate ``spread``.

    They are 0 if no residual is known.

    Args:
        spread: forecasts on held-out time.
        target: actual demand, ``(windows, horizon)`` QPS; NaN where unknown.
        quantile_levels: the levels of the spread.
    """
    residual = (target[:, :, None] - spread.centre) / spread.unit[:, None, None]
    horizon = target.shape[1]
    steps = knots(horizon)
    found: dict[int, list[float]] = {}
    for before, step, after in zip(
        [steps[0], *steps], steps, [*steps[1:], steps[-1]], strict=False
    ):
        near = slice(before - 1, after)
        pooled = residual[:, near][np.isfinite(target[:, near])]  # (residuals, levels)
        if len(pooled):
            found[step] = [
                float(np.quantile(pooled[:, k], conformal_level(level, len(pooled))))
                for k, level in enumerate(quantile_levels)
            ]
    if not found:
        return np.zeros(spread.centre.shape[1:], dtype=np.float32)
    place, at = np.log(np.arange(1, horizon + 1)), np.log(list(found))
    columns = [np.interp(place, at, column) for column in zip(*found.values(), strict=True)]
    return np.stack(columns, axis=1).astype(np.float32)


def calibrations(
    items: Sequence[HeldOut], levels: Sequence[float]
) -> tuple[list[Calibration], Calibration]:
    """Return a candidate's calibration for each item, and for items that it does not know.

    Args:
        items: its forecasts on held-out time, at least one of them pooled.
        levels: of these forecasts.
    """
    own = [conformal_shifts(item.spread, item.target, levels) for item in items]
    pooled = [item for item in items if item.pooled]
    common = conformal_shifts(
        Spread(
            np.concatenate([item.spread.centre for item in pooled]),
            np.concatenate([item.spread.unit for item in pooled]),
        ),
        np.concatenate([item.target for item in pooled]),
        levels,
    )
    stretches = [len(np.unique(item.stretch)) for item in items]
    shifts = [
        common + np.float32(count / (count + SHIFT_STRETCHES)) * (mine - common)
        for mine, count in zip(own, stretches, strict=True)
    ]
    if served_levels(levels) == tuple(levels):
        return [Calibration(mine, None) for mine in shifts], Calibration(common, None)
    found = [_evidence(item, mine, levels) for item, mine in zip(items, shifts, strict=True)]
    laws, unknown = shrunk_laws(found, [item.pooled for item in items])
    return [*map(Calibration, shifts, laws)], Calibration(common, unknown)


def _evidence(item: HeldOut, shifts: Block, levels: Sequence[float]) -> Evidence | None:
    """Return what the samples beyond an item's 0.95 quantiles say of its tail."""
    qps, distance = _body(item.spread, shifts, levels.index(MEDIAN), levels.index(TAIL_FROM))
    excess = (item.target - qps[:, :, levels.index(MEDIAN)]) / distance - 1
    beyond = excess > 0  # not where the target is NaN
    stretch = np.broadcast_to(item.stretch[:, None], beyond.shape)
    return evidence(
        excess[beyond].astype(np.float64), stretch[beyond], len(np.unique(item.stretch))
    )


def _body(
    spread: Spread, shifts: Block, median: int, threshold: int
) -> tuple[Block, npt.NDArray[np.float32]]:
    """Return the quantiles up to the threshold, and its distance from the median."""
    unit = spread.unit[:, None, None]
    qps = np.sort((spread.centre + shifts * unit)[:, :, : threshold + 1], axis=2)
    least = np.float32(LEAST_DISTANCE) * unit[:, :, 0]
    return qps, np.maximum(qps[:, :, threshold] - qps[:, :, median], least)


def tail_of(laws: Sequence[TailLaw], levels: Sequence[float]) -> Tail:
    """Return the levels beyond 0.95 of windows with these laws; of all, where it is one law.

    Args:
        laws: by window.
        levels: of the candidate.
    """
    beyond = [level for level in served_levels(levels) if level > TAIL_FROM]
    factors = np.array([[law.factor(level) for level in beyond] for law in laws])
    return Tail(levels.index(MEDIAN), levels.index(TAIL_FROM), factors)


def calibrated(spread: Spread, shifts: Block, tail: Tail | None = None) -> Block:
    """Return the calibrated quantiles, ``(windows, horizon, levels)`` QPS.

    They are >= 0 and do not cross. With a tail the levels are those of `served_levels`.
    """
    if tail is None:
        qps = np.sort(spread.centre + shifts * spread.unit[:, None, None], axis=2)
    else:
        body, distance = _body(spread, shifts, tail.median, tail.threshold)
        factors = tail.factors.astype(np.float32)[:, None, :]
        beyond = body[:, :, tail.median, None] + factors * distance[:, :, None]
        qps = np.concatenate([body, beyond], axis=2)
    return np.asarray(np.maximum(qps, 0), dtype=np.float32)


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
