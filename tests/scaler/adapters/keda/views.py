"""Views of services for the tests of KEDA's calls."""

from __future__ import annotations

import math
from dataclasses import replace

from scaler.adapters.http.snapshot_holder import SnapshotHolder
from scaler.control.snapshot import ServiceView
from scaler.decision.capacity import given_capacity
from scaler.decision.decide import Decision, DecisionSettings, Observation, decide, initial_state
from scaler.decision.demand import NO_FORECAST
from scaler.decision.replicas import Plan, PlanReason
from tests.scaler.adapters.http.snapshots import AT, snapshot, view

SHOP = view()
CAPACITY = 155.0  # of one replica of it; 124 at a target utilization of 0.8


def planned(plan: int, current: int | None = None, **more: object) -> ServiceView:
    """Return a service with ``current`` replicas and a plan of ``plan``."""
    decision = replace(SHOP.decision, plan=Plan(plan, PlanReason.WANTED, plan))
    return replace(SHOP, decision=decision, replicas=current, **more)


def demanding(qps: float, capacity_qps: float = CAPACITY) -> ServiceView:
    """Return a service that must be ready for ``qps``."""
    demand = replace(SHOP.decision.demand, qps=qps)
    decision = replace(SHOP.decision, demand=demand, capacity=given_capacity(capacity_qps))
    return replace(SHOP, decision=decision)


def unknown_for(silence_s: float, *, known_before: bool) -> ServiceView:
    """Return a service whose demand has not been known for ``seconds``."""
    policy = DecisionSettings(given_capacity(CAPACITY), SHOP.policy.scale)
    state = SHOP.decision.state if known_before else initial_state(8, AT)
    observation = Observation(AT + silence_s, math.nan, NO_FORECAST, warm=8.0)
    decision: Decision = decide(observation, state, policy)
    return replace(SHOP, decision=decision, observed_qps=None)


def holding(*views: ServiceView, clock=None) -> SnapshotHolder:
    """Return a holder with a snapshot of these services."""
    holder = SnapshotHolder() if clock is None else SnapshotHolder(clock)
    holder.publish(snapshot(*views))
    return holder
