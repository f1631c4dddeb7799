"""Outages upstream: demand falls to a twentieth at once, and is back at once.

    python -m benchmarks outages

The plain HPA, and tidegate by the default policy with and without `demand.hold`, on the same
history. tidegate forecasts by Holt-Winters, so nothing is trained; it is driven as by `scaler
replay`. Each replay begins an hour before the outage and ends an hour after it.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.tables import markdown
from benchmarks.traces import ONE_MINUTE, load
from forecaster.data.series import Series
from scaler.decision.hold import IMPLAUSIBLE_SHARE, HoldRules
from scaler.decision.replicas import ScalePolicy
from scaler.decision.seasonal_low import HalfHours, seasonal_lows
from scaler.policy.policy import Policy
from scaler.policy.replay_settings import DEFAULT_TARGET, ReplaySettings
from scaler.simulation.contest import HPA, TIDEGATE, ContestJob, carried_out
from scaler.simulation.outcome import outcome
from scaler.simulation.preparation import ReplayPart, prepared

TRACES = ("ms_mongo02", "ms_machine01", "ms_ingress04")
MINUTES, HOURS = (5, 15, 30, 60), (1, 7, 13, 19)  # how long, and how long before the last day
LEFT = 0.05  # of demand
AROUND = timedelta(hours=1)
PEAK_REPLICAS = 40
OFF = HoldRules(share=0.0)


class Came(NamedTuple):
    """What a contender came to: the share of broken requests, and its cost."""

    violations: float
    replica_hours: float


@dataclass(frozen=True, slots=True)
class Outage:
    """One outage, and what each came to in it."""

    trace: str
    minutes: int
    hpa: Came
    without: Came
    held: Came


def outage(series: Series, begins: int, minutes: int) -> Outage:
    """Return what each comes to where the samples from ``begins`` on are lost upstream."""
    around, day = AROUND // series.step, timedelta(days=1) // series.step
    end = begins + minutes + around
    values = series.values[:end].copy()
    values[begins : begins + minutes] *= LEFT
    policy = Policy(
        item_id=series.item_id,
        target=series.item_id,
        scale=ScalePolicy(1, 5 * PEAK_REPLICAS),
        capacity_qps=float(np.nanmax(series.values[begins - day : end])) / PEAK_REPLICAS,
    )
    part = ReplayPart(series.start + (begins - around) * series.step, skip_gaps=True)
    lost = replace(series, values=values)
    own = policy.scale.target_utilization
    return Outage(
        series.item_id,
        minutes,
        _came(lost, policy, part, ContestJob(HPA, DEFAULT_TARGET)),
        _came(lost, replace(policy, hold=OFF), part, ContestJob(TIDEGATE, own)),
        _came(lost, policy, part, ContestJob(TIDEGATE, own)),
    )


def _came(series: Series, policy: Policy, part: ReplayPart, job: ContestJob) -> Came:
    setting = prepared(series, policy, ReplaySettings(), None, part)
    found = outcome(setting.scene, carried_out(setting, job)[0])
    return Came(found.violations, found.replica_hours)


def outages(traces: Path) -> None:
    """What outages upstream come to, and how often ordinary traffic is taken for one."""
    history = load(traces, TRACES)
    found = [
        outage(_named(series), len(series) - round((24 + before) * 60), minutes)
        for series in history
        for before in HOURS
        for minutes in MINUTES
    ]
    print("\n## Outages upstream: demand at 5 %, back at once\n")
    print(markdown(COLUMNS, rows(found)))
    worse = [one for one in found if one.held.violations > one.hpa.violations]
    print(f"\nWorse than the plain HPA with `demand.hold`: {len(worse)} of {len(found)}.")
    print("\n### How often ordinary traffic is implausibly low\n")
    print(markdown(ORDINARY, ordinary(traces)))


COLUMNS = (
    "trace", "minutes", "HPA: broken, per cent", "hold off", "hold", "HPA: replica-hours",
    "hold off", "hold",
)  # fmt: skip
ORDINARY = (
    "trace", "low / demand", "time, per cent", "times", "hold off: broken, per cent", "hold",
    "hold off: replica-hours", "hold",
)  # fmt: skip


def rows(found: list[Outage]) -> Iterator[tuple[object, ...]]:
    """Yield the mean over the hours of the day, by trace and length."""
    for trace in dict.fromkeys(one.trace for one in found):
        for minutes in MINUTES:
            those = [one for one in found if (one.trace, one.minutes) == (trace, minutes)]
            each = [[getattr(one, who) for one in those] for who in ("hpa", "without", "held")]
            broken = [100 * statistics.fmean(came.violations for came in one) for one in each]
            hours = [statistics.fmean(came.replica_hours for came in one) for one in each]
            yield (trace.partition("/")[2], minutes, *broken, *(f"{one:.1f}" for one in hours))


def ordinary(traces: Path) -> Iterator[tuple[object, ...]]:
    """Yield of each trace how often it is implausibly low, and what holding cost at its end."""
    for series in load(traces, ONE_MINUTE):
        places = np.arange(2 * 1440, len(series))
        parts = np.array_split(places, len(places) // 1440)
        half_hours, values = HalfHours.of(series.step), series.values.astype(np.float32)
        lows = np.concatenate([seasonal_lows(half_hours.before(values, part)) for part in parts])
        known = np.isfinite(values[places]) & np.isfinite(lows)
        usual, lows = values[places][known], lows[known]
        low = usual < IMPLAUSIBLE_SHARE * lows
        share, ratio = 100 * float(low.mean()), float(np.median(lows / np.maximum(usual, 1e-9)))
        yield (series.item_id, ratio, share, _times(low), *_cost(_named(series)))


def _cost(series: Series) -> Iterator[object]:
    """Yield what holding nothing and holding came to in the last two days, forecast from ten."""
    length, series = 2 * 1440, series.between(series.end - timedelta(days=12), series.end)
    peak = float(np.nanmax(series.values[-length:]))
    policy = Policy(
        item_id=series.item_id,
        target=series.item_id,
        scale=ScalePolicy(1, 5 * PEAK_REPLICAS),
        capacity_qps=peak / PEAK_REPLICAS,
    )
    part = ReplayPart(series.end - length * series.step, skip_gaps=True)
    job = ContestJob(TIDEGATE, policy.scale.target_utilization)
    both = [_came(series, one, part, job) for one in (replace(policy, hold=OFF), policy)]
    yield from (100 * one.violations for one in both)
    yield from (f"{one.replica_hours:.1f}" for one in both)


def _times(low: np.ndarray) -> int:
    """Return how often something begins that was not so for a quarter of an hour before."""
    places: Iterable[int] = np.flatnonzero(low)
    return sum(place - before > 15 for before, place in zip([-99, *places], places, strict=False))


def _named(series: Series) -> Series:
    return replace(series, item_id=f"trace/{series.item_id}")
