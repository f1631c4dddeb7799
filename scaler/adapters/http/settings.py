"""Settings of the endpoint: the terms of leases, and who may send requests."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scaler.limits.lease import AfterSafe
from scaler.limits.shares import SharePolicy

# The class of this name is deliberate load (a stress test); gateways recognise it by this header.
STRESS = {"stress": "x-stress-test"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTerms:
    """The terms of a lease that are the same for every gateway.

    Attributes:
        valid_for_s: how long a lease is fresh.
        refresh_s: how often a gateway asks for its lease; each gateway gets up to a tenth more or
            less, so that they do not all ask at once.
        transit_s: how long a response may be under way; a share is booked for that much longer.
        max_stale_s: how long the safe limit holds after the lease has expired.
        then: what holds after that.
        headers: the request header by which gateways recognise a class, by the class's name.
        most_instances: maximum number of gateways of one service.
    """

    valid_for_s: float = 10.0
    refresh_s: float = 2.0
    transit_s: float = 2.0
    max_stale_s: float = 120.0
    then: AfterSafe = AfterSafe.OPEN
    headers: Mapping[str, str] = field(default_factory=lambda: dict(STRESS))
    most_instances: int = 5000

    def __post_init__(self) -> None:
        if not 0 < self.refresh_s < self.valid_for_s < math.inf:
            raise ValueError(
                f"refresh_s is {self.refresh_s} and valid_for_s {self.valid_for_s}, but "
                "0 < refresh_s < valid_for_s must hold: a gateway renews while its lease is fresh"
            )
        if not 0 <= self.transit_s < math.inf:
            raise ValueError(f"transit_s is {self.transit_s}, but it must be finite and >= 0")
        if self.most_instances < 1:
            raise ValueError(f"most_instances is {self.most_instances}, but it must be >= 1")

    @property
    def shares(self) -> SharePolicy:
        return SharePolicy(lease_s=self.valid_for_s + self.transit_s)

    @property
    def longest_wait_s(self) -> float:
        """The longest wait after which the lease of the waiting gateway is still fresh."""
        return self.valid_for_s - self.refresh_s

    def refresh_of(self, instance: str) -> float:
        """Return this gateway's ``refresh_s``; it never changes, for that would be a new lease."""
        jitter = zlib.crc32(instance.encode()) / 2**32
        return round(self.refresh_s * (0.9 + 0.2 * jitter), 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings:
    """How the endpoint behaves.

    Attributes:
        terms: of every lease.
        stale_after_s: age of the last tick from which on the endpoint is not ready. A limit
            without a schedule is not handed out either then, others not after their schedule.
        learning_s: for how long after its start the endpoint grants each gateway no more than it
            says that it holds; None is the duration of one lease.
        tokens: file with one bearer token per line; None: only loopback is served.
        allow_anonymous: serve everybody without a token.
        body_bytes: maximum length of a report.
        body_s: time within which a report must arrive.
    """

    terms: LeaseTerms = field(default_factory=LeaseTerms)
    stale_after_s: float = 45.0
    learning_s: float | None = None
    tokens: Path | None = None
    allow_anonymous: bool = False
    body_bytes: int = 256 * 1024
    body_s: float = 5.0

    def __post_init__(self) -> None:
        if not 0 < self.stale_after_s < math.inf:
            raise ValueError(f"stale_after_s is {self.stale_after_s}, but must be finite and > 0")
        if self.tokens is not None and self.allow_anonymous:
            raise ValueError("tokens are given and anonymous access is allowed; choose one")
