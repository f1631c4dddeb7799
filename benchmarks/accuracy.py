"""Accuracy on recorded traffic: the forecasters, how they are trained, and their figures.

All figures are of the last quarter of each trace, which neither fitting nor calibration nor the
choice of who serves has seen; origins fall on all minutes of the hour alike. Each forecaster is
calibrated in the same way, on the tenth before it, in units of its own recent error. The one
denominator is last value, calibrated so, at the same moments; ratios are pooled over traces by
their geometric mean, shares by their arithmetic one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np

from forecaster.data.series import Block, History, Series
from forecaster.evaluation.metrics import coverage, pinball_loss
from forecaster.evaluation.origins import backtest_origins
from forecaster.evaluation.outcome import Outcome, minute_place
from forecaster.evaluation.selection import Fitted, train
from forecaster.evaluation.splits import Cases, boundaries, cases_at, item_track, lifetime
from forecaster.features.timing import Timing
from forecaster.features.track import Indices
from forecaster.models.candidate import EpochReport
from forecaster.models.config import ModelConfig, TrainConfig
from forecaster.models.conformal import calibrated, conformal_shifts
from forecaster.models.lstm_ensemble import LSTM, Ensemble
from forecaster.models.margins import with_margins
from forecaster.models.naive import LAST_VALUE, Naive, Spread
from forecaster.models.tabular import BOOSTING

CONFIG = TrainConfig(calibration_share=0.1, test_share=0.25, device="cpu")
# One network and a seventh of the gradient steps, on half of the windows.
QUICK = replace(CONFIG, members=1, epochs=3, max_windows=20_000)
COARSE = ModelConfig(step=timedelta(minutes=5), context_length=24, prediction_length=6)
BLEND, ONE_LSTM, SERVED = "anchors' blend", "one LSTM", "served"
BEST_KNOWN = "LSTMs + boosting, equally"
# The known table that these figures are compared with leaves the lowest level, 0.1, out.
UPPER = slice(1, None)


@dataclass(frozen=True)
class Figures:
    """One forecaster on one trace; relative to last value, coverage at 0.9, 0.95 and 0.99.

    Attributes:
        loss: mean pinball loss in QPS.
        tops: coverage of the five highest samples of each day.
        by_minute: coverage at 0.95 by minute of the hour, and in ``hours`` how often it was seen.
    """

    loss: float
    relative: float
    peaks: float
    coverage: tuple[float, ...]
    tops: tuple[float, ...]
    by_minute: tuple[float, ...]
    hours: tuple[int, ...]

    @classmethod
    def of(cls, outcome: Outcome, predicted: Block, reference: Block) -> Figures:
        levels, target, tops = CONFIG.model.quantile_levels, outcome.target, outcome.day_tops
        loss, base = (pinball_loss(target, x, levels) for x in (predicted, reference))

        def ratio(where: np.ndarray) -> float:
            return float(loss[where][:, UPPER].mean() / base[where][:, UPPER].mean())

        known, peaks = np.isfinite(target), outcome.peaks
        return cls(
            float(loss[known][:, UPPER].mean()),
            ratio(known),
            ratio(peaks),
            tuple(coverage(target, predicted)[2:].tolist()),
            tuple(coverage(target[tops], predicted[tops])[2:].tolist()),
            outcome.by_minute(target <= predicted[:, :, minute_place(levels)]),
            outcome.hours,
        )


Measured = dict[str, dict[str, Figures]]  # by forecaster and trace
Grid = Callable[[Series, int, Timing], Indices]  # origins from which samples from one on are judged


def third_quarter(series: Series, config: TrainConfig) -> int:
    """Return the first sample that is tested: no figure may rest on having seen it or a later."""
    return boundaries(len(series), config)[1]


def fit(history: History, config: TrainConfig) -> Fitted:
    """Return what is trained on the first three quarters of each trace.

    Raises:
        AssertionError: something fitted, stopped early, calibrated or chosen has seen the rest.
    """
    fitted = train(history, config, report=say)
    for part in fitted.parts.items:
        series = history[part.item_id]
        life = lifetime(series)
        offset = (life.start - series.start) // life.step
        seen = offset + int(part.calibration.origins[-1]) + 1 + config.model.prediction_length
        if seen > third_quarter(series, config):
            raise AssertionError(f"{part.item_id}: {seen} samples are seen before the test")
    return fitted


def measure(
    fitted: Fitted, history: History, config: TrainConfig, grid: Grid = backtest_origins
) -> Measured:
    """Return the figures of every forecaster and step of ours, by name and trace."""
    figures: Measured = {}
    for part in fitted.parts.items:
        series, timing = history[part.item_id], config.model.timing
        origins = grid(series, third_quarter(series, config), timing)
        test = cases_at(item_track(series, timing), origins, config.model)
        service = fitted.forecaster.item_model(part.item_id)
        predicted, levels = {}, config.model.quantile_levels
        before, now = (_spreads(fitted, cases) for cases in (part.calibration, test))
        for name, spread in now.items():
            shifts = conformal_shifts(before[name], part.calibration.windows.target, levels)
            predicted[name] = calibrated(spread, shifts)
        served = service.calibrated(service.source, now[service.source], levels)
        predicted[SERVED] = with_margins(served[:, :, : len(levels)], test.windows, config.model)
        print(f"{part.item_id}: {service.source} serves ({service.reason})", file=sys.stderr)
        outcome = _outcome(series, test)
        for name, quantiles in predicted.items():
            found = Figures.of(outcome, quantiles, predicted[LAST_VALUE])
            figures.setdefault(name, {})[part.item_id] = found
    return figures


def _outcome(series: Series, test: Cases) -> Outcome:
    step = int(series.step.total_seconds())
    return Outcome.after(series.stamps[test.origins], step, test.windows.target)


def _spreads(fitted: Fitted, cases: Cases) -> dict[str, Spread]:
    """Return what each says, by name: the candidates and the steps that lead to ours."""
    candidates = fitted.forecaster.candidates
    ensemble = candidates.learned[LSTM]
    assert isinstance(ensemble, Ensemble)
    found = dict(candidates.spreads(cases.windows, cases.naive))
    mean = np.mean([found[name].centre for name in (LSTM, BOOSTING)], axis=0)
    single = Ensemble(candidates.model, ensemble.networks[:1])
    anchors = Naive(cases.windows.blend, cases.windows.scale)
    return {
        **found,
        BEST_KNOWN: Spread(mean, found[LSTM].unit),
        BLEND: anchors.spread(len(candidates.model.quantile_levels)),
        ONE_LSTM: single.predict(cases.windows),
    }


def say(done: EpochReport) -> None:
    """Print how far a training is."""
    print(done, file=sys.stderr, flush=True)
