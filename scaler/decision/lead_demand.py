"""From one forecast of many items to the demand over each item's own lead time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forecaster.data.series import FloatArray, Forecast
from scaler.decision.demand import LeadDemand
from scaler.decision.quantiles import PeakDistribution, peak_distribution, quantile_at

MEDIAN = 0.5


@dataclass(frozen=True, slots=True)
class StepRange:
    """The steps ``[first, last]`` of a forecast that cover a span of time."""

    first: int
    last: int

    @property
    def steps(self) -> int:
        return self.last - self.first + 1


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
        judged_qps: quantile of their peak at the level ``LeadQuery.judged_level``.
    """

    lead_demand: LeadDemand
    step_range: StepRange
    step_quantiles: FloatArray
    judged_qps: float


def lead_forecasts(
    forecast: Forecast, queries: Sequence[LeadQuery], now: float
) -> list[LeadForecast]:
    """Return the forecast that answers each query, in order.

    Args:
        forecast: one row per item.
        queries: one per policy; their lead times may differ.
        now: seconds since the epoch.
    """
    found: list[LeadForecast | None] = [None] * len(queries)
    groups: dict[tuple[StepRange, StepRange], list[int]] = {}
    step_s, horizon = forecast.step.total_seconds(), forecast.prediction_length
    for place, query in enumerate(queries):
        age = now - forecast.origins[query.row].timestamp()
        lead = step_range(age, query.lead_s, step_s, horizon)
        payback = step_range(age, query.lead_s + query.payback_s, step_s, horizon)
        groups.setdefault((lead, payback), []).append(place)
    for (lead, payback), places in groups.items():
        group = [queries[place] for place in places]
        answers = _of_one_range(forecast, group, lead, payback)
        for place, lead_forecast in zip(places, answers, strict=True):
            found[place] = lead_forecast
    return [lead_forecast for lead_forecast in found if lead_forecast is not None]


def _of_one_range(
    forecast: Forecast, queries: list[LeadQuery], lead: StepRange, payback: StepRange
) -> list[LeadForecast]:
    """Return the answers to queries that cover the same steps; computed at once, it is faster."""
    rows = np.array([query.row for query in queries])
    level = np.array([query.level for query in queries])
    judged = np.array([query.judged_level for query in queries])
    theta = np.array([query.theta for query in queries])
    levels = forecast.quantile_levels
    steps = forecast.values[rows, lead.first : lead.last + 1]
    peak = peak_distribution(steps, levels)
    longer = peak_distribution(forecast.values[rows, payback.first : payback.last + 1], levels)
    columns = (
        peak.quantile(level, theta).tolist(),
        longer.quantile(level, theta).tolist(),
        quantile_at(steps, levels, MEDIAN).max(axis=1).tolist(),
        peak.quantile(judged, theta).tolist(),
    )
    return [
        LeadForecast(
            LeadDemand(lead_qps, payback_qps, median_qps, query.margin_qps, query.trusted),
            lead,
            quantiles,
            judged_qps,
        )
        for query, quantiles, lead_qps, payback_qps, median_qps, judged_qps in zip(
            queries, steps, *columns, strict=True
        )
    ]


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


def peak_over(forecast: Forecast, span: StepRange) -> PeakDistribution:
    """Return the distribution of the peak demand within the steps, for every row."""
    return peak_distribution(steps_in(forecast, span), forecast.quantile_levels)


def steps_in(forecast: Forecast, span: StepRange) -> FloatArray:
    """Return the quantiles of the steps, ``(rows, steps, levels)``."""
    return np.asarray(forecast.values[:, span.first : span.last + 1])
