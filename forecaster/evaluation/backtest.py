"""Rolling-origin backtest: every candidate from the same origins, on time that none has seen.

A figure "relative to last value" divides by the pinball loss of last value, calibrated like every
other candidate. Figures over items are geometric means of such ratios, so that no item outweighs
another by its size.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np

from forecaster.data.series import Block, History, Series
from forecaster.errors import HistoryError
from forecaster.evaluation.metrics import coverage, geometric_mean, peak_moments, pinball_loss, wape
from forecaster.evaluation.splits import LEAST_WINDOWS, Cases, backtest_origins, cut_cases, track_of
from forecaster.features.anchors import Timing
from forecaster.models.config import MEDIAN
from forecaster.models.conformal import calibrated
from forecaster.models.forecaster import Forecaster
from forecaster.models.lstm_ensemble import LSTM
from forecaster.models.naive import LAST_VALUE

SERVED = "served"
# An error of a request in eleven days is rounding: beside it, no ratio means anything.
NEGLIGIBLE_QPS = 1e-6


@dataclass(frozen=True)
class Score:
    """How one candidate did on one item; ``relative_*`` are to last value.

    Attributes:
        pinball: mean pinball loss in QPS over levels, steps and origins; 0 is perfect.
        relative: the same, relative to last value; NaN where that made no error.
        relative_peaks: the same over the top 5 % moments alone.
        by_level: relative pinball per quantile level.
        by_horizon: relative pinball per step ahead.
        coverage: share of moments at or below each level.
        peak_coverage: the same over the top 5 % moments alone.
        wape: of the median, as a ratio.
    """

    pinball: float
    relative: float
    relative_peaks: float
    by_level: tuple[float, ...]
    by_horizon: tuple[float, ...]
    coverage: tuple[float, ...]
    peak_coverage: tuple[float, ...]
    wape: float


@dataclass(frozen=True, eq=False)
class ItemResult:
    """One item's scores, and one candidate's quantiles beside what happened, for the plots.

    ``origins`` are stamps (seconds); ``actual`` is ``(origins, horizon)`` and ``predicted``
    ``(origins, horizon, levels)`` QPS of the candidate that serves the item.
    """

    item_id: str
    source: str
    reason: str
    scores: Mapping[str, Score]
    origins: np.ndarray = field(repr=False)
    actual: Block = field(repr=False)
    predicted: Block = field(repr=False)


@dataclass(frozen=True, eq=False)
class Backtest:
    """The results of all items, with the seconds each candidate took to predict them."""

    quantile_levels: tuple[float, ...]
    step_seconds: int
    items: tuple[ItemResult, ...]
    predict_seconds: Mapping[str, float]

    @cached_property
    def summary(self) -> dict[str, Score]:
        """One score per candidate, and `SERVED`: geometric means of ratios, means of the rest."""
        return {
            name: _mean_score([item.scores[name] for item in self.items])
            for name in self.items[0].scores
        }

    def record(self) -> dict[str, Any]:
        """Return the scores as plain values for JSON."""
        return {
            "quantile_levels": list(self.quantile_levels),
            "step_seconds": self.step_seconds,
            "summary": {
                "relative_pinball": self.summary[SERVED].relative,
                "candidates": {name: vars(score) for name, score in self.summary.items()},
                "predict_seconds": dict(self.predict_seconds),
            },
            "items": {
                item.item_id: {
                    "source": item.source,
                    "reason": item.reason,
                    "origins": len(item.origins),
                    "first_origin": int(item.origins[0]),
                    "last_origin": int(item.origins[-1]),
                    "candidates": {name: vars(score) for name, score in item.scores.items()},
                }
                for item in self.items
            },
        }


def backtest(
    forecaster: Forecaster,
    history: History,
    *,
    start: datetime | None = None,
    on_item: Callable[[str], None] = lambda _: None,
) -> Backtest:
    """Return the rolling-origin backtest of every candidate on every item.

    Origins are 15 minutes apart, from the moment that neither fitting nor calibration has seen, or
    from ``start``; for an item the model does not know, from its first day and a half on.

    Raises:
        HistoryError: the step is not the model's, or an item is too short for a backtest.
    """
    model = forecaster.model
    if history.step != model.step:
        raise HistoryError(f"the history has a step of {history.step}, the model of {model.step}")
    results, seconds = [], dict.fromkeys(forecaster.candidates.names, 0.0)
    for series in history:
        origins = _origins(forecaster, series, model.timing, start)
        cases = cut_cases(track_of(series, model.timing), origins, model)
        results.append(score_item(forecaster, series, cases, seconds))
        on_item(series.item_id)
    step_seconds = int(model.step.total_seconds())
    return Backtest(model.quantile_levels, step_seconds, tuple(results), seconds)


def _origins(
    forecaster: Forecaster, series: Series, timing: Timing, start: datetime | None
) -> np.ndarray:
    begin = start or forecaster.service(series.item_id).trained_until
    first = timing.warm_up
    if begin is not None:
        first = max(first, -((series.start - begin) // series.step))
    origins = backtest_origins(series, first, timing)
    if len(origins) < LEAST_WINDOWS:
        raise HistoryError(
            f"{series.item_id}: {len(origins)} origins lie between "
            f"{series.start + first * series.step} and {series.end}, but a backtest needs "
            f"{LEAST_WINDOWS}; give it later history, or an earlier start"
        )
    return origins


def score_item(
    forecaster: Forecaster, series: Series, cases: Cases, seconds: dict[str, float]
) -> ItemResult:
    """Return the scores of every candidate on one item; adds to ``seconds`` what each took."""
    service, levels = forecaster.service(series.item_id), forecaster.model.quantile_levels
    target = cases.windows.target
    predicted: dict[str, Block] = {}
    for name in forecaster.candidates.names:
        begin = time.perf_counter()
        spread = forecaster.candidates.spread(name, cases.windows, cases.naive)
        predicted[name] = calibrated(spread, service.shifts[name])
        seconds[name] += time.perf_counter() - begin
    reference = pinball_loss(target, predicted[LAST_VALUE], levels)
    scores = {
        name: _score(target, quantiles, reference, levels) for name, quantiles in predicted.items()
    }
    scores[SERVED] = scores[service.source]
    return ItemResult(
        series.item_id, service.source, service.reason, scores,
        series.stamps[cases.origins], target, predicted[service.source],
    )  # fmt: skip


def _score(target: Block, predicted: Block, reference: Block, levels: Sequence[float]) -> Score:
    loss = pinball_loss(target, predicted, levels)
    peaks = peak_moments(target)
    point = predicted[:, :, levels.index(MEDIAN)]
    return Score(
        pinball=_mean(loss),
        relative=_ratio(_mean(loss), _mean(reference)),
        relative_peaks=_ratio(_mean(loss[peaks]), _mean(reference[peaks])),
        by_level=_ratios(loss, reference, (0, 1)),
        by_horizon=_ratios(loss, reference, (0, 2)),
        coverage=tuple(coverage(target, predicted).tolist()),
        peak_coverage=tuple(coverage(target[peaks], predicted[peaks]).tolist()),
        wape=wape(target, point),
    )


def _mean(loss: Block) -> float:
    """Return the mean of what is known; NaN of nothing."""
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


def _mean_score(scores: Sequence[Score]) -> Score:
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
        wape=mean(s.wape for s in scores),
    )


def beats_all(summary: Mapping[str, Score]) -> tuple[bool, str]:
    """Return whether what is served may be champion, and why: it must not lose to any baseline.

    Where a baseline wins an item, it serves it; so the served forecast loses only when the choice
    made on the calibration part did not hold on the test part.
    """
    served = summary[SERVED].relative
    rivals = {
        name: score.relative
        for name, score in summary.items()
        if name not in {SERVED, LSTM} and np.isfinite(score.relative)
    }
    if not rivals or not np.isfinite(served):
        return False, "nothing to compare: last value made no error, or what happened is unknown"
    best = min(rivals, key=lambda name: rivals[name])
    verdict = f"served {served:.3f} of last value's pinball loss, best baseline {best} "
    return bool(served <= rivals[best]), verdict + f"{rivals[best]:.3f}"
