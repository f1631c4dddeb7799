"""What all gateways together may admit, now and in the next minutes: the limit side of a decision.

Gateways take their share of it on a lease; see `shares` and `lease`.
"""

from __future__ import annotations

from dataclasses import dataclass

from scaler.decision.decide import Decision
from scaler.decision.limit import Limit, LimitPolicy, limit_for, ready_capacity
from scaler.limits.priority_classes import PriorityClass
from scaler.limits.schedule import Fleet, LimitStep, SafeLimit, safe_limit, schedule_for

OFFSETS_S = (15.0, 30.0, 60.0, 120.0, 300.0)


@dataclass(frozen=True, slots=True)
class PublishedLimit:
    """One service's limit at a tick.

    Attributes:
        limit: of all gateways together, now.
        schedule: limits of the next minutes, as far as they can be promised today.
        safe: when gateways have not heard of us for longer than that.
        classes: that the limit is split among.
        ready_replicas: that serve now; replica_qps: what one of them sustains.
    """

    limit: Limit
    schedule: tuple[LimitStep, ...]
    safe: SafeLimit
    classes: tuple[PriorityClass, ...]
    ready_replicas: int
    replica_qps: float


def published_limit(
    decision: Decision,
    fleet: Fleet,
    floor_replicas: int,
    policy: LimitPolicy,
    classes: tuple[PriorityClass, ...] = (),
) -> PublishedLimit:
    """Return what may be admitted after a decision.

    Args:
        decision: its limit, and the plan that replicas go towards.
        fleet: the pods that are ready, and those that have started.
        floor_replicas: that stay whatever happens: the floor that stands in the cluster.
        policy: headroom and ceiling.
        classes: of the policy.

    >>> from scaler.decision.capacity import given_capacity
    >>> from scaler.decision.decide import DecisionSettings, Observation, decide, first_state
    >>> from scaler.decision.demand import LeadDemand
    >>> observation = Observation(0.0, 150.0, LeadDemand(260.0, 260.0, 200.0), warm=2.0)
    >>> decision = decide(observation, first_state(2, 0.0), DecisionSettings(given_capacity(100.0)))
    >>> fleet = Fleet((300.0, 300.0), 100.0, due_in_s=(45.0,))
    >>> limit = published_limit(decision, fleet, 2, LimitPolicy())
    >>> [(step.in_s, step.qps) for step in limit.schedule][:3]  # a third replica is due in 45 s
    [(15.0, 200.0), (30.0, 200.0), (60.0, 300.0)]
    """
    feedback = decision.state.factor
    plan = [(OFFSETS_S[0], decision.plan.replicas)]
    schedule = schedule_for(fleet, plan, OFFSETS_S, policy, feedback=feedback)
    stays = ready_capacity(
        sorted(fleet.ready_s, reverse=True)[:floor_replicas], fleet.capacity_qps, fleet.ramp
    )
    safe = safe_limit(decision.limit, schedule, limit_for(stays, policy, feedback=feedback))
    return PublishedLimit(
        decision.limit, schedule, safe, classes, len(fleet.ready_s), fleet.capacity_qps * feedback
    )
