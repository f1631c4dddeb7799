"""A limiter with a lease on the clock's zero."""

from __future__ import annotations

import json

from scaler.gateway.lease_limiter import LeaseLimiter, LimiterSettings
from tests.conformance.leases import SHOP, lease


def wire(version: int = 1, rps: float = 50.0, **changes: object) -> bytes:
    return json.dumps(lease(version, rps, **changes)).encode()


def limiter(rps: float = 50.0, *, settings: dict[str, object] | None = None, **changes: object):
    """Return a limiter that holds a lease on ``rps`` since second 0."""
    made = LeaseLimiter(LimiterSettings(SHOP, "gw-1", **(settings or {})))
    made.receive(wire(rps=rps, **changes), sent_at=0.0)
    return made


def admitted(made: LeaseLimiter, offers, request_class=None, client=None) -> int:
    """Return how many of the requests at these seconds pass."""
    return sum(made.admit(request_class, client, now).allowed for now in offers)


def evenly(rps: float, seconds: float, since: float = 0.0) -> list[float]:
    return [since + i / rps for i in range(round(rps * seconds))]
