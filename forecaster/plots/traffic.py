"""Figures of recorded traffic: the series with gaps, findings and events, and a typical week."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from forecaster.data.quality import Action, Finding
from forecaster.data.quality.grid import runs
from forecaster.data.series import DAY, WEEK, History, Series, steps_per
from forecaster.data.synthetic import Kind, TrafficEvent
from forecaster.plots.labels import label
from forecaster.plots.style import (
    BLUE,
    BLUE_RGB,
    GREEN,
    GREY,
    GRID,
    ORANGE,
    PURPLE,
    QPS_AXIS,
    TIME_AXIS,
    VERMILION,
    figure,
    ink_line,
    styled,
    times,
)
from forecaster.plots.thinning import thinned

MAX_ITEMS = 6
ROW_HEIGHT = 190
MARKS = {
    Kind.PROMOTION.value: (GREEN, "diamond"),
    Kind.FLASH_CROWD.value: (VERMILION, "triangle-up"),
    Kind.DEPLOY.value: (PURPLE, "x"),
    Kind.OUTAGE.value: (ORANGE, "square"),
}
BIN = timedelta(minutes=30)
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONDAY_STAMP = 4 * 86_400  # 1970-01-05; the epoch was a Thursday
HALF_WIDE = 0.1


def traffic_overview(
    history: History, findings: Sequence[Finding] = (), events: Sequence[TrafficEvent] = ()
) -> go.Figure:
    """Return the demand of up to six items, one below the other, with their gaps marked.

    Args:
        history: the recorded demand.
        findings: repairs of the quality pass are marked on the line.
        events: known events are marked at their extreme.
    """
    shown = history.series[:MAX_ITEMS]
    drawn = make_subplots(
        rows=len(shown),
        shared_xaxes=True,
        vertical_spacing=0.28 / (len(shown) + 1),
        subplot_titles=[label(series.item_id) for series in shown],
    )
    named: set[str] = set()
    for row, series in enumerate(shown, start=1):
        for trace in _item_traces(series, findings, events):
            trace.showlegend = trace.name not in named
            trace.legendgroup = trace.name
            named.add(trace.name)
            drawn.add_trace(trace, row=row, col=1)
    more = len(history) - len(shown)
    title = "Demand" + (f" of the first {len(shown)} of {len(history)} items" if more else "")
    styled(drawn, title, 130 + ROW_HEIGHT * len(shown))
    drawn.update_annotations(x=0, xanchor="left", font={"size": 13})
    drawn.update_layout(hovermode="closest")
    drawn.update_yaxes(rangemode="tozero").update_xaxes(title_text=TIME_AXIS, row=len(shown))
    return drawn.update_yaxes(title_text="req/s")


def season_shape(series: Series, period: timedelta = WEEK) -> go.Figure:
    """Return one item's typical week, or day: the median and the middle 80 % per half hour."""
    width = max(series.step, BIN)
    bins = steps_per(period, width)
    since = (series.stamps - MONDAY_STAMP) % int(period.total_seconds())
    place = since // int(width.total_seconds())
    low, median, high = _quantiles(series, place, bins)
    hours = (np.arange(bins) + 0.5) * (width / timedelta(hours=1))
    edge = {"x": hours, "mode": "lines", "line": {"width": 0}}
    traces = [
        go.Scatter(y=low, showlegend=False, hoverinfo="skip", **edge),
        go.Scatter(
            y=high, name="middle 80 %", fill="tonexty", fillcolor=f"rgba({BLUE_RGB}, 0.3)",
            hoverinfo="skip", **edge,
        ),
        go.Scatter(
            x=hours, y=median, name="median", mode="lines", line={"color": BLUE},
            hovertemplate="%{y:.4g} req/s<extra></extra>",
        ),
    ]  # fmt: skip
    what = "day" if period == DAY else "week"
    drawn = figure(
        traces, title=f"{label(series.item_id)}: a typical {what}",
        x="hour of the day (UTC)" if period == DAY else "day of the week (UTC)", y=QPS_AXIS,
    )  # fmt: skip
    if period == WEEK:
        drawn.update_xaxes(tickvals=24 * np.arange(7) + 12, ticktext=WEEKDAYS, showgrid=False)
        drawn.update_xaxes(minor={"tick0": 0, "dtick": 24, "showgrid": True, "gridcolor": GRID})
    else:
        drawn.update_xaxes(dtick=3)
    drawn.update_xaxes(range=[0, period / timedelta(hours=1)])
    return drawn.update_yaxes(rangemode="tozero")


def _quantiles(series: Series, place: np.ndarray, bins: int) -> tuple[np.ndarray, ...]:
    """Return the 0.1, 0.5 and 0.9 quantiles of each bin's known samples; NaN if there is none."""
    found = np.full((3, bins), np.nan)
    known = np.isfinite(series.values)
    order = np.argsort(place[known], kind="stable")
    values, edges = (
        series.values[known][order],
        np.searchsorted(place[known][order], np.arange(bins + 1)),
    )
    for i in range(bins):
        if edges[i] < edges[i + 1]:
            inside = values[edges[i] : edges[i + 1]]
            found[:, i] = np.quantile(inside, [HALF_WIDE, 0.5, 1 - HALF_WIDE])
    return tuple(found)


def _item_traces(
    series: Series, findings: Iterable[Finding], events: Iterable[TrafficEvent]
) -> list[Any]:
    place = thinned(series.values)
    when = times(series.stamps[place])
    hover = "%{y:.4g} req/s<br>%{x}<extra></extra>"
    traces = [ink_line(when, series.values[place], "demand", hovertemplate=hover)]
    traces[0].line.width = 1
    traces += _missing(series)
    mine = [f for f in findings if f.item_id == series.item_id and f.action is Action.REPAIRED]
    if mine:
        traces.append(_repaired(series, mine))
    for kind, (colour, symbol) in MARKS.items():
        shown = [e for e in events if e.item_id == series.item_id and e.kind.value == kind]
        if shown:
            traces.append(_events(series, shown, colour, symbol))
    return traces


def _missing(series: Series) -> list[Any]:
    """Return the gaps as bars on the axis, where short gaps of a long history are visible."""
    step = int(series.step.total_seconds())
    stamps: list[str | None] = []
    for begin, end in runs(~np.isfinite(series.values)):
        first = int(series.stamps[begin])
        stamps += [*times([first, first + (end - begin) * step]), None]
    if not stamps:
        return []
    line, marker = {"color": ORANGE, "width": 6}, {"size": 6, "symbol": "square"}
    y = [None if stamp is None else 0.0 for stamp in stamps]
    return [
        go.Scatter(
            x=stamps, y=y, name="missing", mode="lines+markers", cliponaxis=False,
            line=line, marker=marker,
            hovertemplate="missing<br>%{x}<extra></extra>",
        )
    ]  # fmt: skip


def _extreme(series: Series, event: TrafficEvent) -> tuple[str, float]:
    """Return the time of the event's extreme and the demand then; 0 where it is unknown."""
    inside = series.between(event.start, event.end)
    if not np.isfinite(inside.values).any():
        return times([int(event.start.timestamp())])[0], 0.0
    lowers = event.kind is Kind.DEPLOY
    place = int(np.nanargmin(inside.values) if lowers else np.nanargmax(inside.values))
    return times(inside.stamps[place : place + 1])[0], float(inside.values[place])


def _before(series: Series, moment: datetime) -> float:
    """Return the last known demand up to a time; 0 if there is none."""
    past = series.between(series.start, moment + series.step).values
    known = past[np.isfinite(past)]
    return float(known[-1]) if len(known) else 0.0


def _repaired(series: Series, findings: Sequence[Finding]) -> go.Scatter:
    return go.Scatter(
        x=times([int(f.start.timestamp()) for f in findings]),
        y=[_before(series, f.start) for f in findings],
        text=[f"{f.rule.value}: {label(f.message)}" for f in findings],
        name="repaired",
        mode="markers",
        marker={"color": VERMILION, "symbol": "circle-open", "size": 9, "line": {"width": 2}},
        hovertemplate="%{text}<br>%{x}<extra></extra>",
    )


def _events(series: Series, events: Sequence[TrafficEvent], colour: str, symbol: str) -> go.Scatter:
    kind = events[0].kind.value.replace("_", " ")
    sizes = [
        f"{kind}, {e.ratio:.2g} times normal" if np.isfinite(e.ratio) else kind for e in events
    ]
    places = [_extreme(series, event) for event in events]
    return go.Scatter(
        x=[when for when, _ in places],
        y=[height for _, height in places],
        cliponaxis=False,
        text=sizes,
        name=kind,
        mode="markers",
        marker={
            "color": colour,
            "symbol": symbol,
            "size": 8,
            "line": {"color": GREY, "width": 0.5},
        },
        hovertemplate="%{text}<br>%{x}<extra></extra>",
    )
