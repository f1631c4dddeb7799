"""Rate limiting: seven limiters in four scenes, and what a wrong capacity does to tidegate's."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from benchmarks.tables import markdown
from scaler.simulation.interception import InterceptionResult
from scaler.simulation.shedding import Scenario
from scaler.simulation.shedding_scenarios import LIMITER_ALONE, TIDEGATE, compare, hiding, scenarios

COLUMNS = (
    "limiter", "goodput", "served", "critical", "false rejects", "abuse blocked", "accuracy",
    "attainable", "p99, s", "settles, s", "violations", "replica-hours",
)  # fmt: skip
DECISIONS = ("accuracy", "false rejects", "abuse blocked")
SEEDS = 5


def shedding() -> None:
    """Print a table per scene, then tidegate with a wrong capacity, then other seeds."""
    scenes = scenarios()
    for scene in scenes:
        print(f"\n## Rate limiting: {scene.name}\n")
        print(markdown(COLUMNS, map(_row, compare(scene))))
    print("\n## tidegate told a wrong capacity\n")
    told = [
        (f"{scene.name}, told {told:.0%}", *_row(figures)[1:])
        for scene in scenes[2:]
        for told in (0.8, 1.0, 1.2)
        for figures in compare(replace(scene, told=told), (TIDEGATE,))
    ]
    print(markdown(("scene", *COLUMNS[1:]), told))
    print(f"\n## Abuse hiding in a promotion, worst of {SEEDS} seeds\n")
    print(markdown(("limiter", *DECISIONS), _worst()))
    print(
        "\n## tidegate, by what 20 abusive clients send (as a part of what 2,000 normal ones do)\n"
    )
    print(markdown(("abuse", *DECISIONS), _by_share(scenes[0])))


def _row(f: InterceptionResult) -> tuple[object, ...]:
    blocked = "-" if math.isnan(f.abuse_blocked) else f.abuse_blocked
    p99 = "lost" if math.isinf(f.p99_s) else f.p99_s
    settles = "never" if math.isinf(f.settling_s) else f"{f.settling_s:.0f}"
    return (
        f.name, f.goodput, f.served, f.critical, f.false_rejects, blocked, f.accuracy,
        f.attainable, p99, settles, f"{f.violations:.4f}", f"{f.replica_hours:.1f}",
    )  # fmt: skip


def _by_share(promotion: Scenario) -> Iterable[tuple[object, ...]]:
    for share in (0.15, 0.3, 0.45, 0.6, 1.0):
        (f,) = compare(hiding(promotion, share), (TIDEGATE,))
        yield f"{share:.2f}", f.accuracy, f.false_rejects, f.abuse_blocked


def _worst() -> Iterable[tuple[object, ...]]:
    names = (TIDEGATE, LIMITER_ALONE)
    runs = [compare(scenarios(seed)[2], names) for seed in range(SEEDS)]
    for name, figures in zip(names, zip(*runs, strict=True), strict=True):
        yield (
            name,
            min(f.accuracy for f in figures),
            max(f.false_rejects for f in figures),
            min(f.abuse_blocked for f in figures),
        )
