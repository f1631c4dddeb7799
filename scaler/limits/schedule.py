"""How much may be admitted in the next minutes, and when nobody tells.

Rules of this file:

* The future counts the pods that are Ready and those that have started and are due; never one that
  is only planned, and never more than are planned.
* A step can be kept from its beginning to its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scaler.decision.limit import (
    WARM_AT_ONCE,
    Limit,
    LimitPolicy,
    LimitReason,
    Ramp,
    limit_for,
    ready_capacity,
)


@dataclass(frozen=True, slots=True)
class Fleet:
    """The pods of one service.

    Attributes:
        ready_s: seconds since each Ready pod became so.
        capacity_qps: what one warm pod sustains.
        ramp: how a pod warms up.
        due_in_s: for each pod that has started: seconds until it is expected to be Ready. One that
            is overdue (<= 0) is promised to nobody before it says that it is Ready.
    """

    ready_s: tuple[float, ...]
    capacity_qps: float
    ramp: Ramp = WARM_AT_ONCE
    due_in_s: tuple[float, ...] = ()


def expected_capacity(fleet: Fleet, in_s: float, replicas: int | None = None) -> float:
    """Return the QPS that can be served ``in_s`` from now.

    Args:
        fleet: pods that are Ready, and those that have started.
        in_s: seconds from now; 0 gives `ready_capacity`.
        replicas: planned for then; None: no fewer than now. Of more pods the warmest stay, as
            a ReplicaSet removes first those that are not Ready, then the youngest.

    >>> fleet = Fleet((300.0, 300.0), 100.0, due_in_s=(45.0,))
    >>> [expected_capacity(fleet, in_s) for in_s in (0, 45)]
    [200.0, 300.0]
    >>> expected_capacity(fleet, 45, replicas=1)
    100.0
    """
    ages = [age + in_s for age in fleet.ready_s]
    ages += [in_s - due for due in fleet.due_in_s if 0 < due <= in_s]
    return ready_capacity(sorted(ages, reverse=True)[:replicas], fleet.capacity_qps, fleet.ramp)


@dataclass(frozen=True, slots=True)
class LimitStep:
    """The limit from ``in_s`` from now on, until the next step."""

    in_s: float
    qps: float
    reason: LimitReason = LimitReason.CAPACITY


def schedule_for(
    fleet: Fleet,
    plan: Sequence[tuple[float, int]],
    offsets_s: Sequence[float],
    policy: LimitPolicy,
    *,
    feedback: float = 1.0,
) -> tuple[LimitStep, ...]:
    """Return the limits of the next minutes, as far as they can be promised today.

    Between two steps capacity only grows: pods warm up and get Ready, and every planned change
    begins a step of its own.

    Args:
        fleet: pods that are Ready, and those that have started; nothing else counts.
        plan: ``(in_s, replicas)``, ascending; replicas that are planned from then on.
        offsets_s: where steps begin, > 0, ascending.
        policy: headroom and ceiling.
        feedback: as of today; recovery is not promised.
    """
    if not all(a < b for a, b in zip((0.0, *offsets_s), offsets_s, strict=False)):
        raise ValueError(f"steps begin at {list(offsets_s)} s, but must ascend from above 0")
    if sorted(plan) != list(plan) or any(replicas < 0 for _, replicas in plan):
        raise ValueError(f"plan is {list(plan)}, but must ascend in time with replicas >= 0")
    last = offsets_s[-1] if offsets_s else 0.0
    moments = sorted({*offsets_s, *(in_s for in_s, _ in plan if 0 < in_s <= last)})
    return tuple(_step(fleet, plan, moment, policy, feedback) for moment in moments)


def _step(
    fleet: Fleet,
    plan: Sequence[tuple[float, int]],
    in_s: float,
    policy: LimitPolicy,
    feedback: float,
) -> LimitStep:
    planned = [replicas for start, replicas in plan if start <= in_s]
    limit = limit_for(expected_capacity(fleet, in_s), policy, feedback=feedback)
    if planned:
        kept = expected_capacity(fleet, in_s, replicas=planned[-1])
        fewer = limit_for(kept, policy, feedback=feedback)
        if fewer.qps < limit.qps:
            return LimitStep(in_s, fewer.qps, LimitReason.PLANNED)
    return LimitStep(in_s, limit.qps, limit.reason)


@dataclass(frozen=True, slots=True)
class SafeLimit:
    """What gateways may admit when the schedule has run out."""

    qps: float
    reason: LimitReason


def safe_limit(limit: Limit, schedule: Sequence[LimitStep], floor: Limit) -> SafeLimit:
    """Return the least of the limit now, of every step, and of what the floor can serve.

    Args:
        limit: as of now.
        schedule: see `schedule_for`.
        floor: `limit_for` what the replicas that stay whatever happens can serve: the floor that
            stands in the cluster, for the HPA may go down to it while nobody raises it.
    """
    bounds = [(limit.qps, limit.reason), *((step.qps, step.reason) for step in schedule)]
    bounds.append((floor.qps, LimitReason.FLOOR))
    return SafeLimit(*min(bounds, key=lambda bound: bound[0]))
