"""How much may be admitted now.

Rules of this file:

* Ready, not planned: a pod that is still starting serves nothing, a cold one its ramp's part.
* More ready capacity never lowers a limit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class LimitReason(StrEnum):
    """Which constraint bound the limit."""

    CAPACITY = "capacity"  # what is Ready sustains no more
    OVERLOAD = "overload"  # the SLO is broken, so part of that capacity is held back
    CEILING = "ceiling"  # the policy allows no more
    NOTHING_READY = "nothing_ready"
    PLANNED = "planned"  # fewer replicas are planned than run; in a schedule only
    FLOOR = "floor"  # what the replicas that stay can serve; in a safe limit only


@dataclass(frozen=True, slots=True)
class Ramp:
    """How a pod warms up: from ``initial`` of its capacity when Ready to all after ``duration_s``.

    Attributes:
        duration_s: 0: a pod is warm as soon as it is Ready.
        initial: share of the capacity in [0, 1].
    """

    duration_s: float = 0.0
    initial: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.duration_s < math.inf:
            raise ValueError(f"ramp duration is {self.duration_s} s, but it must be finite, >= 0")
        if not 0 <= self.initial <= 1:
            raise ValueError(f"ramp starts at {self.initial}, but a share is in [0, 1]")

    def share(self, age_s: float) -> float:
        """Return the part of its capacity that a pod serves ``age_s`` after it became Ready.

        >>> [round(Ramp(60, 0.2).share(age), 9) for age in (-1, 0, 30, 60)]
        [0.0, 0.2, 0.6, 1.0]
        """
        if age_s < 0:
            return 0.0
        if age_s >= self.duration_s:
            return 1.0
        if math.isnan(age_s):
            raise ValueError("a pod's age is NaN; leave out pods that are not known to be Ready")
        return self.initial + (1 - self.initial) * age_s / self.duration_s


WARM_AT_ONCE = Ramp()


def ready_capacity(
    ready_s: Sequence[float], capacity_qps: float, ramp: Ramp, counts: Sequence[int] | None = None
) -> float:
    """Return the QPS that the pods which are Ready now can serve.

    Args:
        ready_s: seconds since each pod, or each group of pods, became Ready.
        capacity_qps: what one warm pod sustains.
        ramp: how a pod warms up.
        counts: pods in each group; None: one.

    >>> ready_capacity([300, 30], 100.0, Ramp(60, 0.2), counts=[7, 1])
    760.0
    """
    if not 0 <= capacity_qps < math.inf:
        raise ValueError(f"capacity is {capacity_qps} QPS a pod, but it must be finite and >= 0")
    if counts is None:
        warm = sum(map(ramp.share, ready_s))
    else:
        pairs = zip(ready_s, counts, strict=True)
        warm = sum(ramp.share(age) * count for age, count in pairs if count)
    if warm < 0:
        raise ValueError(f"counts of pods are {counts}, but must be >= 0")
    return warm * capacity_qps


@dataclass(frozen=True, slots=True)
class LimitPolicy:
    """What part of the capacity is admitted, and at most how much.

    Attributes:
        headroom: share of the ready capacity that is admitted, in (0, 1]. A capacity within the
            SLO lies below saturation already; less than 1 also provides for what the limit cannot
            see: a pod that dies, a burst that several gateways let in at once.
        ceiling_qps: what the policy allows whatever is Ready.
        burst_s: seconds of the limit that may come at once.
    """

    headroom: float = 1.0
    ceiling_qps: float = math.inf
    burst_s: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.headroom <= 1:
            raise ValueError(f"headroom is {self.headroom}, but a share is in (0, 1]")
        if not self.ceiling_qps >= 0:
            raise ValueError(f"ceiling is {self.ceiling_qps} QPS, but it must be >= 0")
        if not 0 <= self.burst_s < math.inf:
            raise ValueError(f"burst is {self.burst_s} s, but it must be finite and >= 0")


@dataclass(frozen=True, slots=True)
class Limit:
    """What all gateways together may admit.

    Attributes:
        qps: 0 where nothing may pass.
        burst: requests that may come at once; at least one where any may pass.
        reason: which constraint bound ``qps``.
    """

    qps: float
    burst: int
    reason: LimitReason


def limit_for(ready_qps: float, policy: LimitPolicy, *, feedback: float = 1.0) -> Limit:
    """Return what may be admitted where ``ready_qps`` can be served.

    Args:
        ready_qps: capacity of what is Ready, see `ready_capacity`.
        policy: headroom, ceiling and burst.
        feedback: part of the capacity that overload leaves, in (0, 1]; 1: the SLO is kept.

    >>> limit_for(8 * 155.0, LimitPolicy(headroom=1.0))
    Limit(qps=1240.0, burst=124, reason=<LimitReason.CAPACITY: 'capacity'>)
    """
    if not 0 <= ready_qps < math.inf:
        raise ValueError(f"ready capacity is {ready_qps} QPS, but it must be finite and >= 0")
    if not 0 < feedback <= 1:
        raise ValueError(f"overload feedback is {feedback}, but a share is in (0, 1]")
    qps, reason = ready_qps * policy.headroom * feedback, LimitReason.CAPACITY
    if ready_qps == 0:
        reason = LimitReason.NOTHING_READY
    elif qps > policy.ceiling_qps:
        qps, reason = policy.ceiling_qps, LimitReason.CEILING
    elif feedback < 1:
        reason = LimitReason.OVERLOAD
    return Limit(qps, _whole_requests(qps, policy.burst_s), reason)


def _whole_requests(qps: float, seconds: float) -> int:
    """Return the requests of so many seconds, rounded up; at least one where any may pass."""
    # 3 x 0.1 is 0.30000000000000004: a thousandth of a request is not one more.
    return max(1, math.ceil(qps * seconds - 1e-3)) if qps > 0 else 0
