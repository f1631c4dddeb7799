"""What the forecast remembers: jobs that have just begun, on recorded traffic.

A job of two minutes is added to the last quarter of each trace, which fitting and calibration have
not seen, each hour, day or week; its height is half or one and a half of the trace's mean, give or
take 10 %. It is looked at from 2, 10 and 20 minutes before, from the occurrence on from which it is
expected.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.accuracy import CONFIG, fit
from benchmarks.tables import markdown
from benchmarks.traces import ONE_MINUTE, load
from forecaster.data.series import Block, FloatArray, History, Series
from forecaster.evaluation.metrics import pinball_loss
from forecaster.evaluation.splits import boundaries, cases_at, item_track
from forecaster.features.track import Indices
from forecaster.models.forecaster import Forecaster
from forecaster.models.margins import with_shocks

LEVEL = CONFIG.model.quantile_levels.index(0.95)
LENGTH = 2
AHEAD = (2, 10, 20)
SPREAD = 0.1
# Name, period in minutes, and the occurrence from which the job is expected.
JOBS = (("hourly", 60, 4), ("daily", 1440, 3), ("weekly", 7 * 1440, 2))
HEIGHTS = (0.5, 1.5)
ECHOES = 12  # hours of each trace in which an outage may come again
MOST = 200  # occurrences that are looked at


@dataclass(frozen=True, eq=False)
class Pair:
    """Quantiles without room for recurring shocks and with it, and what came."""

    without: Block
    served: Block
    target: Block

    @classmethod
    def of(cls, forecaster: Forecaster, series: Series, origins: Indices) -> Pair:
        """Return both from each of ``origins``."""
        model, item = forecaster.model, forecaster.item_model(series.item_id)
        cases = cases_at(item_track(series, model.timing), origins, model)
        spread = forecaster.candidates.spread(item.source, cases.windows, cases.naive)
        without = item.calibrated(item.source, spread, model.quantile_levels)
        served = with_shocks(without, cases.windows, model)
        return cls(without, served, cases.windows.target)

    def covered(self, ahead: int) -> list[FloatArray]:
        """Return where the level 0.95 covers the minutes of a job ``ahead`` minutes after."""
        at = slice(ahead - 1, ahead - 1 + LENGTH)
        return [self.target[:, at] <= q[:, at, LEVEL] for q in (self.without, self.served)]


def jobs(traces: Path) -> None:
    """Train on the one-minute traces, and print what is remembered of jobs and outages."""
    history = load(traces, ONE_MINUTE)
    forecaster = fit(history, CONFIG).forecaster
    print_jobs(forecaster, history)
    print_echoes(forecaster, history)


def print_jobs(forecaster: Forecaster, history: History) -> None:
    """Print the share of a new job's minutes below the 0.95 quantile, and the loss elsewhere."""
    rows = []
    for series in history:
        first = boundaries(len(series), CONFIG)[1]
        origins = np.arange(first, len(series) - CONFIG.model.prediction_length, 7)
        plain = Pair.of(forecaster, series, origins)
        known = np.isfinite(plain.target)
        losses = [
            pinball_loss(plain.target, q, forecaster.quantile_levels)[known].mean()
            for q in (plain.without, plain.served)
        ]
        cells = [
            _with_job(forecaster, series, first, job, height) for job in JOBS for height in HEIGHTS
        ]
        rows.append((series.item_id, *cells, f"{losses[1] / losses[0]:.4f}"))
        print(rows[-1], file=sys.stderr, flush=True)
    heads = [f"{name}, {height:g} x" for name, _, _ in JOBS for height in HEIGHTS]
    print("\n## A job that has just begun: its minutes below the 0.95 quantile, without and with\n")
    print(markdown(("trace", *heads, "loss of the rest"), rows))


def print_echoes(forecaster: Forecaster, history: History) -> None:
    """Print the 0.99 quantile in an hour over demand, without and with an outage a week before."""
    rows = []
    for series in history:
        week, ahead = 7 * 24 * 60, forecaster.model.prediction_length
        first = max(boundaries(len(series), CONFIG)[1], week + 2 * 24 * 60)
        hours = np.linspace(first, len(series) - ahead - 61, ECHOES).astype(np.int64)
        ratios = [
            np.concatenate([_echo(forecaster, series, int(at), share) for at in hours])
            for share in (1.0, 0.0)
        ]
        means = [float(np.nanmedian(one)) for one in ratios]
        rows.append((series.item_id, *means, means[1] / means[0], float(np.nanmin(ratios[1]))))
    columns = ("trace", "no outage", "an outage a week before", "of it", "lowest")
    print("\n## The 0.99 quantile over demand, an hour long, an outage exactly a week before\n")
    print(markdown(columns, rows))


def _echo(forecaster: Forecaster, series: Series, at: int, share: float) -> FloatArray:
    """Return the mean 0.99 quantile over the mean demand of both half hours from ``at`` on."""
    values = series.values.copy()
    values[at - 7 * 24 * 60 : at - 7 * 24 * 60 + 60] *= share
    changed = Series(series.item_id, series.start, series.step, values)
    pair = Pair.of(forecaster, changed, np.array([at - 1, at + 29]))
    top = pair.served[:, :, forecaster.model.quantile_levels.index(0.99)]
    demand = np.nanmean(pair.target, axis=1)
    return np.asarray(top.mean(axis=1) / np.where(demand > 0, demand, np.nan), np.float64)


def _with_job(
    forecaster: Forecaster, series: Series, first: int, job: tuple[str, int, int], height: float
) -> str:
    """Return the coverage without and with room for shocks; "-" if the test part is too short."""
    _, period, needed = job
    values = series.values.copy()
    at = np.arange(first + 37, len(series) - CONFIG.model.prediction_length, period)
    random = np.random.default_rng(1)
    added = height * np.nanmean(values[:first]) * np.exp(SPREAD * random.standard_normal(len(at)))
    for minute in range(LENGTH):
        values[at + minute] += added
    looked_at = at[needed : needed + MOST]
    if not len(looked_at):
        return "-"
    changed = Series(series.item_id, series.start, series.step, values)
    found = [Pair.of(forecaster, changed, looked_at - ahead).covered(ahead) for ahead in AHEAD]
    without, served = (np.mean([one[k] for one in found]) for k in (0, 1))
    return f"{without:.2f} -> {served:.2f}"
