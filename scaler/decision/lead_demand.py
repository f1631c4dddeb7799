"""What the newest forecast says to every policy: all items at once, each with its own lead time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forecaster.data.series import FloatArray, Forecast
from scaler.decision.demand import LeadDemand
from scaler.decision.quantiles import PeakDistribution, maximum_of, quantile_at

MEDIAN = 0.5


@dataclass(frozen=True, slots=True)
class StepRange:
    """The steps of a forecast, ``[first, last]``, in which a span of time lies."""

    first: int
    last: int

    @property
    def steps(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class LeadQuery:
    """How one item's forecast is to be read.

    Attributes:
        row: of the forecast.
        lead_s: until a replica asked for now is warm; hold_s: beyond that, until it would have
            paid for its start.
        level, theta, margin_qps, trusted: as its trust says.
        judged_level: at which the forecast is compared with its rival.
    """

    row: int
    lead_s: float
    hold_s: float
    level: float
    theta: float
    judged_level: float
    margin_qps: float = 0.0
    trusted: bool = True


@dataclass(frozen=True, eq=False, slots=True)
class LeadForecast:
    """What one item's forecast says.

    ``steps`` are the quantiles of the lead time, ``(steps, levels)``, and ``span`` where they lie:
    by them the forecast is judged when that time is over. ``judged_qps`` is the quantile of their
    maximum at the level that is judged.
    """

    ahead: LeadDemand
    span: StepRange
    steps: FloatArray
    judged_qps: float


def lead_forecasts(
    forecast: Forecast, needs: Sequence[LeadQuery], now: float
) -> list[LeadForecast]:
    """Return what the forecast says to each need, in order.

    Args:
        forecast: one row per item.
        needs: one per policy; rows may differ in how far ahead they look.
        now: seconds since the epoch.
    """
    found: list[LeadForecast | None] = [None] * len(needs)
    spans: dict[tuple[StepRange, StepRange], list[int]] = {}
    step_s, horizon = forecast.step.total_seconds(), forecast.prediction_length
    for place, need in enumerate(needs):
        age = now - forecast.origins[need.row].timestamp()
        lead = step_range(age, need.lead_s, step_s, horizon)
        hold = step_range(age, need.lead_s + need.hold_s, step_s, horizon)
        spans.setdefault((lead, hold), []).append(place)
    for (lead, hold), places in spans.items():
        group = [needs[place] for place in places]
        for place, lead_forecast in zip(places, _alike(forecast, group, lead, hold), strict=True):
            found[place] = lead_forecast
    return [lead_forecast for lead_forecast in found if lead_forecast is not None]


def _alike(
    forecast: Forecast, needs: list[LeadQuery], lead: StepRange, hold: StepRange
) -> list[LeadForecast]:
    """Return the outlooks of needs that look equally far."""
    rows = np.array([need.row for need in needs])
    level = np.array([need.level for need in needs])
    judged = np.array([need.judged_level for need in needs])
    theta = np.array([need.theta for need in needs])
    levels = forecast.quantile_levels
    steps = forecast.values[rows, lead.first : lead.last + 1]
    maximum = maximum_of(steps, levels)
    longer = maximum_of(forecast.values[rows, hold.first : hold.last + 1], levels)
    columns = (
        maximum.quantile(level, theta).tolist(),
        longer.quantile(level, theta).tolist(),
        quantile_at(steps, levels, MEDIAN).max(axis=1).tolist(),
        maximum.quantile(judged, theta).tolist(),
    )
    return [
        LeadForecast(
            LeadDemand(qps, held, usual, need.margin_qps, need.trusted), lead, step, judged_qps
        )
        for need, step, qps, held, usual, judged_qps in zip(needs, steps, *columns, strict=True)
    ]


def step_range(age_s: float, length_s: float, step_s: float, prediction_length: int) -> StepRange:
    """Return the steps that cover the next ``length_s`` when the origin is ``age_s`` ago.

    Step ``h`` is the mean over ``(h * step_s, (h + 1) * step_s]`` after the origin. What lies
    beyond the forecast is taken to be like its last step.

    >>> step_range(age_s=30, length_s=120, step_s=60, prediction_length=30)
    StepRange(first=0, last=2)
    """
    last = prediction_length - 1
    # An origin ahead of our clock is one of now.
    first = min(max(int(age_s // step_s), 0), last)
    return StepRange(first, min(max(math.ceil((age_s + length_s) / step_s) - 1, first), last))


def maximum_over(forecast: Forecast, span: StepRange) -> PeakDistribution:
    """Return the distribution of the largest demand within the span, for every row."""
    return maximum_of(steps_in(forecast, span), forecast.quantile_levels)


def steps_in(forecast: Forecast, span: StepRange) -> FloatArray:
    """Return the quantiles of the steps in the span, ``(rows, steps, levels)``."""
    return np.asarray(forecast.values[:, span.first : span.last + 1])
