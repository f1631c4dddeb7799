"""Rolling-origin backtest: all candidates, from the same origins, on time not used in training.

A score "relative to last value" is divided by the pinball loss of the last-value forecaster, which
is calibrated like every other candidate. Scores over items are geometric means of these ratios, so
that large items do not outweigh small ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

import forecaster as api
from forecaster.data.html_tables import figure_text, html_table
from forecaster.data.series import Block, FloatArray, History, Series
from forecaster.errors import HistoryError
from forecaster.evaluation.choice import (
    INCOMPARABLE,
    choose,
    holds_at_peaks,
    hourly_losses,
    relative,
)
from forecaster.evaluation.metrics import pinball_loss
from forecaster.evaluation.origins import backtest_origins
from forecaster.evaluation.outcome import Outcome
from forecaster.evaluation.scores import Score, mean_score, score_of
from forecaster.evaluation.splits import MIN_WINDOWS, Cases, cases_at, item_track
from forecaster.features.timing import Timing
from forecaster.models.candidates import BLEND
from forecaster.models.forecaster import Forecaster
from forecaster.models.lstm_ensemble import LSTM
from forecaster.models.margins import with_margins
from forecaster.models.naive import LAST_VALUE
from forecaster.models.tail import TailLaw

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

SERVED = "served"


@dataclass(frozen=True, eq=False)
class ItemResult:
    """The results of one item.

    Attributes:
        item_id: of the item.
        source: the candidate that serves the item.
        reason: why it was chosen.
        scores: by candidate, and `SERVED`.
        losses: by candidate, and `SERVED`, the mean loss of the origins in each hour, of all
            moments and of the peaks alone, ``(2, hours)``.
        origins: seconds since the epoch, ``(origins,)``.
        actual: actual demand, ``(origins, horizon)`` QPS.
        predicted: quantiles of the candidate that serves, ``(origins, horizon, levels)`` QPS.
        tail: its law beyond the level 0.95, with a standard error; None in models of before.
    """

    item_id: str
    source: str
    reason: str
    scores: Mapping[str, Score]
    losses: Mapping[str, FloatArray] = field(repr=False)
    origins: np.ndarray = field(repr=False)
    actual: Block = field(repr=False)
    predicted: Block = field(repr=False)
    tail: TailLaw | None = None


@dataclass(frozen=True, eq=False)
class Backtest:
    """The results of all items, and the seconds that each candidate took to predict.

    ``left_out`` says of each item without enough origins what would help.
    """

    quantile_levels: tuple[float, ...]
    step_seconds: int
    items: tuple[ItemResult, ...]
    predict_seconds: Mapping[str, float]
    left_out: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def summary(self) -> dict[str, Score]:
        """Mean scores by candidate, and `SERVED`; the mean of ratios is geometric."""
        return {
            name: mean_score([item.scores[name] for item in self.items])
            for name in self.items[0].scores
        }

    @cached_property
    def winner(self) -> tuple[str, str]:
        """Return who should serve, and why: `SERVED`, unless a baseline is clearly better.

        The rule is that of the choice for each item. The LSTM and its blend are no baselines.
        """
        return choose(self._relative_losses, SERVED)

    @property
    def holds_at_peaks(self) -> bool:
        """Whether last value is not clearly better than what is served in the top 5 %."""
        return holds_at_peaks(self._relative_losses, SERVED)

    @cached_property
    def _relative_losses(self) -> dict[str, FloatArray]:
        names = [name for name in self.items[0].losses if name not in {LSTM, BLEND}]
        units = [relative(item.losses) for item in self.items]
        return {name: np.concatenate([unit[name] for unit in units], axis=1) for name in names}

    def findings(self) -> tuple[str, ...]:
        """Return what was found in sentences, the verdict of the champion gate first."""
        return api.backtest_findings(self)

    def to_frame(self) -> pd.DataFrame:
        """Return the scores of each item and candidate; see `backtest_to_frame`."""
        return api.backtest_to_frame(self)

    def plot(self, item_id: str | None = None, step_ahead: int | None = None) -> go.Figure:
        """Return each candidate's error by horizon, or one item's forecasts over what happened."""
        if item_id is None:
            return api.plots.error_by_horizon(self)
        return api.plots.backtest_fan(self, item_id, step_ahead)

    def _repr_html_(self) -> str:
        heads = ("candidate", "relative loss", "at peaks", "CRPS (req/s)", "WAPE")
        rows = [
            (name, *map(figure_text, (s.relative, s.relative_peaks, s.crps, s.wape)))
            for name, s in sorted(self.summary.items(), key=lambda pair: pair[1].relative)
        ]
        return html_table(f"Backtest: the mean of {len(self.items)} items", heads, rows)

    def record(self) -> dict[str, Any]:
        """Return the scores as plain values for JSON."""
        return {
            "quantile_levels": list(self.quantile_levels),
            "step_seconds": self.step_seconds,
            "summary": {
                "relative_pinball": self.summary[SERVED].relative,
                "candidates": {name: score.record() for name, score in self.summary.items()},
                "predict_seconds": dict(self.predict_seconds),
            },
            "items": {
                item.item_id: {
                    "source": item.source,
                    "reason": item.reason,
                    "origins": len(item.origins),
                    "first_origin": int(item.origins[0]),
                    "last_origin": int(item.origins[-1]),
                    "candidates": {name: score.record() for name, score in item.scores.items()},
                    "tail": None if item.tail is None else vars(item.tail),
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

    Origins fall on all minutes of the hour alike (`judged_origins`), the first just before
    ``start``. The default start is the end of the time used for fitting and calibration; for an
    item that the model does not know, its first day and a half.

    Raises:
        HistoryError: the step is not the model's, or every item is too short for a backtest.
    """
    model = forecaster.model
    if history.step != model.step:
        raise HistoryError(f"the history has a step of {history.step}, the model of {model.step}")
    results, seconds = [], dict.fromkeys(forecaster.candidates.names, 0.0)
    left_out: dict[str, str] = {}
    for series in history:
        first = _first_origin(forecaster, series, model.timing, start)
        origins = backtest_origins(series, first, model.timing)
        if len(origins) < MIN_WINDOWS:
            left_out[series.item_id] = _too_few(series, first, len(origins))
            continue
        cases = cases_at(item_track(forecaster.zoned(series), model.timing), origins, model)
        results.append(score_item(forecaster, series, cases, seconds))
        on_item(series.item_id)
    if not results:
        more = f" (and {len(left_out) - 1} more items)" if len(left_out) > 1 else ""
        raise HistoryError(f"{next(iter(left_out.values()))}{more}")
    step_seconds = int(model.step.total_seconds())
    return Backtest(forecaster.quantile_levels, step_seconds, tuple(results), seconds, left_out)


def _first_origin(
    forecaster: Forecaster, series: Series, timing: Timing, start: datetime | None
) -> int:
    """Return the first sample that may be forecast."""
    begin = start or forecaster.item_model(series.item_id).trained_until
    known = int(np.isfinite(series.values).argmax()) + timing.warm_up
    return known if begin is None else max(known, -((series.start - begin) // series.step))


def _too_few(series: Series, first: int, count: int) -> str:
    return (
        f"{series.item_id}: {count} origins lie between {series.start + first * series.step} and "
        f"{series.end}, but a backtest needs {MIN_WINDOWS}; give it later history, or an earlier "
        "start"
    )


def score_item(
    forecaster: Forecaster, series: Series, cases: Cases, seconds: dict[str, float]
) -> ItemResult:
    """Return the scores of all candidates on one item; their run times are added to ``seconds``."""
    item_model, levels = forecaster.item_model(series.item_id), forecaster.quantile_levels
    stamps, target = series.stamps[cases.origins], cases.windows.target
    outcome = Outcome.after(stamps, int(series.step.total_seconds()), target)
    models = [forecaster.item_model(series.item_id, age) for age in cases.windows.age.tolist()]
    predicted: dict[str, Block] = {}
    begin = time.perf_counter()
    for name, spread in forecaster.candidates.spreads(cases.windows, cases.naive):
        predicted[name] = forecaster.calibrated(name, spread, models)
        seconds[name] += time.perf_counter() - begin
        begin = time.perf_counter()
    served = with_margins(predicted[item_model.source], cases.windows, forecaster.model)
    predicted[SERVED] = served
    reference = pinball_loss(target, predicted[LAST_VALUE], levels)
    scores = {
        name: score_of(outcome, quantiles, reference, levels)
        for name, quantiles in predicted.items()
    }
    losses = {
        name: hourly_losses(cases, quantiles, forecaster.model)
        for name, quantiles in predicted.items()
    }
    return ItemResult(
        series.item_id, item_model.source, item_model.reason, scores, losses,
        stamps, target, served, item_model.tails.get(item_model.source),
    )  # fmt: skip


def beats_all(result: Backtest) -> tuple[bool, str]:
    """Return whether a model may become champion, and why: no baseline must be clearly better.

    Nor may last value be at peaks. A baseline that wins an item on the calibration part serves it.
    So the served forecast loses only if that choice was wrong on the test part.
    """
    source, reason = result.winner
    if reason == INCOMPARABLE:
        return False, "nothing to compare: last value made no error, or actual demand is unknown"
    served = f"served {result.summary[SERVED].relative:.3f} of last value's pinball loss"
    if source == SERVED:
        return True, f"{served}; {reason}"
    return False, f"{served}; {source} is {reason}"
