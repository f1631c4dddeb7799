"""Figures of forecasts as fans of quantiles, with the actual demand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import plotly.graph_objects as go

from forecaster.data.series import Forecast, Series
from forecaster.evaluation.backtest import Backtest, ItemResult
from forecaster.evaluation.metrics import Array
from forecaster.models.config import MEDIAN
from forecaster.plots.labels import duration, label, name_of
from forecaster.plots.style import (
    BLUE,
    BLUE_RGB,
    GREY,
    QPS_AXIS,
    TIME_AXIS,
    VERMILION,
    figure,
    ink_line,
    times,
)
from forecaster.plots.thinning import thinned

OPACITIES = (0.42, 0.28, 0.16, 0.10)
PAST_HORIZONS = 4  # how much of the past is shown, in forecast horizons


def fan_chart(series: Series, forecast: Forecast, *, past: timedelta | None = None) -> go.Figure:
    """Return one item's forecast with the demand before it and, where known, after it.

    Args:
        series: the recorded demand; its item must be in the forecast.
        forecast: the forecast of one or more items.
        past: how much to show before the origin; None: four times the horizon.
    """
    if series.item_id not in forecast.item_ids:
        raise ValueError(f"no forecast of {series.item_id!r}; there are {forecast.item_ids}")
    row = forecast.item_ids.index(series.item_id)
    origin, horizon = forecast.origins[row], forecast.prediction_length * forecast.step
    begin = origin - (PAST_HORIZONS * horizon if past is None else past)
    shown = series.between(begin, origin + horizon + forecast.step)
    place = thinned(shown.values)
    ahead = int(forecast.step.total_seconds()) * np.arange(1, forecast.prediction_length + 1)
    traces = _fan(
        times(int(origin.timestamp()) + ahead), forecast.values[row], forecast.quantile_levels
    )
    traces.append(ink_line(times(shown.stamps[place]), shown.values[place], "actual demand"))
    title = f"{label(series.item_id)}: forecast by {name_of(forecast.sources[row])}"
    drawn = figure(traces, title=title, x=TIME_AXIS, y=QPS_AXIS).update_yaxes(rangemode="tozero")
    now = times([int(origin.timestamp())])[0]
    return drawn.add_vline(now, line={"color": GREY, "dash": "dot", "width": 1.5})


def backtest_fan(
    backtest: Backtest,
    item_id: str,
    step_ahead: int | None = None,
    *,
    last: timedelta | None = None,
) -> go.Figure:
    """Return the actual demand with the forecasts made ``step_ahead`` steps before.

    Args:
        backtest: the results.
        item_id: one of `Backtest.items`.
        step_ahead: 1 is the next step; None: the last step.
        last: how much of the end to show; None: all.
    """
    item = _item(backtest, item_id)
    horizon = item.actual.shape[1]
    ahead = horizon if step_ahead is None else step_ahead
    if not 1 <= ahead <= horizon:
        raise ValueError(f"step_ahead is {ahead}, but must be 1 to {horizon}")
    stamps = item.origins + ahead * backtest.step_seconds
    begin = 0 if last is None else int(np.searchsorted(stamps, stamps[-1] - last.total_seconds()))
    actual = item.actual[begin:, ahead - 1]
    place = thinned(actual)
    actual, when = actual[place], times(stamps[begin:][place])
    predicted = item.predicted[begin:, ahead - 1][place]
    traces = _fan(when, predicted, backtest.quantile_levels)
    traces.append(ink_line(when, actual, "actual demand"))
    traces += _above(when, actual, predicted[:, -1], backtest.quantile_levels[-1])
    lead = duration(ahead * backtest.step_seconds)
    title = f"{label(item_id)}: {lead} ahead, by {name_of(item.source)}"
    drawn = figure(traces, title=title, x=TIME_AXIS, y=QPS_AXIS)
    return drawn.update_yaxes(rangemode="tozero")


def _item(backtest: Backtest, item_id: str) -> ItemResult:
    for item in backtest.items:
        if item.item_id == item_id:
            return item
    raise KeyError(f"no item {item_id!r}; there are {[item.item_id for item in backtest.items]}")


def bands(levels: Sequence[float]) -> Iterator[tuple[int, int, float]]:
    """Yield the indices of each band's lower and upper level, and the band's opacity.

    The innermost band contains the median; bands further out are paler.

    >>> list(bands((0.1, 0.5, 0.9, 0.99)))
    [(0, 2, 0.42), (2, 3, 0.28)]
    """
    middle = min(range(len(levels)), key=lambda i: abs(levels[i] - MEDIAN))
    low, high = max(middle - 1, 0), min(middle + 1, len(levels) - 1)
    if low < high:
        yield low, high, OPACITIES[0]
    for i in range(high, len(levels) - 1):
        yield i, i + 1, OPACITIES[min(i - high + 1, len(OPACITIES) - 1)]
    for i in range(low, 0, -1):
        yield i - 1, i, OPACITIES[min(low - i + 1, len(OPACITIES) - 1)]


def _fan(when: Sequence[str], quantiles: Array, levels: Sequence[float]) -> list[Any]:
    """Return the traces of the quantiles, ``(samples, levels)``."""
    traces: list[Any] = []
    for low, high, opacity in bands(levels):
        edge = {"x": when, "mode": "lines", "line": {"width": 0}}
        traces.append(go.Scatter(y=quantiles[:, low], showlegend=False, hoverinfo="skip", **edge))
        traces.append(
            go.Scatter(
                y=quantiles[:, high],
                name=f"quantile {levels[low]:g} to {levels[high]:g}",
                fill="tonexty",
                fillcolor=f"rgba({BLUE_RGB}, {opacity})",
                hovertemplate=f"quantile {levels[high]:g}: %{{y:.4g}} req/s<extra></extra>",
                **edge,
            )
        )
    if MEDIAN in levels:
        median = quantiles[:, levels.index(MEDIAN)]
        line = {"color": BLUE, "width": 2}
        traces.append(go.Scatter(x=when, y=median, name="median", mode="lines", line=line))
    return traces


def _above(when: Sequence[str], actual: Array, top: Array, level: float) -> list[Any]:
    """Return markers where the actual demand exceeds the highest quantile, if it does."""
    place = np.flatnonzero(actual > top).tolist()
    if not place:
        return []
    return [
        go.Scatter(
            x=[when[i] for i in place],
            y=actual[place],
            name=f"above quantile {level:g}",
            mode="markers",
            marker={"color": VERMILION, "size": 7},
        )
    ]
