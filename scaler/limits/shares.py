"""The shares of gateways, each of which holds a lease: what they want, were granted and hold.

Rules of this file:

* A gateway may use a grant until it expires, or until the gateway reports (by version) that it
  holds a newer one; for a response with a grant may be lost. The largest grant that a gateway may
  still use is what it has *booked*.
* Time is the server's. A response is older than its arrival at the gateway: the gateway must count
  the age of its lease from when it sent the request, or ``lease_s`` must be longer than the
  ``valid_for_s`` of the lease.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from scaler.limits.priority_classes import ClassSplit

# Shares are multiples of 1/1024 request per second, so that their sums are exact.
GRAIN = 2.0**-10


class ShareReason(StrEnum):
    """What determined a gateway's share."""

    FAIR = "fair"  # it is the fair share of the limit
    WAITS = "waits"  # other gateways may still use part of the fair share
    NEWCOMER = "newcomer"  # a new gateway gets part of the reserve until the others have shrunk
    LEARNING = "learning"  # after a restart, shares do not grow until all older leases expired


@dataclass(frozen=True, slots=True)
class SharePolicy:
    """How shares are granted.

    Attributes:
        lease_s: seconds for which a grant is valid.
    """

    lease_s: float = 10.0

    def __post_init__(self) -> None:
        if not 0 < self.lease_s < math.inf:
            raise ValueError(f"lease_s is {self.lease_s}, but it must be finite and > 0")


@dataclass(frozen=True, slots=True)
class DemandReport:
    """What a gateway reports when it asks for its share.

    Attributes:
        instance: the gateway's name.
        wants_qps: demand offered to it; None: not known yet.
        version: version of the grant that it uses; None: not reported.
        holds_qps: QPS of that grant; used only by a server that has lost its state.
        classes: what of the demand is of which class, by name; None: it does not tell.
        owner: who the gateway has shown to belong to; "": one owner of all that have not.
    """

    instance: str
    wants_qps: float | None
    version: int | None = None
    holds_qps: float = 0.0
    classes: Mapping[str, float] | None = None
    owner: str = ""

    def __post_init__(self) -> None:
        for qps in (self.wants_qps, self.holds_qps, *(self.classes or {}).values()):
            if qps is not None and not 0 <= qps < math.inf:
                raise ValueError(f"{self.instance}: {qps} QPS, but it must be finite and >= 0")


@dataclass(frozen=True, slots=True)
class Grant:
    """A share that was granted; the gateway may use it before ``expires_at`` (monotonic s)."""

    version: int
    qps: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class Share:
    """The share of one gateway.

    Attributes:
        instance: the gateway's name.
        wants_qps: demand as last reported; None: not known yet.
        entitled_qps: what it may keep; the sum over all gateways never exceeds the limit.
        grants: all grants that it may still use, oldest first.
        reason: what determined the newest grant.
        classes, owner: as last reported; see `DemandReport`.
        parts: the newest grant by class; None: it is of another server.
    """

    instance: str
    wants_qps: float | None
    entitled_qps: float
    grants: tuple[Grant, ...]
    reason: ShareReason
    classes: Mapping[str, float] | None = None
    owner: str = ""
    parts: ClassSplit | None = None

    @property
    def qps(self) -> float:
        """QPS of the newest grant."""
        return self.grants[-1].qps if self.grants else 0.0

    @property
    def booked_qps(self) -> float:
        """QPS of the largest grant that it may still use."""
        grants = self.grants
        return grants[0].qps if len(grants) == 1 else max((one.qps for one in grants), default=0.0)


@dataclass(frozen=True, slots=True)
class Shares:
    """The shares of all gateways.

    Attributes:
        shares: one per gateway, sorted by name.
        version: version of the newest grant.
        learning_until: no share grows before this time. A server that starts without the state of
            its predecessor sets it to ``now + lease_s``, as it does not know what is booked.
    """

    shares: tuple[Share, ...] = ()
    version: int = 0
    learning_until: float = -math.inf

    def __getitem__(self, instance: str) -> Share:
        for share in self.shares:
            if share.instance == instance:
                return share
        raise KeyError(f"no share of {instance!r}")

    @property
    def booked_qps(self) -> float:
        """QPS that all gateways together may use."""
        return sum(share.booked_qps for share in self.shares)
