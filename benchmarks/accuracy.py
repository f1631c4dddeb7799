"""Accuracy on recorded traffic: what each step bought, coverage, peaks, coarse steps, new services.

All figures are of the last quarter of each trace, which neither fitting nor calibration nor the
choice of who serves has seen; origins fall on every quarter of an hour. Each forecaster is
calibrated in the same way, on the tenth before it, in units of its own recent error.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import numpy as np

from benchmarks.tables import markdown
from benchmarks.traces import FIVE_MINUTES, ONE_MINUTE, load
from forecaster.data.series import Block, History
from forecaster.evaluation.metrics import coverage, geometric_mean, is_peak, pinball_loss
from forecaster.evaluation.selection import Fitted, train
from forecaster.evaluation.splits import Cases, backtest_origins, boundaries, cases_at, item_track
from forecaster.models.candidate import EpochReport
from forecaster.models.candidates import CANDIDATES
from forecaster.models.config import ModelConfig, TrainConfig
from forecaster.models.conformal import calibrated, conformal_shifts
from forecaster.models.lstm_ensemble import LSTM, Ensemble
from forecaster.models.naive import HOLT_WINTERS, LAST_VALUE, Spread

CONFIG = TrainConfig(calibration_share=0.1, test_share=0.25, device="cpu")
COARSE = ModelConfig(step=timedelta(minutes=5), context_length=24, prediction_length=6)
BLEND, ONE_LSTM, SERVED = "anchors' blend", "one LSTM", "served"
# The known table that these figures are compared with leaves the lowest level, 0.1, out.
UPPER = slice(1, None)
COLUMNS = ("forecaster", "relative pinball", "with level 0.1", "at peaks", "cov 0.9", "cov 0.95",
           "cov 0.99", "0.95 at peaks")  # fmt: skip


@dataclass(frozen=True)
class Figures:
    """One forecaster on one trace; relative to last value, coverage at 0.9, 0.95 and 0.99."""

    relative: float
    five_levels: float
    peaks: float
    coverage: tuple[float, ...]
    peak_coverage: float

    @classmethod
    def of(cls, target: Block, predicted: Block, reference: Block) -> Figures:
        levels = CONFIG.model.quantile_levels
        loss, base = (pinball_loss(target, x, levels) for x in (predicted, reference))
        peaks = is_peak(target)

        def ratio(where: np.ndarray, which: slice) -> float:
            return float(loss[where][:, which].mean() / base[where][:, which].mean())

        known = np.isfinite(target)
        return cls(
            ratio(known, UPPER),
            ratio(known, slice(None)),
            ratio(peaks, UPPER),
            tuple(coverage(target, predicted)[2:].tolist()),
            float(coverage(target[peaks], predicted[peaks])[3]),
        )


def one_minute(traces: Path) -> None:
    """Ten one-minute traces, 1 to 30 minutes ahead, one global model."""
    history = load(traces, ONE_MINUTE)
    fitted = train(history, CONFIG, report=_say)
    _print(f"One-minute traces ({fitted.config.members} LSTMs)", _measure(fitted, history, CONFIG))


def coarse(traces: Path) -> None:
    """Ten five-minute traces, 5 to 30 minutes ahead, one global model."""
    history = load(traces, FIVE_MINUTES)
    config = replace(CONFIG, model=COARSE)
    _print(
        "Five-minute traces",
        _measure(train(history, config, report=_say), history, config),
    )


def unseen(traces: Path) -> None:
    """Each one-minute trace by a model that has seen only the other nine."""
    history = load(traces, ONE_MINUTE)
    config = replace(CONFIG, members=1)
    rows: list[tuple[str, float, float, float]] = []
    for left_out in history:
        others = History(tuple(s for s in history if s.item_id != left_out.item_id))
        forecaster = train(others, config).forecaster
        origins = backtest_origins(
            left_out, boundaries(len(left_out), config)[1], config.model.timing
        )
        cases = cases_at(item_track(left_out, config.model.timing), origins, config.model)
        shifts = forecaster.default_model.shifts
        predicted = {
            name: calibrated(
                forecaster.candidates.spread(name, cases.windows, cases.naive), shifts[name]
            )
            for name in (LAST_VALUE, HOLT_WINTERS, LSTM)
        }
        target = cases.windows.target
        lstm, smooth = (
            Figures.of(target, predicted[name], predicted[LAST_VALUE])
            for name in (LSTM, HOLT_WINTERS)
        )
        rows.append(
            (left_out.item_id, lstm.relative, smooth.relative, 1 - lstm.relative / smooth.relative)
        )
        print(rows[-1], file=sys.stderr, flush=True)
    lstm_mean, smooth_mean = (
        geometric_mean(ratios) for ratios in list(zip(*rows, strict=True))[1:3]
    )
    rows.append(("geometric mean", lstm_mean, smooth_mean, 1 - lstm_mean / smooth_mean))
    print(
        "\n## A service the model has never seen (one LSTM, calibration pooled over the others)\n"
    )
    print(markdown(("trace", "LSTM", "Holt-Winters, 1 day", "better by"), rows))


def _measure(
    fitted: Fitted, history: History, config: TrainConfig
) -> dict[str, dict[str, Figures]]:
    """Return the figures of every forecaster and step of ours, by name and trace."""
    figures: dict[str, dict[str, Figures]] = {}
    for part in fitted.parts.items:
        series = history[part.item_id]
        timing = config.model.timing
        origins = backtest_origins(series, boundaries(len(series), config)[1], timing)
        test = cases_at(item_track(series, timing), origins, config.model)
        service = fitted.forecaster.item_model(part.item_id)
        predicted, levels = {}, config.model.quantile_levels
        forecasters = _forecasters(fitted)
        for name, say in forecasters.items():
            happened = part.calibration.windows.target
            shifts = conformal_shifts(say(part.calibration), happened, levels)
            predicted[name] = calibrated(say(test), shifts)
        served = service.calibrated(service.source, forecasters[service.source](test), levels)
        predicted[SERVED] = served[:, :, : len(levels)]
        print(f"{part.item_id}: {service.source} serves ({service.reason})", file=sys.stderr)
        for name, quantiles in predicted.items():
            found = Figures.of(test.windows.target, quantiles, predicted[LAST_VALUE])
            figures.setdefault(name, {})[part.item_id] = found
    return figures


def _forecasters(fitted: Fitted) -> dict[str, Callable[[Cases], Spread]]:
    """Return what each says, by name: the candidates and the steps that lead to ours."""
    candidates = fitted.forecaster.candidates
    ensemble = candidates.learned[LSTM]
    assert isinstance(ensemble, Ensemble)
    single = Ensemble(candidates.model, ensemble.networks[:1])
    levels = len(candidates.model.quantile_levels)

    def blend(cases: Cases) -> Spread:
        path = np.repeat(cases.windows.blend[:, :, None], levels, axis=2)
        return Spread(path, cases.windows.scale)

    def candidate(name: str) -> Callable[[Cases], Spread]:
        return lambda cases: candidates.spread(name, cases.windows, cases.naive)

    return {
        **{name: candidate(name) for name in CANDIDATES},
        BLEND: blend,
        ONE_LSTM: lambda cases: single.predict(cases.windows),
    }


def _print(title: str, figures: Mapping[str, Mapping[str, Figures]]) -> None:
    print(f"\n## {title}\n")
    order = sorted(
        figures, key=lambda name: -geometric_mean(f.relative for f in figures[name].values())
    )
    rows = []
    for name in order:
        found = list(figures[name].values())
        ratios = [
            geometric_mean(getattr(f, key) for f in found)
            for key in ("relative", "five_levels", "peaks")
        ]
        covered = np.mean([f.coverage for f in found], axis=0).tolist()
        rows.append((name, *ratios, *covered, float(np.mean([f.peak_coverage for f in found]))))
    print(markdown(COLUMNS, rows))
    print(
        "\n### By trace: relative pinball; coverage at 0.9 and of peaks at 0.95 of what is served\n"
    )
    names = [name for name in order if name not in {LAST_VALUE, "seasonal_day", "seasonal_week"}]
    by_trace = [
        (
            trace,
            *(figures[name][trace].relative for name in names),
            served.coverage[0],
            served.peak_coverage,
        )
        for trace, served in figures[SERVED].items()
    ]
    print(markdown(("trace", *names, "cov 0.9", "peaks 0.95"), by_trace))


def _say(done: EpochReport) -> None:
    print(
        f"member {done.member + 1}/{done.members} epoch {done.epoch} loss {done.loss:.4f} "
        f"calibration {done.calibration_loss:.4f} {done.seconds:.0f} s",
        file=sys.stderr, flush=True,
    )  # fmt: skip
