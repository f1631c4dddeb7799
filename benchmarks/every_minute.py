"""What the quarter hours hide: accuracy at every minute of the hour, beside the grid used before.

The backtest stood at :00, :15, :30 and :45. Jobs start there, so that last value, by which every
loss is divided, is at its worst; and of a job at another minute it saw nothing one step ahead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.accuracy import (
    COARSE,
    CONFIG,
    QUICK,
    SERVED,
    Figures,
    Measured,
    fit,
    measure,
)
from benchmarks.memory import print_echoes, print_jobs
from benchmarks.tables import markdown
from benchmarks.tail import print_tail
from benchmarks.traces import FIVE_MINUTES, ONE_MINUTE, load
from forecaster.data.series import History, Series
from forecaster.evaluation.metrics import geometric_mean
from forecaster.evaluation.minutes import worst_minute
from forecaster.evaluation.outcome import MINUTE_LEVEL
from forecaster.evaluation.selection import Fitted
from forecaster.features.timing import Timing
from forecaster.features.track import Indices
from forecaster.features.windows import origins_between
from forecaster.models.config import TrainConfig
from forecaster.models.naive import LAST_VALUE


def accuracy(traces: Path, quick: bool) -> None:
    """Both grids side by side, the tail and the memory of one model of the one-minute traces."""
    config = QUICK if quick else CONFIG
    kind = " (quick: one LSTM, fitted shortly)" if quick else ""
    history = load(traces, ONE_MINUTE)
    fitted = fit(history, config)
    compare(f"One-minute traces, at every minute{kind}", fitted, history, config)
    print_tail(fitted, history, config)
    print_jobs(fitted.forecaster, history)
    print_echoes(fitted.forecaster, history)
    history, config = load(traces, FIVE_MINUTES), replace(config, model=COARSE)
    compare(f"Five-minute traces, at every minute{kind}", fit(history, config), history, config)


def compare(title: str, fitted: Fitted, history: History, config: TrainConfig) -> None:
    """Print the figures of both grids."""
    old = measure(fitted, history, config, quarter_hours)
    new = measure(fitted, history, config)
    print(f"\n## {title}\n")
    print(_side_by_side(old, new))
    print("\n### Trace by trace: what is served, and what last value loses\n")
    print(_by_trace(old, new))
    print("\n### Covered of each minute of the hour, at 0.95\n")
    print(_by_minute(new))
    print("\n### Covered of each day's five highest samples\n")
    print(_day_tops(new))


def quarter_hours(series: Series, first: int, timing: Timing) -> Indices:
    """Return the origins of the backtest before: from ``first`` on, at :00, :15, :30 and :45."""
    stride = max(timing.samples(15), 1)
    start = int(series.start.timestamp()) // int(timing.step.total_seconds())
    return origins_between(first, len(series), timing, stride, phase=-start % stride)


def _side_by_side(old: Measured, new: Measured) -> str:
    columns = ("forecaster", "quarter hours", "every minute", "at peaks, quarter hours",
               "at peaks, every minute", "cov 0.9", "cov 0.95", "cov 0.99")  # fmt: skip
    rows = []
    for name in sorted(new, key=lambda one: -_pooled(new[one], lambda f: f.relative)):
        ratios = [
            _pooled(grid[name], how)
            for how in (lambda f: f.relative, lambda f: f.peaks)
            for grid in (old, new)
        ]
        rows.append((name, *ratios, *_mean(new[name], lambda f: f.coverage)))
    return markdown(columns, rows)


def _by_trace(old: Measured, new: Measured) -> str:
    """Return the losses of each trace; the last column is why the two grids differ."""
    columns = ("trace", "served, quarter hours", "served, every minute", "at peaks",
               "last value's loss on the quarter hours, of that at every minute")  # fmt: skip
    rows = [
        (
            trace,
            old[SERVED][trace].relative,
            found.relative,
            found.peaks,
            old[LAST_VALUE][trace].loss / new[LAST_VALUE][trace].loss,
        )
        for trace, found in new[SERVED].items()
    ]
    means = [geometric_mean(column) for column in list(zip(*rows, strict=True))[1:]]
    return markdown(columns, [*rows, ("geometric mean", *means)])


def _by_minute(new: Measured) -> str:
    columns = ("trace", "lowest", "median", "highest", "least covered", "hours")
    rows = []
    for trace, found in new[SERVED].items():
        seen = [share for share in found.by_minute if np.isfinite(share)]
        worst = worst_minute(found.by_minute, found.hours, MINUTE_LEVEL)
        assert worst is not None
        three = (min(seen), float(np.median(seen)), max(seen))
        rows.append((trace, *three, f":{worst.minute:02d}", worst.hours))
    return markdown(columns, rows)


def _day_tops(new: Measured) -> str:
    columns = ("forecaster", "0.9", "0.95", "0.99")
    rows = [(name, *_mean(new[name], lambda f: f.tops)) for name in (LAST_VALUE, SERVED)]
    return markdown(columns, rows)


def _pooled(figures: Mapping[str, Figures], how: Callable[[Figures], float]) -> float:
    return geometric_mean(how(found) for found in figures.values())


def _mean(
    figures: Mapping[str, Figures], how: Callable[[Figures], tuple[float, ...]]
) -> list[float]:
    means: list[float] = np.mean([how(found) for found in figures.values()], axis=0).tolist()
    return means
