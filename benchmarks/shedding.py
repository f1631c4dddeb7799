"""Rate limiting: seven limiters in four scenes, and what becomes of tidegate's in others."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from multiprocessing import get_context

from benchmarks.limiters.closed_loop import Scenario
from benchmarks.limiters.outcome import InterceptionResult
from benchmarks.limiters.scenes import TIDEGATE, compare, hiding, rivals, scenarios, smaller
from benchmarks.tables import markdown

COLUMNS = (
    "limiter", "goodput", "served", "critical", "false rejects", "abuse blocked", "accuracy",
    "attainable", "p99, s", "settles, s", "violations", "replica-hours",
)  # fmt: skip
DECISIONS = ("accuracy", "false rejects", "abuse blocked")
SEEDS = 5
SHARES = (0.15, 0.3, 0.45, 0.6, 1.0)
# Size of the scenes that only tidegate is in: in full size a run is a minute or two of one core,
# most of it for what abusive clients send again and again.
PART = 0.25
WORKERS = 2

Results = Sequence[InterceptionResult]
Rows = list[tuple[object, ...]]


@dataclass(frozen=True)
class Section:
    """One table: who runs in which scene, and the rows that follow."""

    title: str
    columns: tuple[str, ...]
    jobs: list[tuple[Scenario, str]]
    rows: Callable[[Results], Rows]


def shedding() -> None:
    """Print a table per scene; then tidegate's by capacity told, seed, abuse and gateways."""
    scenes = scenarios()
    sections = [
        *map(_everybody, scenes), _told(scenes[2:]), _seeds(), _shares(scenes[0]),
        _gateways(scenes[2:]),
    ]  # fmt: skip
    jobs = [job for section in sections for job in section.jobs]
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        found = pool.map(_figures, jobs)
        for section in sections:
            rows = section.rows(list(islice(found, len(section.jobs))))
            print(f"\n## {section.title}\n")
            print(markdown(section.columns, rows), flush=True)


def _figures(job: tuple[Scenario, str]) -> InterceptionResult:
    scene, name = job
    return compare(scene, (name,))[0]


def _everybody(scene: Scenario) -> Section:
    jobs = [(scene, name) for name in rivals(scene)]
    return Section(
        f"Rate limiting: {scene.name}", COLUMNS, jobs, lambda found: list(map(_row, found))
    )


def _told(scenes: Sequence[Scenario]) -> Section:
    """Tell tidegate that a replica sustains more or less than it does."""
    variants = [replace(scene, told=told) for scene in scenes for told in (0.8, 1.0, 1.2)]
    names = [f"{scene.name}, told {scene.told:.0%}" for scene in variants]
    return _of_tidegate("tidegate told a wrong capacity", names, variants)


def _gateways(scenes: Sequence[Scenario]) -> Section:
    """Share the limit among gateways, each of which sees any client's requests."""
    variants = [replace(scene, gateways=count) for scene in scenes for count in (1, 2, 4)]
    names = [f"{scene.name}, {scene.gateways}" for scene in variants]
    return _of_tidegate("tidegate, by gateways that share its limit", names, variants)


def _of_tidegate(title: str, names: list[str], scenes: list[Scenario]) -> Section:
    def rows(found: Results) -> Rows:
        return [(name, *_row(one)[1:]) for name, one in zip(names, found, strict=True)]

    jobs = [(smaller(scene, PART), TIDEGATE) for scene in scenes]
    return Section(
        f"{title} (scenes of a quarter of the size)", ("scene", *COLUMNS[1:]), jobs, rows
    )


def _seeds() -> Section:
    return Section(
        f"Abuse hiding in a promotion, worst of {SEEDS} seeds",
        ("limiter", *DECISIONS),
        [(scenarios(seed)[2], TIDEGATE) for seed in range(SEEDS)],
        lambda found: [_worst(TIDEGATE, found)],
    )


def _shares(promotion: Scenario) -> Section:
    def rows(found: Results) -> Rows:
        return [
            (f"{share:.2f}", f.accuracy, f.false_rejects, f.abuse_blocked)
            for share, f in zip(SHARES, found, strict=True)
        ]

    return Section(
        "tidegate, by what 5 abusive clients send (as a part of what 500 normal ones do)",
        ("abuse", *DECISIONS),
        [(smaller(hiding(promotion, share), PART), TIDEGATE) for share in SHARES],
        rows,
    )


def _row(f: InterceptionResult) -> tuple[object, ...]:
    blocked = "-" if math.isnan(f.abuse_blocked) else f.abuse_blocked
    p99 = "lost" if math.isinf(f.p99_s) else f.p99_s
    settles = "never" if math.isinf(f.settling_s) else f"{f.settling_s:.0f}"
    return (
        f.name, f.goodput, f.served, f.critical, f.false_rejects, blocked, f.accuracy,
        f.attainable, p99, settles, f"{f.violations:.4f}", f"{f.replica_hours:.1f}",
    )  # fmt: skip


def _worst(name: str, found: Results) -> tuple[object, ...]:
    return (
        name,
        min(f.accuracy for f in found),
        max(f.false_rejects for f in found),
        min(f.abuse_blocked for f in found),
    )
