"""The page and the record of a replay."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from forecaster.report.page import Column, document, drawing, table, text
from scaler.simulation import figures, gateway_findings
from scaler.simulation.contest import CLAIRVOYANT, HPA, TIDEGATE, Contest
from scaler.simulation.findings import COLUMNS, row, sentences, verdict
from scaler.simulation.gateway_replay import GatewayOutcome

GLOSSARY = {
    "Contenders": "The HPA as the policy gives it; KEDA's prometheus scaler with the same target; "
    "tidegate on the forecast of Holt-Winters; the floor of tidegate under that same HPA; tidegate "
    "with the HPA's target moved to the capacity, as a net; and the clairvoyant, who knows the "
    "demand beforehand: the floor of what is possible.",
    "Violations": "The share of requests that took longer than the SLO allows or were dropped.",
    "x floor": "Replica-hours relative to the clairvoyant's.",
    "Replica-hours": "From the creation of a replica to its removal, whether it is ready or not.",
    "Utilisation": "Mean demand as a share of what all replicas sustain within the SLO.",
    "Worst minute": "The largest share of violations in any minute.",
    "Target": "Demand per replica as a share of what it sustains within the SLO. The frontier "
    "sweeps it, so that contenders can be compared at equal violations or at equal cost.",
}


def html_report(
    contest: Contest,
    title: str,
    *,
    facts: Mapping[str, str] | None = None,
    limited: GatewayOutcome | None = None,
) -> str:
    """Return a page that needs no network: about 5 MB, for it carries the plotting library.

    Args:
        contest: the contenders.
        title: heading of the page.
        facts: what else to say on top, such as the model's name.
        limited: what gateways made of the published limits, where that was replayed.
    """
    passed, first = verdict(contest)
    told = "".join(text(sentence) for sentence in sentences(contest))
    kind = "verdict passed" if passed else "verdict"
    about = " · ".join([*(f"{k}: {v}" for k, v in (facts or {}).items()), extent(contest)])
    head, *others = COLUMNS
    columns = [Column(head, words=True), *map(Column, others)]
    body = [
        text(title, "h1"),
        text(about, kind="quiet"),
        f'<div class="{kind}">{text(first, kind="first")}{told}</div>',
        text("Contenders", "h2"),
        table(columns, [row(contest, found) for found in contest.table]),
    ]
    if contest.frontier:
        body += [
            text("Cost against violations", "h2"),
            text("Each line sweeps one contender's target. Lower left is better.", kind="quiet"),
            drawing(figures.frontier(contest), "Replica-hours against violations, by contender"),
        ]
    names = (HPA, TIDEGATE, CLAIRVOYANT)
    body += [
        text("Replicas", "h2"),
        text("Needed: demand over what one replica sustains within the SLO.", kind="quiet"),
        drawing(
            figures.replicas(contest, names), "Replicas of the contenders over what was needed"
        ),
        text("Requests over the SLO or dropped, so far", "h2"),
        drawing(figures.broken_requests(contest), "Running total of violations, by contender"),
        text("Trust in the forecast", "h2"),
        text(
            "The share of lead times whose demand stayed within what was foreseen, over the last "
            "hours, and the level at which the forecast was read to keep the risk.",
            kind="quiet",
        ),
        drawing(figures.trust(contest), "Realised coverage and the level read"),
        text("How to read this", "h2"),
        f"<dl>{''.join(text(k, 'dt') + text(v, 'dd') for k, v in GLOSSARY.items())}</dl>",
    ]
    return document(title, [*body, *_rate_limits(limited)])


def _rate_limits(found: GatewayOutcome | None) -> list[str]:
    if found is None:
        return []
    head, *others = gateway_findings.COLUMNS
    columns = [Column(head, words=True), *map(Column, others)]
    terms = (text(k, "dt") + text(v, "dd") for k, v in gateway_findings.GLOSSARY.items())
    return [
        text("Rate limits", "h2"),
        text(gateway_findings.extent(found), kind="quiet"),
        table(columns, gateway_findings.rows(found)),
        text(gateway_findings.excess(found)),
        f"<dl>{''.join(terms)}</dl>",
    ]


def extent(contest: Contest) -> str:
    """Return what was replayed, in words."""
    scene = contest.setting.scene
    timing, model = scene.timing, scene.model
    first, last = (datetime.fromtimestamp(scene.now(t), UTC) for t in (0, scene.ticks))
    return (
        f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC in steps of {timing.tick_s:g} s; "
        f"{model.capacity_qps:,.4g} requests per second per replica; "
        f"start-up {model.start_up_s:g} s"
    )


def record(contest: Contest, limited: GatewayOutcome | None = None) -> dict[str, Any]:
    """Return every figure as plain values for JSON."""
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
    """Return the figures without the name; JSON knows no infinity, so that is null."""
    return {
        key: value if not isinstance(value, float) or math.isfinite(value) else None
        for key, value in figures.items()
        if key != "name"
    }
