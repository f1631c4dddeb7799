"""The published limit: what all gateways together may admit, now and in the next minutes.

Each gateway holds a share of it on a lease; see `shares` and `lease`.
"""

from __future__ import annotations

from dataclasses import dataclass

from scaler.decision.decide import Decision
from scaler.decision.limit import Limit, LimitPolicy, limit_for, ready_capacity
from scaler.limits.priority_classes import PriorityClass
from scaler.limits.schedule import Fleet, LimitStep, SafeLimit, safe_limit, schedule_for

SCHEDULE_OFFSETS_S = (15.0, 30.0, 60.0, 120.0, 300.0)  # seconds from now at which steps begin


@dataclass(frozen=True, slots=True)
class PublishedLimit:
    """One service's limit at a tick.

    Attributes:
        limit: the limit of all gateways together, now.
        schedule: the limits of the next minutes, as far as they can be promised now.
        safe: the limit after the schedule, for gateways that cannot reach us.
        classes: the priority classes that divide the limit.
        ready_replicas: number of replicas that serve now.
        replica_qps: QPS that one of them sustains.
        assumed: nobody has counted them, so gateways are only recommended the limit.
    """

    limit: Limit
    schedule: tuple[LimitStep, ...]
    safe: SafeLimit
    classes: tuple[PriorityClass, ...]
    ready_replicas: int
    replica_qps: float
    assumed: bool = False


def published_limit(
    decision: Decision,
    fleet: Fleet,
    floor_replicas: int,
    policy: LimitPolicy,
    classes: tuple[PriorityClass, ...] = (),
) -> PublishedLimit:
    """Return the limit to publish after a decision.

    Args:
        decision: gives the limit now, and the replicas that are planned.
        fleet: the pods that are Ready, and those that have started.
        floor_replicas: the HPA's ``minReplicas`` now; the HPA never runs fewer.
        policy: headroom and ceiling.
        classes: the policy's priority classes.

    >>> from scaler.decision.capacity import given_capacity
    >>> from scaler.decision.decide import DecisionSettings, Observation, decide, initial_state
    >>> from scaler.decision.demand import LeadDemand
    >>> observation = Observation(0.0, 150.0, LeadDemand(260.0, 260.0, 200.0), warm=2.0)
    >>> settings = DecisionSettings(given_capacity(100.0))
    >>> decision = decide(observation, initial_state(2, 0.0), settings)
    >>> fleet = Fleet((300.0, 300.0), 100.0, due_in_s=(45.0,))
    >>> limit = published_limit(decision, fleet, 2, LimitPolicy())
    >>> [(step.in_s, step.qps) for step in limit.schedule][:3]  # a third replica is due in 45 s
    [(15.0, 200.0), (30.0, 200.0), (60.0, 300.0)]
    """
    factor = decision.state.capacity_factor
    plan = [(SCHEDULE_OFFSETS_S[0], decision.plan.replicas)]
    schedule = schedule_for(fleet, plan, SCHEDULE_OFFSETS_S, policy, capacity_factor=factor)
    floor_qps = ready_capacity(
        sorted(fleet.ready_s, reverse=True)[:floor_replicas], fleet.capacity_qps, fleet.ramp
    )
    floor_limit = limit_for(floor_qps, policy, capacity_factor=factor)
    safe = safe_limit(decision.limit, schedule, floor_limit)
    replica_qps = fleet.capacity_qps * factor
    return PublishedLimit(
        decision.limit, schedule, safe, classes, len(fleet.ready_s), replica_qps, fleet.assumed
    )
