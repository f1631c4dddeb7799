"""Figures of what gateways made of the requests, drawn with plotly; nothing is shown or written."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from forecaster.plots.labels import label
from forecaster.plots.style import (
    BLUE,
    BLUE_RGB,
    GREY,
    INK_COLOUR,
    ORANGE,
    TIME_AXIS,
    VERMILION,
    styled,
    times,
)
from forecaster.plots.thinning import thinned
from scaler.simulation.findings import share
from scaler.simulation.gateway_outcome import NO_CLASS, ClassOutcome, GatewayOutcome

ROW_HEIGHT = 130


def limited_over_time(found: GatewayOutcome) -> go.Figure:
    """Return what came and what was admitted, of all requests beside the limit, and by class."""
    path, classes = found.path, _classes(found)
    rows = [("all", path.offered.sum(axis=0), path.admitted.sum(axis=0))]
    if classes:
        rows += zip((one.name for one in classes), path.offered, path.admitted, strict=True)
    drawn = make_subplots(
        rows=len(rows), shared_xaxes=True, vertical_spacing=0.24 / len(rows),
        subplot_titles=[label(name) for name, _, _ in rows],
    )  # fmt: skip
    drawn.add_trace(_line(found, path.limit, "limit", ORANGE, shape="hv"), row=1, col=1)
    for place, (_, offered, admitted) in enumerate(rows, start=1):
        traces = [
            _line(found, admitted, "admitted", BLUE),
            _line(found, offered, "came", INK_COLOUR, width=1.2),
        ]
        traces[0].update(fill="tozeroy", fillcolor=f"rgba({BLUE_RGB}, 0.3)")
        for trace in traces:
            trace.update(showlegend=place == 1, legendgroup=trace.name)
            drawn.add_trace(trace, row=place, col=1)
    styled(drawn, "Requests and limit", 130 + ROW_HEIGHT * len(rows))
    drawn.update_annotations(x=0, xanchor="left", font={"size": 13})
    drawn.update_yaxes(rangemode="tozero", title_text="req/s")
    return drawn.update_xaxes(title_text=TIME_AXIS, row=len(rows))


def limited_by_class(found: GatewayOutcome) -> go.Figure:
    """Return what became of the requests of each class, and of all, as a bar each."""
    rows = [found.total, *_classes(found)][::-1]  # a bar's axis goes up
    counts = {
        ("admitted", BLUE): [one.admitted for one in rows],
        ("refused above the limit", GREY): [one.refused - one.refused_within for one in rows],
        ("refused within the limit", VERMILION): [one.refused_within for one in rows],
    }
    names = [_told(one) for one in rows]
    traces = [
        go.Bar(
            x=values, y=names, name=name, orientation="h", marker={"color": colour},
            hovertemplate=f"%{{x:,}} {name}<extra></extra>",
        )
        for (name, colour), values in counts.items()
    ]  # fmt: skip
    drawn = styled(go.Figure(traces), "What became of them", 150 + 60 * len(rows))
    drawn.update_layout(barmode="stack", hovermode="closest", legend_traceorder="normal")
    return drawn.update_xaxes(title_text="requests", rangemode="tozero").update_yaxes(ticks="")


def _told(one: ClassOutcome) -> str:
    refused = one.refused / one.offered if one.offered else 0.0
    return f"{label(one.name)}<br>{one.refused:,} refused ({share(refused)})"


def _classes(found: GatewayOutcome) -> list[ClassOutcome]:
    return [one for one in found.classes if one.name != NO_CLASS]


def _line(
    found: GatewayOutcome, values: np.ndarray, name: str, colour: str, *,
    width: float = 1.8, shape: str = "linear",
) -> go.Scatter:  # fmt: skip
    at = thinned(values)
    return go.Scatter(
        x=times(found.path.stamps[at].astype(np.int64)), y=values[at], name=name, mode="lines",
        line={"color": colour, "width": width, "shape": shape}, hovertemplate="%{y:,.4~g}",
    )  # fmt: skip
