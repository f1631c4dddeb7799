"""Snapshots to publish, made of given numbers."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from scaler.control.snapshot import (
    Condition,
    ConditionKind,
    CostLedger,
    PublishedForecast,
    RecentTicks,
    ServiceView,
    Snapshot,
)
from scaler.decision.capacity import given_capacity
from scaler.decision.decide import DecisionSettings, Observation, decide, initial_state
from scaler.decision.demand import LeadDemand
from scaler.decision.limit import LimitPolicy
from scaler.decision.replicas import ScalePolicy
from scaler.decision.trust import TrustRules, initial_trust
from scaler.limits.header_match import HeaderMatch
from scaler.limits.lease import AfterSafe, LeaseTerms
from scaler.limits.priority_classes import PriorityClass
from scaler.limits.published_limit import published_limit
from scaler.limits.schedule import Fleet
from scaler.policy.policy import Mode, Policy
from tests.waiting import PATIENCE_S

AT = 1_800_000_000.0
PAY = PriorityClass("pay", 0, guaranteed_qps=120.0)
STRESS = PriorityClass(
    "stress", 9, ceiling_qps=40.0, then=AfterSafe.CLOSED, match=HeaderMatch("x-stress-test")
)
# So short that a test sees a lease expire.
SHORT = LeaseTerms(valid_for_s=2.0, refresh_s=0.4)
# So long that no wait for a change ends by itself.
PATIENT = LeaseTerms(valid_for_s=100 * PATIENCE_S)

FAN = PublishedForecast(
    AT - 30.0,
    60.0,
    (0.5, 0.9),
    np.array([[1000.0, 1300.0], [1100.0, 1460.0], [900.0, 1200.0]]),
    "lstm/3",
)


class Clock:
    """A manual clock in monotonic seconds."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def view(
    service: str = "prod/shop",
    *,
    ready: int = 8,
    each_qps: float = 155.0,
    planned: int | None = None,
    lease: LeaseTerms = LeaseTerms(),  # noqa: B008 - it is frozen
) -> ServiceView:
    """Return a service whose ``ready`` replicas serve ``each_qps``; fewer may be planned."""
    policy = Policy(
        item_id=service,
        target=service.partition("/")[2],
        scale=ScalePolicy(min_replicas=1, max_replicas=100),
        capacity_qps=each_qps,
        mode=Mode.ENFORCE,
        lease=lease,
        classes=(PAY, STRESS),
    )
    demand = ready * each_qps * 0.75
    observation = Observation(
        AT, demand, LeadDemand(demand * 1.05, demand * 1.05, demand), warm=float(ready)
    )
    wanted = DecisionSettings(given_capacity(each_qps), policy.scale, LimitPolicy())
    decision = decide(observation, initial_state(max(ready, 1), AT), wanted)
    if planned is not None:
        decision = replace(decision, plan=replace(decision.plan, replicas=planned))
    fleet = Fleet((300.0,) * ready, each_qps)
    return ServiceView(
        policy=policy,
        at=AT,
        replicas=ready,
        floor=ready,
        ready=ready,
        observed_qps=demand,
        hpa_replicas=ready + 1,
        decision=decision,
        published_limit=published_limit(decision, fleet, ready, LimitPolicy(), policy.classes),
        forecast=FAN,
        trust=initial_trust(TrustRules(), 2),
        recent=RecentTicks(
            *(np.array([AT - 15.0, AT]) for _ in range(6)), np.array([math.nan, 1240.0])
        ),
        ledger=CostLedger(3600.0, 8.0, 9.0, 0.0, 30.0),
        conditions=(Condition(ConditionKind.READY, True, "Deciding", "all is well"),),
    )


def snapshot(*views: ServiceView, tick: int = 1, seconds: float = 0.0) -> Snapshot:
    """Return a snapshot of these services; without any, of prod/shop."""
    services = views or (view(),)
    return Snapshot(tick, AT, {one.item_id: one for one in services}, seconds)
