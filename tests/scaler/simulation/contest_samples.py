"""Contests with figures made by hand, for what is said and drawn of them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from scaler.simulation.contest import HPA, TIDEGATE, Contest, FrontierPoint, contest
from scaler.simulation.outcome import ReplayOutcome
from tests.scaler.simulation.replay_samples import setting_of


@cache
def small_contest() -> Contest:
    """Return an hour of a wave, with two targets; it is frozen, so tests may share it."""
    return contest(setting_of(1.0), targets=(0.6, 0.9))


def with_table(**changed: dict[str, float]) -> Contest:
    """Return the small contest with other figures: ``HPA={"violations": 0.1}``, or tidegate's."""
    names = {"hpa": HPA, "tidegate": TIDEGATE}
    by_name = {names.get(name, name): figures for name, figures in changed.items()}
    held = small_contest()
    table = tuple(replace(found, **by_name.get(found.name, {})) for found in held.table)
    return replace(held, table=table)


def with_frontier(*points: tuple[str, float, float, float]) -> Contest:
    """Return the small contest with a frontier of (family, target, hours, violations)."""
    return replace(
        small_contest(),
        frontier=tuple(
            FrontierPoint(
                family, target, ReplayOutcome(family, hours, broken, 0.0, 0.2, 0.5, broken, 3, 9)
            )
            for family, target, hours, broken in points
        ),
    )
