"""The schedule: how much may be admitted in the next minutes, and the safe limit after them.

Rules of this file:

* Future capacity counts pods that are Ready, and pods that have started from the time at which they
  are expected to be Ready; never a pod that is only planned, and never more pods than are planned.
* The limit of a step can be kept from its beginning to its end.
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
        ready_s: seconds since each Ready pod became Ready.
        capacity_qps: QPS that one warm pod sustains.
        ramp: how a pod warms up.
        due_in_s: for each pod that has started, seconds until it is expected to be Ready. An
            overdue pod (<= 0) does not count until it is Ready.
        assumed: nobody has counted the pods.
    """

    ready_s: tuple[float, ...]
    capacity_qps: float
    ramp: Ramp = WARM_AT_ONCE
    due_in_s: tuple[float, ...] = ()
    assumed: bool = False


def expected_capacity(fleet: Fleet, in_s: float, replicas: int | None = None) -> float:
    """Return the QPS that can be served ``in_s`` seconds from now.

    Args:
        fleet: pods that are Ready, and those that have started.
        in_s: seconds from now; 0 gives `ready_capacity`.
        replicas: pods planned for then; None: all stay. If there are more, the warmest count, as a
            ReplicaSet first removes pods that are not Ready, then the youngest.

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
    """The limit that applies from ``in_s`` seconds from now until the next step."""

    in_s: float
    qps: float
    reason: LimitReason = LimitReason.CAPACITY


def schedule_for(
    fleet: Fleet,
    plan: Sequence[tuple[float, int]],
    offsets_s: Sequence[float],
    policy: LimitPolicy,
    *,
    capacity_factor: float = 1.0,
) -> tuple[LimitStep, ...]:
    """Return the limits of the next minutes, as far as they can be promised now.

    Within a step capacity only grows, as pods warm up and become Ready: every planned change of the
    replicas begins a new step.

    Args:
        fleet: pods that are Ready, and those that have started.
        plan: ``(in_s, replicas)``, ascending: replicas that are planned from then on.
        offsets_s: seconds from now at which steps begin, > 0, ascending.
        policy: headroom and ceiling.
        capacity_factor: the overload factor now; its recovery is not anticipated.
    """
    if not all(a < b for a, b in zip((0.0, *offsets_s), offsets_s, strict=False)):
        raise ValueError(f"steps begin at {list(offsets_s)} s, but must ascend from above 0")
    if sorted(plan) != list(plan) or any(replicas < 0 for _, replicas in plan):
        raise ValueError(f"plan is {list(plan)}, but must ascend in time with replicas >= 0")
    last = offsets_s[-1] if offsets_s else 0.0
    starts = sorted({*offsets_s, *(in_s for in_s, _ in plan if 0 < in_s <= last)})
    return tuple(_step(fleet, plan, in_s, policy, capacity_factor) for in_s in starts)


def _step(
    fleet: Fleet,
    plan: Sequence[tuple[float, int]],
    in_s: float,
    policy: LimitPolicy,
    capacity_factor: float,
) -> LimitStep:
    replicas = [planned for start, planned in plan if start <= in_s]
    limit = limit_for(expected_capacity(fleet, in_s), policy, capacity_factor=capacity_factor)
    if replicas:
        capacity_qps = expected_capacity(fleet, in_s, replicas=replicas[-1])
        planned_limit = limit_for(capacity_qps, policy, capacity_factor=capacity_factor)
        if planned_limit.qps < limit.qps:
            return LimitStep(in_s, planned_limit.qps, LimitReason.PLANNED)
    return LimitStep(in_s, limit.qps, limit.reason)


@dataclass(frozen=True, slots=True)
class SafeLimit:
    """What gateways may admit when the schedule has ended."""

    qps: float
    reason: LimitReason


def safe_limit(limit: Limit, schedule: Sequence[LimitStep], floor: Limit) -> SafeLimit:
    """Return the least of the limit now, of every step, and of the floor's limit.

    Args:
        limit: the limit now.
        schedule: see `schedule_for`.
        floor: the limit of the HPA's ``minReplicas``, to which the HPA may scale down while
            tidegate cannot raise it.
    """
    bounds = [(limit.qps, limit.reason), *((step.qps, step.reason) for step in schedule)]
    bounds.append((floor.qps, LimitReason.FLOOR))
    return SafeLimit(*min(bounds, key=lambda bound: bound[0]))
