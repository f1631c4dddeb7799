"""An announced promotion in closed loop, and what replaying a month costs.

Generated traffic, not recorded: it shows the mechanism, and says nothing about accuracy.
"""

from __future__ import annotations

import resource
import time
from datetime import UTC, datetime, timedelta

import numpy as np

from benchmarks.tables import markdown
from forecaster.data.series import Series
from forecaster.data.synthetic import MONDAY, SERVICES, ServiceSpec, generate
from scaler.decision.demand import AnnouncedEvent
from scaler.decision.replicas import ScalePolicy
from scaler.hpa.controller import HPASpec, MetricKind
from scaler.policy.policy import Policy
from scaler.policy.replay_settings import ReplaySettings
from scaler.simulation.contest import TARGETS, Contest, ContestSetting, contest, run_count
from scaler.simulation.findings import latency, share
from scaler.simulation.preparation import ReplayPart, prepared

DAYS, MULTIPLIER, RISE_MINUTES = 15, 2.5, 3
OWN_TARGET, OUR_TARGET = 0.6, 0.95
MARGIN = timedelta(minutes=15)


def promotion() -> None:
    """A promotion of three hours that was announced, and a quarter of an hour either side."""
    print("\n## An announced promotion\n")
    print(
        f"Demand x {MULTIPLIER:g} within {RISE_MINUTES} minutes, for three hours, and a quarter of "
        f"an hour either side. HPA target {OWN_TARGET:g}, tidegate's {OUR_TARGET:g}; the forecast "
        "is Holt-Winters'. Nobody's p99 can be below that of an idle service, 230 ms.\n"
    )
    print(_table(contest(promotion_setting(), targets=())))


def promotion_setting() -> ContestSetting:
    """Return the promotion, ready to be replayed."""
    series, event = promoted()
    start = datetime.fromtimestamp(event.starts, UTC) - MARGIN
    series = series.between(series.start, datetime.fromtimestamp(event.ends, UTC) + MARGIN)
    policy = _policy(series, (event,))
    return prepared(series, policy, ReplaySettings(_hpa(policy)), None, ReplayPart(start))


def promoted() -> tuple[Series, AnnouncedEvent]:
    """Return two weeks and a day of a shop, with a promotion from 12:00 to 15:00 of the last."""
    quiet = ServiceSpec(
        "shop/checkout", SERVICES[0].level_qps, promotions=0, flash_crowds=0, deploys=0, outages=0
    )
    series = generate((quiet,), MONDAY, timedelta(days=DAYS), seed=1).history[quiet.item_id]
    begins = MONDAY + timedelta(days=DAYS - 1, hours=12)
    ends = begins + timedelta(hours=3)
    minutes = (series.stamps - begins.timestamp()) / 60
    during = (minutes > 0) & (series.stamps <= ends.timestamp())
    raised = 1 + (MULTIPLIER - 1) * np.clip(minutes / RISE_MINUTES, 0, 1)
    values = series.values * np.where(during, raised, 1.0)
    event = AnnouncedEvent("promotion", begins.timestamp(), ends.timestamp(), multiplier=MULTIPLIER)
    return Series(series.item_id, series.start, series.step, values), event


def replay_speed() -> None:
    """A month of one service at 15 s, all contenders, with and without the sweep of targets."""
    spec = SERVICES[0]
    days = timedelta(days=40)
    series = generate((spec,), MONDAY, days, seed=3).history[spec.item_id]
    policy = _policy(series, ())
    start = series.end - timedelta(days=30)
    rows = []
    for name, targets in (("table", ()), ("table and frontier", TARGETS)):
        begun, cpu_begun = time.perf_counter(), _cpu_s()
        settings = ReplaySettings(_hpa(policy))
        setting = prepared(series, policy, settings, None, ReplayPart(start, skip_gaps=True))
        staging = time.perf_counter() - begun
        contest(setting, targets=targets, workers=2)
        took = time.perf_counter() - begun, _cpu_s() - cpu_begun
        rows.append((name, run_count(len(targets)), staging, *took))
    print("\n## Replaying 30 days of one service at 15 s, on two cores\n")
    columns = ("what", "replays", "seconds for forecasts", "seconds in all", "CPU seconds in all")
    print(markdown(columns, rows))


def _cpu_s() -> float:
    """Return the processor time of this process and of its workers that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _policy(series: Series, events: tuple[AnnouncedEvent, ...]) -> Policy:
    return Policy(
        item_id=series.item_id,
        target="checkout",
        scale=ScalePolicy(1, 100, OUR_TARGET),
        capacity_qps=float(np.nanmax(series.values)) / 32,
        events=events,
    )


def _hpa(policy: Policy) -> HPASpec:
    assert policy.capacity_qps is not None
    return HPASpec(1, 100, MetricKind.PODS, OWN_TARGET * policy.capacity_qps)


def _table(found: Contest) -> str:
    rows = [
        (o.name, o.utilization, latency(o.p99_s), share(o.violations), o.replica_hours, o.changes)
        for o in found.table
    ]
    return markdown(
        ("contender", "utilisation", "p99", "violations", "replica-hours", "changes"), rows
    )
