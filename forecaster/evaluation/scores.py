"""The scores of one candidate on one item, and their mean over items."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from forecaster.data.series import Block
from forecaster.evaluation.choice import NEGLIGIBLE_QPS
from forecaster.evaluation.metrics import coverage, crps, geometric_mean, pinball_loss, wape
from forecaster.evaluation.minutes import MinuteCoverage, worst_minute
from forecaster.evaluation.outcome import MINUTE_LEVEL, Outcome, minute_place
from forecaster.models.config import MEDIAN


@dataclass(frozen=True)
class Score:
    """The scores of one candidate on one item.

    Attributes:
        pinball: mean pinball loss in QPS over levels, steps and origins; 0 is perfect.
        relative: pinball loss relative to last value; NaN where last value made no error.
        relative_peaks: the same over the top 5 % of the samples only.
        by_level: relative pinball loss per quantile level.
        by_horizon: relative pinball loss per step ahead.
        coverage: share of samples at or below each level.
        peak_coverage: the same over the top 5 % of the samples only.
        top_coverage: the same over the five highest samples of each UTC day only.
        minute_coverage: share of samples at or below the level 0.95, or the nearest to it, by
            minute of the hour: 60 shares; NaN where no sample is known.
        minute_hours: in how many hours each minute is known: 60 counts; over items, their sum.
        wape: weighted absolute percentage error of the median, as a ratio.
        crps: mean continuous ranked probability score in QPS over steps and origins; 0 is perfect.
    """

    pinball: float
    relative: float
    relative_peaks: float
    by_level: tuple[float, ...]
    by_horizon: tuple[float, ...]
    coverage: tuple[float, ...]
    peak_coverage: tuple[float, ...]
    top_coverage: tuple[float, ...]
    minute_coverage: tuple[float, ...] = field(repr=False)
    minute_hours: tuple[int, ...] = field(repr=False)
    wape: float
    crps: float

    @property
    def worst_minute(self) -> MinuteCoverage | None:
        """The minute of the hour that is covered least; None if nothing is known."""
        return worst_minute(self.minute_coverage, self.minute_hours, MINUTE_LEVEL)

    def record(self) -> dict[str, Any]:
        """Return the scores as plain values for JSON."""
        worst = self.worst_minute
        return {**vars(self), "worst_minute": None if worst is None else asdict(worst)}


def score_of(
    outcome: Outcome, predicted: Block, reference: Block, levels: Sequence[float]
) -> Score:
    """Return the scores of quantiles; ``reference`` is last value's pinball loss."""
    target, peaks, tops = outcome.target, outcome.peaks, outcome.day_tops
    loss = pinball_loss(target, predicted, levels)
    point = predicted[:, :, levels.index(MEDIAN)]
    return Score(
        pinball=_mean(loss),
        relative=_ratio(_mean(loss), _mean(reference)),
        relative_peaks=_ratio(_mean(loss[peaks]), _mean(reference[peaks])),
        by_level=_ratios(loss, reference, (0, 1)),
        by_horizon=_ratios(loss, reference, (0, 2)),
        coverage=tuple(coverage(target, predicted).tolist()),
        peak_coverage=tuple(coverage(target[peaks], predicted[peaks]).tolist()),
        top_coverage=tuple(coverage(target[tops], predicted[tops]).tolist()),
        minute_coverage=outcome.by_minute(target <= predicted[:, :, minute_place(levels)]),
        minute_hours=outcome.hours,
        wape=wape(target, point),
        crps=_mean(crps(target, predicted, levels)),
    )


def _mean(loss: Block) -> float:
    """Return the mean of the known losses; NaN if there is none."""
    return float(np.nanmean(loss, dtype=np.float64)) if np.isfinite(loss).any() else float("nan")


def _ratio(loss: float, reference: float) -> float:
    return loss / reference if reference > NEGLIGIBLE_QPS else float("nan")


def _ratios(loss: Block, reference: Block, axes: tuple[int, int]) -> tuple[float, ...]:
    known = np.isfinite(loss)
    count = np.maximum(known.sum(axis=axes), 1)
    mine, base = (
        np.where(known, x, 0).sum(axis=axes, dtype=np.float64) / count for x in (loss, reference)
    )
    return tuple(_ratio(*pair) for pair in zip(mine.tolist(), base.tolist(), strict=True))


def mean_score(scores: Sequence[Score]) -> Score:
    """Return the mean over items; that of ratios is geometric, and what is unknown left out."""

    def mean(values: Iterable[float]) -> float:
        known = [value for value in values if np.isfinite(value)]
        return float(np.mean(known)) if known else float("nan")

    def each(name: str, how: Callable[[Iterable[float]], float]) -> tuple[float, ...]:
        return tuple(
            how(column) for column in zip(*(getattr(s, name) for s in scores), strict=True)
        )

    return Score(
        pinball=mean(s.pinball for s in scores),
        relative=geometric_mean(s.relative for s in scores),
        relative_peaks=geometric_mean(s.relative_peaks for s in scores),
        by_level=each("by_level", geometric_mean),
        by_horizon=each("by_horizon", geometric_mean),
        coverage=each("coverage", mean),
        peak_coverage=each("peak_coverage", mean),
        top_coverage=each("top_coverage", mean),
        minute_coverage=each("minute_coverage", mean),
        minute_hours=tuple(map(sum, zip(*(s.minute_hours for s in scores), strict=True))),
        wape=mean(s.wape for s in scores),
        crps=mean(s.crps for s in scores),
    )
