"""How the endpoint hands out limits and whom it serves."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scaler.limits.lease import AfterSafe
from scaler.limits.shares import SharePolicy

# A class of this name is load that somebody makes on purpose; gateways know it by this header.
STRESS = {"stress": "x-stress-test"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTerms:
    """What every gateway is told beside its limits.

    Attributes:
        valid_for_s: how long a lease is fresh.
        refresh_s: how often a gateway asks; told to each with a tenth more or less, so that they do
            not all ask at once.
        transit_s: that an answer may take to arrive: so much longer is a share booked.
        max_stale_s: how long the safe limit holds; then: what comes after it.
        headers: by which gateways know a request of a class, by the class's name.
        most_instances: gateways of one service.
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
        """A wait ends while the lease that waits is still fresh."""
        return self.valid_for_s - self.refresh_s

    def refresh_of(self, instance: str) -> float:
        """Return when this gateway asks again: always the same, for a new one were a change."""
        jitter = zlib.crc32(instance.encode()) / 2**32
        return round(self.refresh_s * (0.9 + 0.2 * jitter), 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings:
    """How the endpoint behaves.

    Attributes:
        terms: of every lease.
        stale_after_s: with no tick for so long it is not ready. A lease without a schedule ends
            then, others with their schedule.
        learning_s: for how long after its start the endpoint hands out nothing but what gateways
            say that they hold; None: for one lease.
        tokens: file with one bearer token a line; None: only loopback is served.
        allow_anonymous: serve everybody without a token.
        body_bytes: of a report, at most; body_s: until it has come.
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
