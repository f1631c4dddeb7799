"""The frontier of a tuning: cost against violations."""

from __future__ import annotations

import plotly.graph_objects as go

from forecaster.plots.style import INK_COLOUR, figure
from scaler.control.review_words import per_cent
from scaler.decision.objective import Spent
from scaler.simulation.figures import LEAST_SHARE
from scaler.simulation.tuning import Tuned, compared


def frontier(found: Tuned) -> go.Figure:
    """Return cost against violations: the finalists, and what is compared with them."""
    tried = sorted(found.review.tried, key=lambda one: one.spent.replica_hours)
    chosen = found.review.choice
    points = [
        _points("settings that were tried", "circle", {str(t.tuning): t.spent for t in tried}),
        _points("chosen from now on", "star", {str(chosen.tuning): chosen.spent}),
        *(_points(name, "diamond", {name: one}) for name, one in compared(found).items()),
    ]
    asked = found.rules.objective.violations
    if asked is not None:
        hours = [x for drawn in points for x in drawn.x]
        points.append(
            go.Scatter(
                x=[min(hours), max(hours)], y=[asked, asked], mode="lines",
                name=f"objective, {per_cent(asked)}", line={"dash": "dot", "color": INK_COLOUR},
            )
        )  # fmt: skip
    drawn = figure(points, title="Cost against violations", x="replica-hours", y="violations")
    drawn.update_layout(hovermode="closest")
    return drawn.update_yaxes(type="log", tickformat=".3~%", dtick="D2")


def _points(name: str, symbol: str, found: dict[str, Spent]) -> go.Scatter:
    return go.Scatter(
        x=[one.replica_hours for one in found.values()],
        y=[max(one.violations, LEAST_SHARE) for one in found.values()],
        name=name, text=list(found), mode="markers", marker={"symbol": symbol, "size": 10},
        hovertemplate="%{text}: %{x:,.0f} replica-hours, %{y:.3%}",
    )  # fmt: skip
