"""The limit: how many requests per second gateways may admit now.

Rules of this file:

* Only pods that are Ready count, not planned ones; a pod that warms up counts by its ramp.
* More ready capacity never lowers a limit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class LimitReason(StrEnum):
    """Which constraint bound the limit."""

    CAPACITY = "capacity"  # the ready pods sustain no more
    OVERLOAD = "overload"  # the SLO is missed, so the capacity counts less
    CEILING = "ceiling"  # the policy allows no more
    NOTHING_READY = "nothing_ready"
    PLANNED = "planned"  # fewer replicas are planned than run; in a schedule only
    FLOOR = "floor"  # the capacity of the HPA's minimum of replicas; in a safe limit only


@dataclass(frozen=True, slots=True)
class Ramp:
    """How a pod warms up: its capacity rises linearly after it became Ready.

    Attributes:
        duration_s: time until it serves its whole capacity; 0: it is warm as soon as it is Ready.
        initial: share of the capacity that it serves at first, in [0, 1].
    """

    duration_s: float = 0.0
    initial: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.duration_s < math.inf:
            raise ValueError(f"ramp duration is {self.duration_s} s, but it must be finite, >= 0")
        if not 0 <= self.initial <= 1:
            raise ValueError(f"ramp starts at {self.initial}, but a share is in [0, 1]")

    def share(self, age_s: float) -> float:
        """Return the share of its capacity that a pod serves ``age_s`` after it became Ready.

        >>> [round(Ramp(60, 0.2).share(age), 9) for age in (-1, 0, 30, 60)]
        [0.0, 0.2, 0.6, 1.0]
        """
        if age_s < 0:
            return 0.0
        if age_s >= self.duration_s:
            return 1.0
        if math.isnan(age_s):
            raise ValueError("a pod's age is NaN; leave out pods that are not Ready")
        return self.initial + (1 - self.initial) * age_s / self.duration_s


WARM_AT_ONCE = Ramp()


def ready_capacity(
    ready_s: Sequence[float], capacity_qps: float, ramp: Ramp, counts: Sequence[int] | None = None
) -> float:
    """Return the QPS that the pods which are Ready now can serve.

    Args:
        ready_s: seconds since each pod, or each group of pods, became Ready.
        capacity_qps: QPS that one warm pod sustains.
        ramp: how a pod warms up.
        counts: number of pods in each group; None: one in each.

    >>> ready_capacity([300, 30], 100.0, Ramp(60, 0.2), counts=[7, 1])
    760.0
    """
    if not 0 <= capacity_qps < math.inf:
        raise ValueError(f"capacity is {capacity_qps} QPS a pod, but it must be finite and >= 0")
    if counts is None:
        warm = _warm(ready_s, ramp)
    else:
        pairs = zip(ready_s, counts, strict=True)
        warm = sum(ramp.share(age) * count for age, count in pairs if count)
    if warm < 0:
        raise ValueError(f"counts of pods are {counts}, but must be >= 0")
    return warm * capacity_qps


def _warm(ready_s: Sequence[float], ramp: Ramp) -> float:
    """Return the shares of all pods; mostly all are warm, and there may be hundreds of them."""
    if ready_s and min(ready_s) >= ramp.duration_s and not math.isnan(sum(ready_s)):
        return float(len(ready_s))
    return sum(map(ramp.share, ready_s))


@dataclass(frozen=True, slots=True)
class LimitPolicy:
    """Which share of the ready capacity may be admitted, and the most that ever may.

    Attributes:
        headroom: share of the ready capacity that may be admitted, in (0, 1]. A capacity within
            the SLO already lies below saturation; a value below 1 also covers what the limit
            cannot see: a pod that dies, a burst that several gateways admit at once.
        ceiling_qps: upper bound, whatever the ready capacity.
        burst_s: size of a burst, in seconds of the limit.
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
        qps: requests per second; 0 where none may pass.
        burst: requests that may arrive at once; at least 1 unless ``qps`` is 0.
        reason: which constraint bound ``qps``.
    """

    qps: float
    burst: int
    reason: LimitReason


def limit_for(ready_qps: float, policy: LimitPolicy, *, capacity_factor: float = 1.0) -> Limit:
    """Return what may be admitted where ``ready_qps`` can be served.

    Args:
        ready_qps: capacity of the ready pods, see `ready_capacity`.
        policy: headroom, ceiling and burst.
        capacity_factor: the overload factor in (0, 1]; 1 while the SLO is met. See
            `capacity.corrected_factor`.

    >>> limit_for(8 * 155.0, LimitPolicy(headroom=1.0))
    Limit(qps=1240.0, burst=124, reason=<LimitReason.CAPACITY: 'capacity'>)
    """
    if not 0 <= ready_qps < math.inf:
        raise ValueError(f"ready capacity is {ready_qps} QPS, but it must be finite and >= 0")
    if not 0 < capacity_factor <= 1:
        raise ValueError(f"capacity_factor is {capacity_factor}, but it must be in (0, 1]")
    qps, reason = ready_qps * policy.headroom * capacity_factor, LimitReason.CAPACITY
    if ready_qps == 0:
        reason = LimitReason.NOTHING_READY
    elif qps > policy.ceiling_qps:
        qps, reason = policy.ceiling_qps, LimitReason.CEILING
    elif capacity_factor < 1:
        reason = LimitReason.OVERLOAD
    return Limit(qps, _whole_requests(qps, policy.burst_s), reason)


def _whole_requests(qps: float, seconds: float) -> int:
    """Return ``qps * seconds`` rounded up to whole requests; at least 1 unless ``qps`` is 0."""
    # 3 x 0.1 is 0.30000000000000004: a thousandth of a request does not round up to another one.
    return max(1, math.ceil(qps * seconds - 1e-3)) if qps > 0 else 0
