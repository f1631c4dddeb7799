"""The HTML page and the JSON record of a replay."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from forecaster.report.page import Column, PageTable, figure_data, render_page
from scaler.simulation import advice, figures, gateway_findings, limit_figures
from scaler.simulation.contest import TIDEGATE, Contest
from scaler.simulation.findings import COLUMNS, row, sentences, verdict
from scaler.simulation.gateway_outcome import GatewayOutcome


def html_report(
    contest: Contest,
    title: str,
    *,
    facts: Mapping[str, str] | None = None,
    limited: GatewayOutcome | None = None,
) -> str:
    """Return a page that needs no network: about 5 MB, for it carries the plotting library.

    Args:
        contest: the contenders and their figures.
        title: heading of the page.
        facts: shown below the heading, such as the model's name.
        limited: how gateways would have enforced the published limits, if that was replayed.
    """
    values = {
        "title": title,
        "about": " · ".join([*(f"{k}: {v}" for k, v in (facts or {}).items()), extent(contest)]),
        "intro": advice.intro(contest),
        "findings": advice.page_findings(contest, limited=limited is not None),
        "contenders": _contenders(contest),
        "frontier": figure_data(figures.frontier(contest)) if contest.frontier else "",
        "replicas": figure_data(figures.replicas(contest)),
        "broken_requests": figure_data(figures.broken_requests(contest)),
        "trust": figure_data(figures.trust(contest)),
        "rate_limits": None if limited is None else _rate_limits(limited),
    }
    return render_page("replay.html", values, package=__package__)


def _rate_limits(found: GatewayOutcome) -> dict[str, Any]:
    return {
        "extent": gateway_findings.extent(found),
        "over_time": figure_data(limit_figures.limited_over_time(found)),
        "by_class": figure_data(limit_figures.limited_by_class(found)),
        "excess": gateway_findings.excess(found),
        "glossary": gateway_findings.GLOSSARY,
    }


def _contenders(contest: Contest) -> PageTable:
    head, *others = COLUMNS
    names = [found.name for found in contest.table]
    return PageTable(
        [Column(head, words=True), *map(Column, others)],
        [row(contest, found) for found in contest.table],
        marked=names.index(TIDEGATE),
    )


def extent(contest: Contest) -> str:
    """Return what was replayed: the span, the tick and the service model."""
    scene = contest.setting.scene
    timing, model = scene.timing, scene.model
    first, last = (datetime.fromtimestamp(scene.now(t), UTC) for t in (0, scene.ticks))
    return (
        f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC in steps of {timing.tick_s:g} s; "
        f"{model.capacity_qps:,.4g} requests per second per replica; "
        f"start-up {model.start_up_s:g} s"
    )


def record(contest: Contest, limited: GatewayOutcome | None = None) -> dict[str, Any]:
    """Return all figures as plain values for JSON."""
    passed, first = verdict(contest)
    return {
        "extent": extent(contest),
        "verdict": {"passed": passed, "text": first, "sentences": sentences(contest)},
        "contenders": {found.name: _plain(asdict(found)) for found in contest.table},
        "frontier": [
            {"family": p.family, "target": p.target, **_plain(asdict(p.outcome))}
            for p in contest.frontier
        ],
        "reasons": dict(contest.reasons),
        "trust": {
            "coverage": contest.coverage,
            "benched_share": contest.benched_share,
        },
        "rate_limits": gateway_findings.record(limited),
    }


def _plain(figures: dict[str, Any]) -> dict[str, Any]:
    """Return the figures without the name; infinity, which JSON does not have, becomes null."""
    return {
        key: value if not isinstance(value, float) or math.isfinite(value) else None
        for key, value in figures.items()
        if key != "name"
    }
