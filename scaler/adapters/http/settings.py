"""Settings of the endpoint: who may send requests, and what holds at its start."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

# Three ticks of the default 15 s: one may be late, two in a row are a fault.
STALE_TICKS, STALE_AFTER_S = 3, 45.0


def stale_after_s(tick_s: float) -> float:
    """Return the age of the last tick from which on the endpoint is not ready.

    A tick may wait for a slow Prometheus for as long as it may take, however often it is due.

    >>> [stale_after_s(tick_s) for tick_s in (1.0, 15.0, 60.0)]
    [45.0, 45.0, 180.0]
    """
    return max(STALE_TICKS * tick_s, STALE_AFTER_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings:
    """How the endpoint behaves.

    Attributes:
        stale_after_s: age of the last tick from which on the endpoint is not ready. A limit
            without a schedule is not handed out either then, others not after their schedule.
        learns_shares: whether another process may have issued leases before this one. For the
            duration of one lease each gateway then gets no more than it says that it holds.
        tokens: file with one bearer token per line; None: only loopback is served.
        allow_anonymous: serve everybody without a token.
    """

    stale_after_s: float = STALE_AFTER_S
    learns_shares: bool = True
    tokens: Path | None = None
    allow_anonymous: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.stale_after_s < math.inf:
            raise ValueError(f"stale_after_s is {self.stale_after_s}, but must be finite and > 0")
        if self.tokens is not None and self.allow_anonymous:
            raise ValueError("tokens are given and anonymous access is allowed; choose one")
