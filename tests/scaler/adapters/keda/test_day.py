"""A simulated day of KEDA, HPA and tidegate: how closely the replicas follow the plan."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from scaler.adapters.keda.metric import shown_replicas
from scaler.hpa.controller import (
    DEFAULT_SCALE_DOWN,
    DEFAULT_SCALE_UP,
    HPA,
    HPASpec,
    MetricKind,
    Reading,
    ScalingRules,
)

TICK_S = SYNC_S = 15
DAY_S = 24 * 3600


def wave(second: int) -> int:
    """A plan that rises to 120 replicas and falls again, with a promotion at noon."""
    swell = 65 - 55 * math.cos(2 * math.pi * second / DAY_S)
    return math.ceil(swell * (1.4 if DAY_S / 2 <= second < DAY_S / 2 + 1800 else 1.0))


def steps(second: int) -> int:
    """One replica more every quarter of an hour, the case that a tolerance misses."""
    return 20 + second // 900


def lived(plan: Callable[[int], int], tolerance: float, shown: float) -> list[tuple[int, int]]:
    """Return plan and replicas at each sync; the snapshot is half a sync old."""
    up = ScalingRules(DEFAULT_SCALE_UP.policies, tolerance=tolerance)
    down = ScalingRules(DEFAULT_SCALE_DOWN.policies, stabilization_s=300, tolerance=tolerance)
    hpa = HPA(HPASpec(1, 1000, MetricKind.EXTERNAL_AVERAGE, 1.0, up, down))
    replicas, value, day = plan(0), plan(0), []
    for second in range(0, DAY_S, SYNC_S):
        replicas = hpa.sync(float(second), replicas, Reading(float(value), replicas)).replicas
        day.append((plan(second), replicas))
        value = shown_replicas(plan(second + TICK_S // 2), replicas, shown)
    return day


def missing(day: list[tuple[int, int]]) -> list[int]:
    """Return the replicas missing from a plan that is a tick and two syncs old, at each sync."""
    return [
        max(min(before[0], now[0]) - now[1], 0) for before, now in zip(day, day[3:], strict=False)
    ]


def beyond(day: list[tuple[int, int]]) -> float:
    """Return the replica-hours as a share of those planned."""
    return sum(replicas for _, replicas in day) / sum(plan for plan, _ in day)


PLANS = [pytest.param(plan, id=plan.__name__) for plan in (wave, steps)]


@pytest.mark.parametrize("plan", PLANS)
def test_without_a_tolerance_the_replicas_follow_the_plan_exactly(plan):
    day = lived(plan, 0.0, 0.0)
    assert not any(missing(day))
    # On a scale-down the HPA's stabilization holds them for five minutes.
    assert beyond(day) < 1.01


@pytest.mark.parametrize("plan", PLANS)
def test_with_a_tolerance_no_replicas_are_missing_and_few_are_extra(plan):
    day = lived(plan, 0.1, 0.1)
    assert not any(missing(day))
    assert beyond(day) < 1.06


def test_the_plan_shown_as_it_is_would_leave_replicas_missing_most_of_the_day():
    short = missing(lived(steps, 0.1, 0.0))
    assert sum(count > 0 for count in short) > 0.8 * len(short)
