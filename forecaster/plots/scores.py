"""Figures of backtest scores: error per step and level, calibration, and cost of quantiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from forecaster.data.series import FloatArray
from forecaster.evaluation.backtest import SERVED, Backtest
from forecaster.evaluation.outcome import MINUTES, minute_place
from forecaster.evaluation.scores import Score
from forecaster.models.naive import LAST_VALUE
from forecaster.plots.labels import label, name_of
from forecaster.plots.style import BLUE, GREY, TALL, VERMILION, figure, stroke_of

RELATIVE_AXIS = "loss (last value: 1)"
RELATIVE_TICKS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1, 1.5, 2, 3, 5, 10, 20, 50)
# Probabilities are clipped to this range: on a logit axis 0 and 1 are infinite.
MIN_SHARE, MAX_SHARE = 0.002, 0.998
NOMINAL = "nominal %{customdata[0]:g}<br>observed %{customdata[1]:.3f}<extra></extra>"
LONG_HORIZON = 240  # minutes above which the axis is in hours


def ranked(backtest: Backtest) -> list[tuple[str, Score]]:
    """Return the candidates with their scores: the served forecast, then the others, best first."""
    summary = backtest.summary

    def place(name: str) -> tuple[bool, float]:
        relative = summary[name].relative
        return name != SERVED, relative if np.isfinite(relative) else np.inf

    return [(name, summary[name]) for name in sorted(summary, key=place)]


def error_by_horizon(backtest: Backtest) -> go.Figure:
    """Return each candidate's relative pinball loss per step ahead; below 1 beats last value."""
    minutes = np.arange(1, _horizon(backtest) + 1) * backtest.step_seconds / 60
    unit = "hours" if minutes[-1] > LONG_HORIZON else "minutes"
    ahead = minutes / 60 if unit == "hours" else minutes
    traces = [
        _line(name, ahead, score.by_horizon, mode="lines") for name, score in ranked(backtest)
    ]
    drawn = figure(traces, title="Error by horizon", x=f"{unit} ahead", y=RELATIVE_AXIS)
    return _relative(drawn)


def error_by_level(backtest: Backtest) -> go.Figure:
    """Return each candidate's relative pinball loss per quantile level."""
    levels = [f"{level:g}" for level in backtest.quantile_levels]
    traces = [
        _line(name, levels, score.by_level, mode="lines+markers")
        for name, score in ranked(backtest)
    ]
    drawn = figure(traces, title="Error by quantile", x="quantile level", y=RELATIVE_AXIS)
    return _relative(drawn.update_xaxes(type="category"))


def reliability_diagram(backtest: Backtest, candidate: str = SERVED) -> go.Figure:
    """Return observed against nominal coverage, over all samples and over the peaks only.

    Both axes have a logit scale, which separates 0.9, 0.95 and 0.99. Error bars span the items. The
    other candidates are thin lines, over all samples.
    """
    levels = backtest.quantile_levels
    scores = [item.scores[candidate] for item in backtest.items]
    summary = backtest.summary[candidate]
    ends = np.array([min(levels[0], 0.05), max(levels[-1], 0.995)])
    diagonal = go.Scatter(
        x=logit(ends), y=logit(ends), name="perfect calibration", mode="lines", hoverinfo="skip",
        line={"color": GREY, "dash": "dash", "width": 1.5},
    )  # fmt: skip
    peaks = np.array([score.peak_coverage for score in scores])
    others = [
        _coverage_line(name, levels, score.coverage)
        for name, score in ranked(backtest)
        if name != candidate
    ]
    traces = [
        diagonal,
        *others,
        _observed("all moments", levels, summary.coverage, np.array([s.coverage for s in scores])),
        _observed("peaks (top 5 % of moments)", levels, summary.peak_coverage, peaks),
    ]
    title = f"Calibration: {name_of(candidate)}"
    drawn = figure(
        traces,
        title=title,
        x="nominal share (quantile level)",
        y="observed share",
    )
    ticks = sorted({*levels, 0.02, 0.25, 0.75})
    drawn.update_xaxes(tickvals=logit(np.array(levels)), ticktext=[f"{q:g}" for q in levels])
    drawn.update_yaxes(tickvals=logit(np.array(ticks)), ticktext=[f"{q:g}" for q in ticks])
    drawn.update_xaxes(zeroline=False).update_yaxes(zeroline=False)
    return drawn.update_layout(hovermode="closest", height=TALL)


def coverage_by_minute(backtest: Backtest, item_id: str) -> go.Figure:
    """Return what is covered at each minute of the hour, with the level as a line.

    Missed jobs stand out, as they are missed at the same minute of every hour.
    """
    levels = backtest.quantile_levels
    level = levels[minute_place(levels)]
    (score,) = (item.scores[SERVED] for item in backtest.items if item.item_id == item_id)
    seen = [minute for minute, hours in enumerate(score.minute_hours) if hours]
    observed = go.Scatter(
        x=seen,
        y=[score.minute_coverage[minute] for minute in seen],
        name="observed",
        mode="markers+lines",
        cliponaxis=False,
        line={"color": BLUE, "width": 1},
        marker={"size": 7},
        customdata=[score.minute_hours[minute] for minute in seen],
        hovertemplate="%{y:.3f} of %{customdata} hours<extra></extra>",
    )
    promised = go.Scatter(
        x=[0, MINUTES - 1], y=[level, level], name=f"quantile level {level:g}", mode="lines",
        hoverinfo="skip", line={"color": GREY, "dash": "dash", "width": 1.5},
    )  # fmt: skip
    drawn = figure(
        [promised, observed],
        title=f"Coverage by minute of the hour: {label(item_id)}",
        x="minute of the hour",
        y=f"share at or below the {level:g} quantile",
    )
    drawn.update_xaxes(range=[-1, MINUTES], tickvals=list(range(0, MINUTES, 5)))
    return drawn.update_yaxes(range=[0, 1], zeroline=False)


def quantile_cost(backtest: Backtest) -> go.Figure:
    """Return the cost of providing for each quantile: reserve against shortfall.

    Reserve is the forecast above the actual demand, shortfall the actual demand above the forecast;
    both as a share of all demand, averaged over the items.
    """
    costs = np.array([_cost(item.actual, item.predicted) for item in backtest.items])
    known = costs[np.isfinite(costs).all(axis=(1, 2))]  # (items, 2, levels)
    reserve, shortfall = known.mean(axis=0) if len(known) else np.full(costs.shape[1:], np.nan)
    trace = go.Scatter(
        x=reserve,
        y=shortfall,
        text=[f"{level:g}" for level in backtest.quantile_levels],
        mode="lines+markers+text",
        textposition="top right",
        cliponaxis=False,
        line={"color": BLUE},
        marker={"size": 9},
        hovertemplate="quantile %{text}<br>reserve %{x:.3f}<br>shortfall %{y:.4f}<extra></extra>",
    )
    drawn = figure(
        [trace],
        title="What each quantile costs",
        x="reserve: provided but not used, as a share of demand",
        y="shortfall: share of demand not covered",
    )
    return drawn.update_layout(hovermode="closest", margin={"r": 48})


def logit(share: FloatArray) -> FloatArray:
    """Return the logit of a share, which is clipped to avoid infinity.

    >>> logit(np.array([0.5, 0.9])).round(3).tolist()
    [0.0, 2.197]
    """
    inside = np.clip(share, MIN_SHARE, MAX_SHARE)
    return np.asarray(np.log(inside / (1 - inside)))


def _cost(actual: Any, predicted: Any) -> tuple[FloatArray, FloatArray]:  # noqa: ANN401 - arrays
    known = np.isfinite(actual)
    demand, provided = actual[known].astype(np.float64)[:, None], predicted[known]
    total = demand.sum() or np.nan
    reserve = np.maximum(provided - demand, 0).sum(axis=0) / total
    return reserve, np.maximum(demand - provided, 0).sum(axis=0) / total


def _horizon(backtest: Backtest) -> int:
    return int(backtest.items[0].actual.shape[1])


def _line(name: str, x: Any, y: Sequence[float], mode: str) -> go.Scatter:  # noqa: ANN401 - axis values
    stroke = stroke_of(name)
    text = "last value (the reference)" if name == LAST_VALUE else name_of(name)
    return go.Scatter(
        x=x,
        y=np.array(y),
        name=text,
        mode=mode,
        line={"color": stroke.colour, "dash": stroke.dash, "width": stroke.width},
        marker={"symbol": stroke.symbol, "size": 9},
        hovertemplate="%{y:.3f}",
    )


def _relative(drawn: go.Figure) -> go.Figure:
    ticks = {"tickvals": RELATIVE_TICKS, "ticktext": [f"{tick:g}" for tick in RELATIVE_TICKS]}
    return drawn.update_yaxes(type="log", **ticks).update_layout(height=TALL)


def _coverage_line(name: str, levels: Sequence[float], mean: Sequence[float]) -> go.Scatter:
    stroke = stroke_of(name)
    return go.Scatter(
        x=logit(np.array(levels)),
        y=logit(np.array(mean)),
        name=name_of(name),
        mode="lines",
        line={"color": stroke.colour, "dash": stroke.dash, "width": 1},
        customdata=np.column_stack([levels, mean]),
        hovertemplate=f"{name_of(name)}<br>{NOMINAL}",
    )


def _observed(
    name: str, levels: Sequence[float], mean: Sequence[float], items: FloatArray
) -> go.Scatter:
    """Return a line of mean coverage with error bars from the worst to the best item."""
    peaks = name.startswith("peaks")
    at, observed = logit(np.array(levels)), np.array(mean)
    middle = logit(observed)
    known = np.where(np.isfinite(items), items, observed)
    colour = VERMILION if peaks else BLUE
    return go.Scatter(
        x=at,
        y=middle,
        name=name,
        mode="lines+markers",
        line={"color": colour, "width": 2},
        marker={"size": 9, "symbol": "diamond" if peaks else "circle"},
        error_y={
            "array": logit(known.max(axis=0)) - middle,
            "arrayminus": middle - logit(known.min(axis=0)),
            "color": colour,
            "thickness": 1,
            "width": 3,
        },
        customdata=np.column_stack([levels, observed]),
        hovertemplate=f"{name}<br>{NOMINAL}",
    )
