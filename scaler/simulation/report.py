"""The HTML page and the JSON record of a replay."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from forecaster.report.page import Column, PageTable, figure_data, render_page
from scaler.simulation import figures, shedding_findings
from scaler.simulation.contest import CLAIRVOYANT, HPA, TIDEGATE, Contest
from scaler.simulation.findings import COLUMNS, row, sentences, verdict
from scaler.simulation.shedding_findings import Scenes


def html_report(
    contest: Contest,
    title: str,
    *,
    facts: Mapping[str, str] | None = None,
    scenes: Scenes | None = None,
) -> str:
    """Return a page that needs no network: about 5 MB, for it carries the plotting library.

    Args:
        contest: the contenders and their figures.
        title: heading of the page.
        facts: shown below the heading, such as the model's name.
        scenes: the comparison of limiters, if there is one.
    """
    passed, first = verdict(contest)
    values = {
        "title": title,
        "about": " · ".join([*(f"{k}: {v}" for k, v in (facts or {}).items()), extent(contest)]),
        "passed": passed,
        "verdict": first,
        "sentences": sentences(contest),
        "contenders": _table(COLUMNS, [row(contest, found) for found in contest.table]),
        "frontier": figure_data(figures.frontier(contest)) if contest.frontier else "",
        "replicas": figure_data(figures.replicas(contest, (HPA, TIDEGATE, CLAIRVOYANT))),
        "broken_requests": figure_data(figures.broken_requests(contest)),
        "trust": figure_data(figures.trust(contest)),
        "scenes": {
            scene.capitalize(): _table(shedding_findings.COLUMNS, map(shedding_findings.row, found))
            for scene, found in (scenes or {}).items()
        },
        "scenes_glossary": shedding_findings.GLOSSARY,
    }
    return render_page("replay.html", values, package=__package__)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> PageTable:
    head, *others = columns
    return PageTable([Column(head, words=True), *map(Column, others)], list(rows))


def extent(contest: Contest) -> str:
    """Return what was replayed: the span, the tick and the service model."""
    timing, model = contest.setting.scene.timing, contest.setting.scene.model
    first = datetime.fromtimestamp(timing.start, UTC)
    last = datetime.fromtimestamp(timing.start + timing.ticks * timing.tick_s, UTC)
    return (
        f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC in steps of {timing.tick_s:g} s; "
        f"{model.capacity_qps:,.4g} requests per second per replica; "
        f"start-up {model.start_up_s:g} s"
    )


def record(contest: Contest, scenes: Scenes | None = None) -> dict[str, Any]:
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
            "coverage": contest.setting.ours.coverage,
            "benched_share": contest.setting.ours.benched_share,
        },
        "rate_limits": shedding_findings.record(scenes or {}),
    }


def _plain(figures: dict[str, Any]) -> dict[str, Any]:
    """Return the figures without the name; infinity, which JSON does not have, becomes null."""
    return {
        key: value if not isinstance(value, float) or math.isfinite(value) else None
        for key, value in figures.items()
        if key != "name"
    }
