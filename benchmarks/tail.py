"""The tail of the forecast: whether it is as calm, and as right, as asked.

The forecaster is trained and calibrated on the first three quarters of each one-minute trace, and
what it serves in the last quarter is compared with the same forecasts under plain conformal
calibration: for each item, level and step the quantile of the residuals of the steps around it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.accuracy import CONFIG, QUICK, fit, third_quarter
from benchmarks.tables import markdown
from benchmarks.traces import ONE_MINUTE, load
from forecaster.data.series import Block, FloatArray, History
from forecaster.evaluation.metrics import coverage, geometric_mean, pinball_loss
from forecaster.evaluation.selection import Fitted
from forecaster.evaluation.splits import cases_at, item_track
from forecaster.features.windows import origins_between
from forecaster.models.config import MEDIAN, TrainConfig
from forecaster.models.conformal import calibrated, conformal_level
from forecaster.models.margins import with_margins
from forecaster.models.naive import Spread

# Traces whose tails were far wider than what then happened.
WIDE = ("ms_mongo02", "ms_ingress01", "ms_ingress04", "wc98")
STRIDE = 7  # origins on all minutes of the hour equally often
POOLED_STEPS = 3  # of plain calibration, on either side
LEVELS = CONFIG.model.served_levels
HEADS = len(CONFIG.model.quantile_levels)
MIDDLE, AT_95, AT_99, AT_999 = (LEVELS.index(q) for q in (MEDIAN, 0.95, 0.99, 0.999))


@dataclass(frozen=True, eq=False)
class TailOutcome:
    """What is served of one trace, the same under plain calibration, and what came."""

    target: Block
    served: Block
    plain: Block

    @property
    def widths(self) -> FloatArray:
        """Mean distance of each level from the median, ``(horizon, levels)`` QPS."""
        width = self.served - self.served[:, :, MIDDLE, None]
        return np.asarray(width.mean(axis=0, dtype=np.float64))

    def growth(self, low: int, high: int) -> float:
        """Return how much wider one level is than another."""
        mean = self.widths.mean(axis=0)
        return float(mean[high] / mean[low])

    @property
    def jump(self) -> float:
        """Largest ratio of the widths of neighbouring steps, over all levels above the median."""
        ratio = self.widths[1:, MIDDLE + 1 :] / self.widths[:-1, MIDDLE + 1 :]
        return float(np.maximum(ratio, 1 / ratio).max())

    @property
    def loss(self) -> float:
        """Mean pinball loss at the levels of the candidates, relative to plain calibration."""
        served, plain = (
            np.nanmean(pinball_loss(self.target, x[:, :, :HEADS], LEVELS[:HEADS]))
            for x in (self.served, self.plain)
        )
        return float(served / plain)


def tail(traces: Path, quick: bool) -> None:
    """Train on the one-minute traces, and print the figures of the tail."""
    history, config = load(traces, ONE_MINUTE), QUICK if quick else CONFIG
    print_tail(fit(history, config), history, config)


def print_tail(fitted: Fitted, history: History, config: TrainConfig) -> None:
    """Print coverage, width, smoothness and loss of what is served; asked and measured."""
    found = outcomes(fitted, history, config)
    print(f"\n## The tail ({config.members} LSTMs, origins every {STRIDE} minutes)\n")
    print(markdown(("asked", "measured"), asked_and_measured(found)))
    print("\n### By trace\n")
    columns = ("trace", "cov 0.9", "cov 0.95", "cov 0.99", "cov 0.999", "width 0.99 / 0.95",
               "width 0.999 / 0.99", "largest jump", "loss / plain")  # fmt: skip
    print(markdown(columns, _by_trace(found)))


def outcomes(fitted: Fitted, history: History, config: TrainConfig) -> dict[str, TailOutcome]:
    """Return what is served in the last quarter of each trace, by name."""
    found, model = {}, config.model
    for part in fitted.parts.items:
        series, item = history[part.item_id], fitted.forecaster.item_model(part.item_id)
        first = third_quarter(series, config)
        origins = origins_between(first, len(series), model.timing, STRIDE)
        cases = cases_at(item_track(fitted.forecaster.zoned(series), model.timing), origins, model)
        before, now = (
            fitted.forecaster.candidates.spread(item.source, x.windows, x.naive)
            for x in (part.calibration, cases)
        )
        served, plain = (
            with_margins(quantiles, cases.windows, model)
            for quantiles in (
                item.calibrated(item.source, now, model.quantile_levels),
                calibrated(now, plain_shifts(before, part.calibration.windows.target)),
            )
        )
        found[part.item_id] = TailOutcome(cases.windows.target, served, plain)
    return found


def plain_shifts(spread: Spread, target: Block) -> Block:
    """Return the shifts, ``(horizon, levels)``, of the residuals of `POOLED_STEPS` around each."""
    residual = (target[:, :, None] - spread.centre) / spread.unit[:, None, None]
    shifts = np.zeros(spread.centre.shape[1:], dtype=np.float32)
    for step in range(len(shifts)):
        near = slice(max(step - POOLED_STEPS, 0), step + POOLED_STEPS + 1)
        pooled = residual[:, near][np.isfinite(target[:, near])]
        for k, level in enumerate(LEVELS[:HEADS]):
            shifts[step, k] = np.quantile(pooled[:, k], conformal_level(level, len(pooled)))
    return shifts


def asked_and_measured(found: Mapping[str, TailOutcome]) -> list[tuple[str, str]]:
    """Return each bar in words, and what was measured."""
    target = np.concatenate([one.target.ravel() for one in found.values()])
    served = np.concatenate([one.served.reshape(-1, len(LEVELS)) for one in found.values()])
    pooled = coverage(target, served)[MIDDLE + 1 :]
    mean = np.mean([coverage(one.target, one.served) for one in found.values()], axis=0)
    wide = [found[name] for name in WIDE if name in found]
    worst = max(found, key=lambda name: found[name].jump)
    return [
        ("coverage within 1 point at 0.9, 0.95, 0.99 (all samples)", _list(pooled[:3])),
        ("0.999 covered .997 - .9997 (all samples)", _list(pooled[3:])),
        ("the same as the mean of traces", _list(mean[MIDDLE + 1 :])),
        (f"width at 0.99 <= 2.2 x 0.95 on {', '.join(WIDE)}",
         _list([one.growth(AT_95, AT_99) for one in wide], 2)),
        ("width at 0.999 <= 1.6 x 0.99 on the same",
         _list([one.growth(AT_99, AT_999) for one in wide], 2)),
        ("loss <= plain conformal calibration's",
         f"{geometric_mean(one.loss for one in found.values()):.4f} of it"),
        ("no jump between neighbouring steps",
         f"at most a factor of {found[worst].jump:.2f} ({worst})"),
    ]  # fmt: skip


def _by_trace(found: Mapping[str, TailOutcome]) -> list[tuple[object, ...]]:
    return [
        (
            name,
            *(f"{share:.4f}" for share in coverage(one.target, one.served)[MIDDLE + 1 :]),
            one.growth(AT_95, AT_99),
            one.growth(AT_99, AT_999),
            one.jump,
            one.loss,
        )
        for name, one in found.items()
    ]


def _list(values: Sequence[float] | FloatArray, digits: int = 4) -> str:
    return ", ".join(f"{value:.{digits}f}" for value in values)
