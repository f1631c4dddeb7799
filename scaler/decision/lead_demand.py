"""What the newest forecast says to every policy: all items at once, each with its own lead time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forecaster.data.series import FloatArray, Forecast
from scaler.decision.demand import Ahead
from scaler.decision.quantiles import Maximum, maximum_of, quantile_at

MEDIAN = 0.5


@dataclass(frozen=True, slots=True)
class Span:
    """The steps of a forecast, ``[first, last]``, in which a span of time lies."""

    first: int
    last: int

    @property
    def steps(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Need:
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
class Outlook:
    """What one item's forecast says.

    ``steps`` are the quantiles of the lead time, ``(steps, levels)``, and ``span`` where they lie:
    by them the forecast is judged when that time is over. ``judged_qps`` is the quantile of their
    maximum at the level that is judged.
    """

    ahead: Ahead
    span: Span
    steps: FloatArray
    judged_qps: float


def outlooks(forecast: Forecast, needs: Sequence[Need], now: float) -> list[Outlook]:
    """Return what the forecast says to each need, in order.

    Args:
        forecast: one row per item.
        needs: one per policy; rows may differ in how far ahead they look.
        now: seconds since the epoch.
    """
    found: list[Outlook | None] = [None] * len(needs)
    spans: dict[tuple[Span, Span], list[int]] = {}
    step_s, horizon = forecast.step.total_seconds(), forecast.prediction_length
    for place, need in enumerate(needs):
        age = now - forecast.origins[need.row].timestamp()
        lead = span_of(age, need.lead_s, step_s, horizon)
        hold = span_of(age, need.lead_s + need.hold_s, step_s, horizon)
        spans.setdefault((lead, hold), []).append(place)
    for (lead, hold), places in spans.items():
        group = [needs[place] for place in places]
        for place, outlook in zip(places, _alike(forecast, group, lead, hold), strict=True):
            found[place] = outlook
    return [outlook for outlook in found if outlook is not None]


def _alike(forecast: Forecast, needs: list[Need], lead: Span, hold: Span) -> list[Outlook]:
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
        Outlook(Ahead(qps, held, usual, need.margin_qps, need.trusted), lead, step, judged_qps)
        for need, step, qps, held, usual, judged_qps in zip(needs, steps, *columns, strict=True)
    ]


def span_of(age_s: float, length_s: float, step_s: float, prediction_length: int) -> Span:
    """Return the steps that cover the next ``length_s`` when the origin is ``age_s`` ago.

    Step ``h`` is the mean over ``(h * step_s, (h + 1) * step_s]`` after the origin. What lies
    beyond the forecast is taken to be like its last step.

    >>> span_of(age_s=30, length_s=120, step_s=60, prediction_length=30)
    Span(first=0, last=2)
    """
    last = prediction_length - 1
    # An origin ahead of our clock is one of now.
    first = min(max(int(age_s // step_s), 0), last)
    return Span(first, min(max(math.ceil((age_s + length_s) / step_s) - 1, first), last))


def maximum_over(forecast: Forecast, span: Span) -> Maximum:
    """Return the distribution of the largest demand within the span, for every row."""
    return maximum_of(steps_in(forecast, span), forecast.quantile_levels)


def steps_in(forecast: Forecast, span: Span) -> FloatArray:
    """Return the quantiles of the steps in the span, ``(rows, steps, levels)``."""
    return np.asarray(forecast.values[:, span.first : span.last + 1])
