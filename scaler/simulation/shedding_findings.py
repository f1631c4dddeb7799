"""What the comparison of limiters found, as texts; the command and the page say the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from scaler.simulation.findings import latency, share
from scaler.simulation.interception import InterceptionResult
from scaler.simulation.shedding_scenarios import compare, scenarios

COLUMNS = ("limiter", "goodput", "critical", "false rejects", "abuse blocked", "accuracy",
           "attainable", "p99", "settles", "violations")  # fmt: skip
GLOSSARY = {
    "Scenes": "Generated: 2,000 normal clients and, in one scene, 20 abusive ones; 40 minutes "
    "each. All limiters but tidegate run beside an HPA with target 0.65 that does not look ahead.",
    "Goodput": "Normal requests served within the SLO, over the least of what was offered and what "
    "the replicas could serve.",
    "Critical": "The same of the most important class, over all of it.",
    "False rejects": "Normal requests refused, over all normal ones.",
    "Accuracy": "Right decisions: normal requests admitted and abusive ones refused. Attainable is "
    "that of a guard who knows who is abusive, on the same replicas: where normal clients alone "
    "send more than these can serve, nobody can admit them all.",
    "Settles": "Seconds from the onset until goodput stays at 0.95 or more.",
}

Scenes = dict[str, tuple[InterceptionResult, ...]]


def compared_limiters(progress: Callable[[str], None] = lambda _: None) -> Scenes:
    """Return the figures of every limiter, by scene."""
    found: Scenes = {}
    for scene in scenarios():
        found[scene.name] = compare(scene)
        progress(scene.name)
    return found


def row(found: InterceptionResult) -> list[str]:
    """Return one limiter's figures, as texts in the order of `COLUMNS`."""
    known = not math.isnan(found.abuse_blocked)
    return [
        found.name,
        f"{found.goodput:.3f}",
        f"{found.critical:.3f}",
        share(found.false_rejects),
        share(found.abuse_blocked) if known else "",
        f"{found.accuracy:.3f}",
        f"{found.attainable:.3f}",
        latency(found.p99_s),
        f"{found.settling_s:,.0f} s" if math.isfinite(found.settling_s) else "never",
        share(found.violations),
    ]


def record(scenes: Scenes) -> dict[str, Any]:
    """Return every figure as plain values for JSON, which knows neither infinity nor NaN."""
    return {
        scene: {one.name: _plain(asdict(one)) for one in found} for scene, found in scenes.items()
    }


def _plain(figures: dict[str, Any]) -> dict[str, Any]:
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in figures.items()
        if key != "name"
    }
