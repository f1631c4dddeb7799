"""Figures of a replay, drawn with plotly: pure functions, nothing is shown or written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from forecaster.data.series import FloatArray
from forecaster.plots.labels import label
from forecaster.plots.style import (
    BLUE,
    GREEN,
    GREY,
    INK_COLOUR,
    ORANGE,
    PURPLE,
    TIME_AXIS,
    VERMILION,
    figure,
    times,
)
from forecaster.plots.thinning import thinned
from scaler.errors import ReplayError
from scaler.simulation.contest import (
    CLAIRVOYANT,
    FLOOR_ONLY,
    HOLT_WINTERS,
    HPA,
    KEDA,
    OFFSET_DAY,
    OFFSET_WEEK,
    PREDICTIVE,
    TIDEGATE,
    Contest,
)
from scaler.simulation.outcome import violations_per_tick

if TYPE_CHECKING:
    from scaler.simulation.what_if import Sweep

COLOURS = {
    TIDEGATE: BLUE, HPA: VERMILION, KEDA: ORANGE, HOLT_WINTERS: PURPLE, CLAIRVOYANT: GREY,
    FLOOR_ONLY: GREEN, OFFSET_WEEK: ORANGE, OFFSET_DAY: ORANGE, PREDICTIVE: VERMILION,
}  # fmt: skip
SHADES = (BLUE, GREEN, ORANGE, PURPLE, GREY)
SYMBOLS = {FLOOR_ONLY: "diamond", CLAIRVOYANT: "star"}
DASHES = {
    KEDA: "dot", OFFSET_WEEK: "dashdot", OFFSET_DAY: "longdash", HOLT_WINTERS: "dash",
    CLAIRVOYANT: "dot", FLOOR_ONLY: "dash", PREDICTIVE: "dashdot",
}  # fmt: skip
# Shares below this are drawn there: nobody can tell them apart, and a logarithm has no zero.
LEAST_SHARE = 1e-5


def plot_contest(contest: Contest, what: str) -> go.Figure:
    """Return the figure of that name.

    Raises:
        ReplayError: there is none of that name, or no target was swept for the frontier.
    """
    drawn = {
        "replicas": replicas, "frontier": frontier, "broken_requests": broken_requests,
        "trust": trust,
    }  # fmt: skip
    if what not in drawn:
        raise ReplayError(f"no figure is called {what!r}; there are {', '.join(drawn)}")
    if what == "frontier" and not contest.frontier:
        raise ReplayError("no target was swept, so there is no frontier; give replay(targets=...)")
    return drawn[what](contest)


def plot_sweep(sweep: Sweep) -> go.Figure:
    """Return tidegate's cost against violations, with a curve each where targets are swept."""
    if all(contest.frontier for contest in sweep.contests.values()):
        return frontiers(sweep.contests)
    first = next(iter(sweep.contests.values()))
    floor = _hours(first, CLAIRVOYANT)
    found = {HPA: first.outcome(HPA)} | {
        label(name): contest.outcome(TIDEGATE) for name, contest in sweep.contests.items()
    }
    return _frontiers(
        [
            go.Scatter(
                x=[one.replica_hours / floor], y=[max(one.violations, LEAST_SHARE)], name=name,
                mode="markers", marker={"size": 12}, hovertemplate="%{x:.2f} x, %{y:.3%}",
            )
            for name, one in found.items()
        ]
    )  # fmt: skip


def frontier(contest: Contest) -> go.Figure:
    """Return cost against violations for the sweep of targets: lower left is better.

    A contender that has no targets to sweep is a point.
    """
    floor = _hours(contest, CLAIRVOYANT)
    swept = {point.family for point in contest.frontier}
    traces = []
    for found in contest.table:
        if found.name in swept:
            traces.append(_curve(contest, found.name, found.name))
            continue
        traces.append(
            go.Scatter(
                x=[found.replica_hours / floor], y=[max(found.violations, LEAST_SHARE)],
                name=found.name, mode="markers",
                marker={"color": COLOURS[found.name], "symbol": SYMBOLS.get(found.name), "size": 9},
                hovertemplate="%{x:.2f} x, %{y:.3%}",
            )
        )  # fmt: skip
    marked = go.Scatter(
        x=[o.replica_hours / floor for o in contest.table],
        y=[max(o.violations, LEAST_SHARE) for o in contest.table],
        name="as configured", text=[o.name for o in contest.table], mode="markers",
        marker={"symbol": "circle-open", "size": 14, "color": INK_COLOUR, "line": {"width": 2}},
        hovertemplate="%{text}: %{x:.2f} x, %{y:.3%}",
    )  # fmt: skip
    return _frontiers([*traces, marked])


def frontiers(contests: Mapping[str, Contest]) -> go.Figure:
    """Return the frontier of tidegate in each contest, by name, beside the first one's HPA."""
    first = next(iter(contests.values()))
    curves = [_curve(first, HPA, HPA)]
    for i, (name, contest) in enumerate(contests.items()):
        curve = _curve(contest, TIDEGATE, name)
        curve.line.color = SHADES[i % len(SHADES)]
        curves.append(curve)
    return _frontiers(curves)


def _curve(contest: Contest, family: str, name: str) -> go.Scatter:
    floor = _hours(contest, CLAIRVOYANT)
    points = [p for p in contest.frontier if p.family == family]
    points.sort(key=lambda p: p.outcome.replica_hours)
    return go.Scatter(
        x=[p.outcome.replica_hours / floor for p in points],
        y=[max(p.outcome.violations, LEAST_SHARE) for p in points],
        name=name, mode="lines+markers", line=_line(family), marker={"size": 6},
        customdata=[p.target for p in points],
        hovertemplate="target %{customdata:.2f}: %{x:.2f} x, %{y:.3%}",
    )  # fmt: skip


def _frontiers(traces: Sequence[go.Scatter]) -> go.Figure:
    drawn = figure(
        traces,
        title="Cost against violations",
        x="replica-hours (clairvoyant: 1)",
        y="violations",
    )
    drawn.update_layout(hovermode="closest")
    return drawn.update_yaxes(type="log", tickformat=".3~%", dtick="D2")


def replicas(contest: Contest, names: Sequence[str] = ()) -> go.Figure:
    """Return the replicas of the named contenders, or of all, over what the demand needed."""
    setting = contest.setting
    need = setting.scene.demand / setting.capacity_qps
    stamps = _stamps(contest)
    at = thinned(need)
    traces = [
        go.Scatter(
            x=times(stamps[at]), y=need[at], name="needed", mode="lines",
            line={"color": INK_COLOUR, "width": 1.2}, hovertemplate="%{y:.1f}",
        )
    ]  # fmt: skip
    for name in names or contest.runs:
        count = contest.runs[name].replicas
        at = thinned(count)
        traces.append(
            go.Scatter(
                x=times(stamps[at]), y=count[at], name=name, mode="lines",
                line={**_line(name), "shape": "hv"}, hovertemplate="%{y:.0f}",
            )
        )  # fmt: skip
    return _from_zero(figure(traces, title="Replicas", x=TIME_AXIS, y="replicas"))


def broken_requests(contest: Contest) -> go.Figure:
    """Return how many requests had been over the SLO or dropped by each moment."""
    scene = contest.setting.scene
    stamps = _stamps(contest)
    traces = []
    for name, run in contest.runs.items():
        broken = np.cumsum(violations_per_tick(scene, run) * run.offered) * scene.timing.tick_s
        at = thinned(broken)
        traces.append(
            go.Scatter(
                x=times(stamps[at]), y=broken[at], name=name, mode="lines", line=_line(name),
                hovertemplate="%{y:.3s}",
            )
        )  # fmt: skip
    title = "Requests over the SLO, dropped or refused, so far"
    return _from_zero(figure(traces, title=title, x=TIME_AXIS, y="requests"))


def trust(contest: Contest) -> go.Figure:
    """Return the realised coverage of the forecasts, and the level at which each was read."""
    scene, traces = contest.setting.scene, []
    for who, path in ((TIDEGATE, contest.trust), (HOLT_WINTERS, contest.smoothing_trust)):
        stamps = np.linspace(scene.now(0), scene.now(scene.ticks), len(path))
        series = {
            f"{who}: within what was foreseen": [t.coverage for t in path],
            f"{who}: level read": [t.level for t in path],
        }
        for (name, values), dash in zip(series.items(), ("solid", "dot"), strict=True):
            found = np.array(values)
            at = thinned(found)
            traces.append(
                go.Scatter(
                    x=times(stamps[at].astype(np.int64)), y=found[at], name=name, mode="lines",
                    line={"color": COLOURS[who], "width": 2, "dash": dash},
                    hovertemplate="%{y:.3f}",
                )
            )  # fmt: skip
    drawn = figure(traces, title="Trust in the forecast", x=TIME_AXIS, y="share of lead times")
    return drawn.update_yaxes(tickformat=".0%")


def _from_zero(drawn: go.Figure) -> go.Figure:
    return drawn.update_yaxes(rangemode="tozero")


def _line(name: str) -> dict[str, object]:
    width = 3.0 if name == TIDEGATE else 1.5
    return {"color": COLOURS[name], "width": width, "dash": DASHES.get(name, "solid")}


def _stamps(contest: Contest) -> FloatArray:
    scene = contest.setting.scene
    return np.asarray(scene.start + scene.timing.tick_s * np.arange(scene.ticks)).astype(np.int64)


def _hours(contest: Contest, name: str) -> float:
    return contest.outcome(name).replica_hours
