"""From one forecast to the demand over the lead time of each service that it is read for.

`ForecastReader` evaluates the distribution of the peak demand for many rows at once, and once. Rows
are items at one point in time, or points in time of one item.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from forecaster.data.series import FloatArray, Forecast
from scaler.decision.demand import LeadDemand
from scaler.decision.quantiles import POINTS, PeakDistribution, peaks_of, quantile_at

MEDIAN = 0.5


@dataclass(frozen=True, slots=True)
class StepRange:
    """The steps ``[first, last]`` of a forecast that cover a span of time."""

    first: int
    last: int

    @property
    def count(self) -> int:
        return self.last - self.first + 1


def step_range(age_s: float, length_s: float, step_s: float, prediction_length: int) -> StepRange:
    """Return the steps that cover the next ``length_s``, for a forecast made ``age_s`` ago.

    Step ``h`` is the mean over ``(h * step_s, (h + 1) * step_s]`` after the origin. Time beyond the
    end of the forecast is covered by its last step.

    >>> step_range(age_s=30, length_s=120, step_s=60, prediction_length=30)
    StepRange(first=0, last=2)
    """
    last = prediction_length - 1
    # An origin in the future of our clock counts as now.
    first = min(max(int(age_s // step_s), 0), last)
    return StepRange(first, min(max(math.ceil((age_s + length_s) / step_s) - 1, first), last))


@dataclass(frozen=True, slots=True)
class LeadQuery:
    """How to read the forecast of one item.

    Attributes:
        row: the item's row in the forecast.
        lead_s: lead time, until a replica that is asked for now is warm.
        payback_s: time after that within which the replica pays for its start.
        level, theta, margin_qps, trusted: taken from the item's `trust.Trust`.
        judged_level: quantile level at which the forecast is compared with its naive rival.
    """

    row: int
    lead_s: float
    payback_s: float
    level: float
    theta: float
    judged_level: float
    margin_qps: float = 0.0
    trusted: bool = True


@dataclass(frozen=True, eq=False, slots=True)
class LeadForecast:
    """The forecast of one item over its lead time, and what is needed to judge it afterwards.

    Attributes:
        lead_demand: the peak demand that the decision uses.
        step_range: the steps of the lead time.
        step_quantiles: the quantiles of those steps, ``(steps, levels)`` QPS.
        levels: the quantile levels.
        judged_qps: quantile of their peak at the level ``LeadQuery.judged_level``.
    """

    lead_demand: LeadDemand
    step_range: StepRange
    step_quantiles: FloatArray
    levels: tuple[float, ...]
    judged_qps: float


@dataclass(slots=True)
class _Peaks:
    """Of one range of steps: what has been worked out so far, row by row."""

    qps: FloatArray
    scores: FloatArray
    median: FloatArray  # largest median of a step
    known: np.ndarray = field(repr=False)


class ForecastReader:
    """Reads one forecast. Not safe to use from several threads.

    Args:
        forecast: of any number of rows.
        block: rows that are worked out at once where one of them is asked for.
    """

    def __init__(self, forecast: Forecast, block: int = 1) -> None:
        self.forecast = forecast
        self._block = block
        self._step_s = forecast.step.total_seconds()
        self._origins = [origin.timestamp() for origin in forecast.origins]
        self._peaks: dict[StepRange, _Peaks] = {}
        self._latest: tuple[LeadQuery, StepRange, StepRange, LeadForecast] | None = None

    @property
    def reach_s(self) -> float:
        """Seconds after the last known sample of which the forecast says anything."""
        return self.forecast.prediction_length * self._step_s

    def reaches(self, row: int, known_until: float, now: float) -> bool:
        """Return whether the forecast of a row says anything of ``now`` and later.

        Args:
            row: of the forecast.
            known_until: when the last sample ended that has a value.
            now: seconds since the epoch.
        """
        return now - min(self._origins[row], known_until) < self.reach_s

    def origin(self, row: int) -> float:
        """Return the origin of a row, in seconds since the epoch."""
        return self._origins[row]

    def prepare(self, queries: Iterable[LeadQuery], now: float) -> None:
        """Work out at once what these queries will read."""
        rows: dict[StepRange, list[int]] = {}
        for query in queries:
            for steps in self._ranges(query, now):
                rows.setdefault(steps, []).append(query.row)
        for steps, wanted in rows.items():
            peaks = self._peaks_of(steps)
            self._work_out(peaks, steps, np.array([r for r in wanted if not peaks.known[r]], int))

    def read(self, query: LeadQuery, now: float) -> LeadForecast:
        """Return what the forecast says to a query.

        Args:
            query: by whom.
            now: seconds since the epoch.
        """
        lead, payback = self._ranges(query, now)
        last = self._latest  # between two samples, a service asks the same at each tick
        if last is None or last[1] != lead or last[2] != payback or last[0] != query:
            last = self._latest = query, lead, payback, self._read(query, lead, payback)
        return last[3]

    def _read(self, query: LeadQuery, lead: StepRange, payback: StepRange) -> LeadForecast:
        row = query.row
        peaks = self._known(lead, row)
        peak = _peak(peaks, row)
        longer = peak if payback == lead else _peak(self._known(payback, row), row)
        demand = LeadDemand(
            peak.quantile(query.level, query.theta),
            longer.quantile(query.level, query.theta),
            float(peaks.median[row]),
            query.margin_qps,
            query.trusted,
        )
        return LeadForecast(
            demand,
            lead,
            # A copy: it is kept for long, and would hold on to the forecasts of all items.
            self.forecast.values[row, lead.first : lead.last + 1].copy(),
            self.forecast.quantile_levels,
            peak.quantile(query.judged_level, query.theta),
        )

    def _ranges(self, query: LeadQuery, now: float) -> tuple[StepRange, StepRange]:
        """Return the steps of the lead time, and of the lead time and the payback."""
        age, length = now - self._origins[query.row], self.forecast.prediction_length
        return (
            step_range(age, query.lead_s, self._step_s, length),
            step_range(age, query.lead_s + query.payback_s, self._step_s, length),
        )

    def _known(self, steps: StepRange, row: int) -> _Peaks:
        peaks = self._peaks_of(steps)
        if not peaks.known[row]:
            rows = np.arange(row, min(row + self._block, len(peaks.known)))
            self._work_out(peaks, steps, rows)
        return peaks

    def _peaks_of(self, steps: StepRange) -> _Peaks:
        if steps not in self._peaks:
            rows = len(self._origins)
            qps, scores = np.empty((2, rows, len(POINTS)))
            known = np.zeros(rows, dtype=np.bool_)
            self._peaks[steps] = _Peaks(qps, scores, np.empty(rows), known)
        return self._peaks[steps]

    def _work_out(self, peaks: _Peaks, steps: StepRange, rows: np.ndarray) -> None:
        if not len(rows):
            return
        levels = self.forecast.quantile_levels
        values = self.forecast.values[rows, steps.first : steps.last + 1]
        peaks.qps[rows], peaks.scores[rows] = peaks_of(values, levels)
        peaks.median[rows] = quantile_at(values, levels, MEDIAN).max(axis=1)
        peaks.known[rows] = True


def _peak(peaks: _Peaks, row: int) -> PeakDistribution:
    return PeakDistribution(peaks.qps[row].tolist(), peaks.scores[row].tolist())
