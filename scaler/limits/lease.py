"""A lease: one gateway's share of a limit, and which limit applies as the lease ages.

Rules of this file:

* All rates are the gateway's own share of the limit. The age of a lease is the time in seconds
  since it was received or renewed, on the gateway's own monotonic clock; no clock is shared.
* A stage begins at its age and ends before the next one (half-open)::

      age    0          valid_for_s          last step + valid_for_s      + max_stale_s
      stage  FRESH      SCHEDULE             SAFE                         OPEN or CLOSED
      limit  qps        the last step due    safe_qps                     inf or 0

* While the lease is fresh, the gateway follows a scheduled decrease but not a scheduled increase:
  ``qps`` already takes account of the shares of the other gateways.
* The last step is valid for ``valid_for_s``. Without a schedule, SAFE follows FRESH.
* A renewal (304) restarts the age of the whole lease, schedule included, and changes nothing else:
  no bucket is reset.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, replace
from enum import StrEnum

from scaler.limits.schedule import LimitStep

# A billion requests per second, or a lease of more than a week, is a mistake of units.
MAX_QPS = 1e9
MAX_AGE_S = 7 * 24 * 3600.0
# Over which a gateway compares its clients, unless the policy says otherwise.
CLIENT_WINDOW_S = 10.0
# A map of HAProxy has whole seconds, so a lease is valid for at least one of them.
LEAST_VALID_S = 1.0
# Ten questions a second from each gateway are the most that is ever of use; a wait for news is cut
# short by whatever stands between a gateway and the endpoint.
LEAST_REFRESH_S, MAX_REFRESH_S = 0.1, 300.0


class LeaseStage(StrEnum):
    """Which part of the lease determines the limit; see the table at the top of this file."""

    FRESH = "fresh"
    SCHEDULE = "schedule"
    SAFE = "safe"
    OPEN = "open"
    CLOSED = "closed"


class AfterSafe(StrEnum):
    """Whether a gateway admits everything or nothing when even the safe limit has expired."""

    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTerms:
    """What the policy says of a service's leases.

    Attributes:
        valid_for_s: how long a lease is fresh, and so how long the share of a gateway that is gone
            is kept for it.
        refresh_s: how often a gateway reports, and asks where it does not wait for news. At most
            half of ``valid_for_s``: a question that is lost must not end the lease.
        max_stale_s: how long the safe limit holds.
        then: what comes after it.
    """

    valid_for_s: float = 10.0
    refresh_s: float = 2.0
    max_stale_s: float = 120.0
    then: AfterSafe = AfterSafe.OPEN

    def __post_init__(self) -> None:
        if not LEAST_VALID_S <= self.valid_for_s <= MAX_AGE_S:
            raise ValueError(
                f"valid_for_s is {self.valid_for_s}, but must be in [{LEAST_VALID_S}, {MAX_AGE_S}]"
            )
        if not LEAST_REFRESH_S <= self.refresh_s <= min(self.valid_for_s / 2, MAX_REFRESH_S):
            raise ValueError(
                f"refresh_s is {self.refresh_s} and valid_for_s {self.valid_for_s}, but refresh_s "
                f"must be in [{LEAST_REFRESH_S}, {MAX_REFRESH_S}] and at most half of valid_for_s"
            )
        if not 0 <= self.max_stale_s <= MAX_AGE_S:
            raise ValueError(f"max_stale_s is {self.max_stale_s}, but must be in [0, {MAX_AGE_S}]")

    @property
    def longest_wait_s(self) -> float:
        """A wait for news ends while the lease of who waits is still fresh."""
        return self.valid_for_s - self.refresh_s

    def refresh_of(self, instance: str) -> float:
        """Return one gateway's ``refresh_s``: a tenth more or less, so that not all ask at once.

        It is always the same, for another one would be a change of its lease.
        """
        jitter = zlib.crc32(instance.encode()) / 2**32
        return round(self.refresh_s * (0.9 + 0.2 * jitter), 2)


@dataclass(frozen=True, slots=True)
class Lease:
    """A gateway's limit, and the limits that follow it when the lease is not renewed.

    Attributes:
        version: increases with every change, within one epoch.
        qps: the limit while the lease is fresh.
        valid_for_s: how long the lease is fresh.
        schedule: the limits after that; steps ascend in time.
        safe_qps: the limit after the schedule.
        max_stale_s: how long the safe limit applies.
        then: what applies after it. A priority class may differ: ``replace(lease, then=...)``.
        epoch: name of a series of versions; the versions of two epochs are not comparable.
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
        """Age at which the stage SAFE begins."""
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
    """Return the QPS that may be admitted at the age ``age_s`` of the lease; inf: no limit.

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


def lease_for_share(lease: Lease, share_qps: float, instances: int) -> Lease:
    """Return one gateway's lease from the lease of all gateways together.

    Schedule and safe limit are divided in the proportion of ``share_qps`` to ``lease.qps``; evenly
    where ``lease.qps`` is 0.

    Args:
        lease: the limits of all gateways together.
        share_qps: this gateway's share of ``lease.qps``.
        instances: number of gateways that hold a share.

    >>> whole = Lease(7, 1240, 10, (LimitStep(60, 1380),), 620, 120)
    >>> lease_for_share(whole, 310, 4).schedule[0].qps
    345.0
    """
    if not 0 <= share_qps <= lease.qps:
        raise ValueError(f"share is {share_qps} QPS of a limit of {lease.qps}")
    if instances < 1:
        raise ValueError(f"{instances} gateways hold a share, but it must be at least this one")
    part = share_qps / lease.qps if lease.qps else 1 / instances
    steps = tuple(replace(step, qps=step.qps * part) for step in lease.schedule)
    return replace(lease, qps=share_qps, schedule=steps, safe_qps=lease.safe_qps * part)


@dataclass(frozen=True, slots=True)
class HeldLease:
    """A lease, and when it was last received or renewed (the gateway's monotonic seconds)."""

    lease: Lease
    confirmed_s: float

    def age_s(self, now_s: float) -> float:
        return now_s - self.confirmed_s


def received(held: HeldLease | None, lease: Lease, now_s: float) -> HeldLease:
    """Return what the gateway holds after it received ``lease``.

    Raises:
        ValueError: the lease is older than the one that is held; keep that one.
    """
    if held and held.lease.epoch == lease.epoch and lease.version < held.lease.version:
        raise ValueError(
            f"version {lease.version} came after version {held.lease.version}, "
            "but versions must not decrease"
        )
    return HeldLease(lease, now_s)
