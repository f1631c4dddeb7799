"""What a lease means to a gateway as it ages.

Rules of this file:

* Every number is the gateway's own part of the limit. Ages are seconds since the lease was received
  or renewed, on the gateway's own monotonic clock: no clock is shared.
* Each stage begins at its age and ends before the next one's (half-open)::

      age    0          valid_for_s          last step + valid_for_s      + max_stale_s
      stage  FRESH      SCHEDULE             SAFE                         OPEN or CLOSED
      limit  qps        the last step due    safe_qps                     inf or 0

* While the lease is fresh a scheduled fall is followed, a scheduled rise is not: what others hold
  has been counted against this gateway's ``qps``.
* The last step lives as long as a fresh limit does. Without a schedule FRESH is followed by SAFE.
* A renewal (304) says that the whole lease is true from now on, schedule included, and changes
  nothing else: no bucket is reset.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from scaler.limits.schedule import LimitStep

# A billion requests a second through one service, or a week without news, is a mistake of units.
MAX_QPS = 1e9
MAX_AGE_S = 7 * 24 * 3600.0


class LeaseStage(StrEnum):
    """How a gateway that has not heard of us for a while finds its limit."""

    FRESH = "fresh"
    SCHEDULE = "schedule"
    SAFE = "safe"
    OPEN = "open"
    CLOSED = "closed"


class AfterSafe(StrEnum):
    """What is left to do when even the safe limit is too old."""

    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Lease:
    """A gateway's limit and what becomes of it.

    Attributes:
        version: grows with every change, within one epoch.
        qps: the limit while fresh.
        valid_for_s: how long it is fresh.
        schedule: steps, ascending in time.
        safe_qps: the limit after the schedule.
        max_stale_s: how long the safe limit holds.
        then: what comes after it. Classes may differ: ``replace(lease, then=...)`` is theirs.
        epoch: names the series of versions; another epoch counts anew.
    """

    version: int
    qps: float
    valid_for_s: float
    schedule: tuple[LimitStep, ...]
    safe_qps: float
    max_stale_s: float
    then: AfterSafe = AfterSafe.OPEN
    epoch: str = ""

    def __post_init__(self) -> None:
        if self.version < 0:
            raise ValueError(f"version is {self.version}, but it must be >= 0")
        for name, qps in (("qps", self.qps), ("safe_qps", self.safe_qps)):
            _check_qps(name, qps)
        if not 0 < self.valid_for_s <= MAX_AGE_S:
            raise ValueError(f"valid_for_s is {self.valid_for_s}, but must be in (0, {MAX_AGE_S}]")
        if not 0 <= self.max_stale_s <= MAX_AGE_S:
            raise ValueError(f"max_stale_s is {self.max_stale_s}, but must be in [0, {MAX_AGE_S}]")
        before = 0.0
        for step in self.schedule:
            _check_qps(f"schedule at {step.in_s} s", step.qps)
            if not before < step.in_s <= MAX_AGE_S:
                raise ValueError(
                    f"schedule has a step at {step.in_s} s after {before} s, "
                    f"but steps must ascend within (0, {MAX_AGE_S}]"
                )
            before = step.in_s

    @property
    def schedule_ends_s(self) -> float:
        """Age at which SAFE begins."""
        return self.valid_for_s + (self.schedule[-1].in_s if self.schedule else 0.0)


def _check_qps(name: str, qps: float) -> None:
    if not 0 <= qps <= MAX_QPS:
        raise ValueError(f"{name} is {qps} QPS, but it must be in [0, {MAX_QPS:g}]")


def stage_at(lease: Lease, age_s: float) -> LeaseStage:
    """Return the stage of a lease that was received or renewed ``age_s`` ago."""
    if not age_s >= 0:
        raise ValueError(f"age is {age_s} s, but it must be >= 0; use a monotonic clock")
    if age_s < lease.valid_for_s:
        return LeaseStage.FRESH
    if age_s < lease.schedule_ends_s:
        return LeaseStage.SCHEDULE
    if age_s < lease.schedule_ends_s + lease.max_stale_s:
        return LeaseStage.SAFE
    return LeaseStage(lease.then)


def limit_at(lease: Lease, age_s: float) -> float:
    """Return the QPS that may be admitted ``age_s`` after the last news; inf: no limit.

    >>> steps = (LimitStep(60, 1380), LimitStep(300, 1500))
    >>> lease = Lease(812, 1240, 10, steps, safe_qps=310, max_stale_s=120)
    >>> [limit_at(lease, age) for age in (0, 30, 60, 309.9, 310, 430)]
    [1240, 1240, 1380, 1500, 310, inf]
    """
    stage = stage_at(lease, age_s)
    if stage is LeaseStage.OPEN:
        return math.inf
    if stage is LeaseStage.CLOSED:
        return 0.0
    if stage is LeaseStage.SAFE:
        return lease.safe_qps
    scheduled = lease.qps
    for step in lease.schedule:
        if step.in_s <= age_s:
            scheduled = step.qps
    return min(lease.qps, scheduled) if stage is LeaseStage.FRESH else scheduled


def part_of(lease: Lease, share_qps: float, instances: int) -> Lease:
    """Return one gateway's part of a lease on the whole limit.

    Schedule and safe limit are divided as the limit is now. Where it is 0 now, evenly.

    Args:
        lease: of all gateways together.
        share_qps: what this one is given of ``lease.qps``.
        instances: gateways that hold a share.

    >>> part_of(Lease(7, 1240, 10, (LimitStep(60, 1380),), 620, 120), 310, 4).schedule[0].qps
    345.0
    """
    if not 0 <= share_qps <= lease.qps:
        raise ValueError(f"share is {share_qps} QPS of a limit of {lease.qps}")
    if instances < 1:
        raise ValueError(f"{instances} gateways hold a share, but this one is at least one")
    part = share_qps / lease.qps if lease.qps else 1 / instances
    steps = tuple(replace(step, qps=step.qps * part) for step in lease.schedule)
    return replace(lease, qps=share_qps, schedule=steps, safe_qps=lease.safe_qps * part)


@dataclass(frozen=True, slots=True)
class HeldLease:
    """A lease, and when the gateway last heard that it is true (its own monotonic seconds)."""

    lease: Lease
    heard_s: float

    def age_s(self, now_s: float) -> float:
        return now_s - self.heard_s


def received(held: HeldLease | None, lease: Lease, now_s: float) -> HeldLease:
    """Return what is held after an answer with a body.

    Raises:
        ValueError: the answer is older than what is held; keep that.
    """
    if held and held.lease.epoch == lease.epoch and lease.version < held.lease.version:
        raise ValueError(
            f"version {lease.version} came after version {held.lease.version}; "
            "a limit never goes back"
        )
    return HeldLease(lease, now_s)
