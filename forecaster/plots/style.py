"""The common style of all figures.

The colours are those of Okabe and Ito, adjusted in lightness for white pages; a near-black page
replaces each by that of `DARK`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from forecaster.evaluation.backtest import SERVED
from forecaster.evaluation.metrics import Array
from forecaster.models.candidates import BLEND
from forecaster.models.lstm_ensemble import LSTM
from forecaster.models.naive import DAY_SHAPE, HOLT_WINTERS, LAST_VALUE, SEASONAL_DAY, SEASONAL_WEEK
from forecaster.models.tabular import BOOSTING, RIDGE

INK_COLOUR = "#333a42"
BLUE, ORANGE, GREEN = "#2b7bba", "#cc7a00", "#00966e"
PURPLE, VERMILION, GREY = "#b5629b", "#d5532b", "#8a8f96"
BLUE_RGB = "43, 123, 186"  # of bands; `BLUE` with an opacity
PAPER = "#fefefe"  # of what lies over a figure
# The same colours for a near-black page; each is the begin of a value in a figure's JSON.
DARK = {
    INK_COLOUR: "#e3e7eb",
    BLUE: "#62b0ec",
    ORANGE: "#f0a030",
    GREEN: "#3fc49b",
    PURPLE: "#d68cc0",
    VERMILION: "#ff8a63",
    GREY: "#9aa4ae",
    PAPER: "#1c2227",
    f"rgba({BLUE_RGB}, ": "rgba(98, 176, 236, ",
}
GRID = "rgba(138, 143, 150, 0.28)"
HEIGHT = 400
TALL = 470  # with a legend of many rows
QPS_AXIS = "demand (req/s)"
TIME_AXIS = "time (UTC)"


@dataclass(frozen=True)
class Stroke:
    """The line style of a candidate."""

    colour: str
    dash: str = "solid"
    width: float = 2.0
    symbol: str = "circle"


STROKES = {
    SERVED: Stroke(INK_COLOUR, width=5.0, symbol="diamond"),
    BLEND: Stroke(BLUE, width=3.0, symbol="hexagon"),
    LSTM: Stroke(BLUE, "dash"),
    BOOSTING: Stroke(ORANGE, symbol="square"),
    RIDGE: Stroke(GREEN, symbol="triangle-up"),
    HOLT_WINTERS: Stroke(PURPLE, symbol="triangle-down"),
    DAY_SHAPE: Stroke(GREY, "dash", symbol="cross"),
    SEASONAL_DAY: Stroke(GREY, "dot", symbol="x"),
    SEASONAL_WEEK: Stroke(GREY, "dashdot", symbol="star"),
    LAST_VALUE: Stroke(GREY, width=1.5, symbol="line-ew-open"),
}


def stroke_of(candidate: str) -> Stroke:
    """Return the line style of a candidate; an unknown one is grey."""
    return STROKES.get(candidate, Stroke(GREY, "longdash"))


def times(stamps: Any) -> list[str]:  # noqa: ANN401 - integers, or an array of them
    """Return seconds since the epoch in plotly's format of times.

    >>> times([0, 60])
    ['1970-01-01T00:00:00', '1970-01-01T00:01:00']
    """
    return [str(stamp) for stamp in np.asarray(stamps, dtype="datetime64[s]")]


def ink_line(x: Sequence[Any], y: Array, name: str, **more: Any) -> go.Scatter:  # noqa: ANN401 - what a Scatter takes
    """Return a line in the colour of the text, as for the actual demand."""
    line = {"color": INK_COLOUR, "width": 1.6}
    return go.Scatter(x=x, y=y, name=name, mode="lines", line=line, **more)


def figure(traces: Sequence[Any], *, title: str, x: str, y: str, height: int = HEIGHT) -> go.Figure:
    """Return a figure of the traces in the common style; ``title`` must be escaped."""
    return (
        styled(go.Figure(list(traces)), title, height)
        .update_xaxes(title_text=x)
        .update_yaxes(title_text=y)
    )


def styled(drawing: go.Figure, title: str, height: int = HEIGHT) -> go.Figure:
    """Return the figure in the common style: title on the left, legend below, a pale grid."""
    drawing.update_layout(
        template="plotly_white",
        title={"text": title, "x": 0.01, "xanchor": "left", "font": {"size": 16}},
        height=height,
        font={"family": "system-ui, sans-serif", "size": 13, "color": INK_COLOUR},
        margin={"l": 64, "r": 28, "t": 54, "b": 48},
        paper_bgcolor="white",
        plot_bgcolor="white",
        hovermode="x unified",
        legend={
            "orientation": "h",
            "x": 0,
            "xref": "container",
            "y": 0,
            "yref": "container",
            "yanchor": "bottom",
            "font": {"size": 12},
        },
    )
    axis: dict[str, Any] = {
        "gridcolor": GRID,
        "zerolinecolor": GRID,
        "linecolor": GRID,
        "automargin": True,
    }
    axis["title_font_size"] = 13
    return drawing.update_xaxes(ticklabeloverflow="hide past div", **axis).update_yaxes(**axis)
