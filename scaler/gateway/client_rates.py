"""What each client of a gateway offers, for a bounded number of them.

A client's rate is counted over a sliding window: what it sent in this one, and as much of the one
before as the window that ends now still covers. While the very first window lasts all rates are too
low by the same factor: so whoever compares them, knowing the window, is not misled by a few
requests. Who was seen longest ago is forgotten first, so whoever sends a lot is not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from scaler.gateway.buckets import Bucket

MAX_RATES = 1000
# Upper bounds in requests per second: 64 of them, each a quarter above the one before.
BOUNDS = tuple(float(f"{0.01 * 1.25**i:.4g}") for i in range(64))


@dataclass(slots=True)
class ClientRate:
    """One client.

    Attributes:
        window: of ``count``; the one before counted ``before``.
    """

    window: int
    count: int = 0
    before: int = 0
    bucket: Bucket = field(default_factory=Bucket)


class ClientRates:
    """All clients of late.

    Args:
        most: that are remembered.
        window_s: over which rates are counted.
    """

    def __init__(self, most: int, window_s: float) -> None:
        self._most, self._window_s = most, window_s
        # A name may be long, its hash is not. Two that share one share a bucket.
        self._known: dict[int, ClientRate] = {}
        self._began: float | None = None

    def __len__(self) -> int:
        return len(self._known)

    def seen(self, client: str, now: float, hits: int) -> ClientRate:
        """Count what a client offers, admitted or not."""
        if self._began is None:
            self._began = now
        window, _ = self._window(now)
        key = hash(client)
        caller = self._known.pop(key, None) or ClientRate(window)
        self._known[key] = caller  # at the end: seen last
        if caller.window != window:
            caller.before = caller.count if caller.window == window - 1 else 0
            caller.window, caller.count = window, 0
        caller.count += hits
        if len(self._known) > self._most:
            del self._known[next(iter(self._known))]
        return caller

    def rate(self, caller: ClientRate, now: float) -> float:
        """Return requests per second that a client offers."""
        window, part = self._window(now)
        if caller.window < window - 1:
            return 0.0
        count, before = caller.count, caller.before
        if caller.window == window - 1:
            count, before = 0, caller.count
        return (count + before * (1 - part)) / self._window_s

    def rates(self, now: float) -> list[float]:
        """Return the rates of all clients that have offered anything over the window."""
        found = (self.rate(caller, now) for caller in self._known.values())
        return [rate for rate in found if rate > 0]

    def _window(self, now: float) -> tuple[int, float]:
        """Return which window it is, and the part of it that is over."""
        since = max(0.0, now - (self._began if self._began is not None else now))
        part, window = math.modf(since / self._window_s)
        return int(window), part


def reported(rates: list[float]) -> dict[str, object]:
    """Return the rates as a report has them: one by one, or how many clients sent how much."""
    if not rates:
        return {}
    if len(rates) <= MAX_RATES:
        return {"client_rates": [round(rate, 4) for rate in rates]}
    counts = [0] * len(BOUNDS)
    for rate in rates:
        # The least bound that is not below it; whoever is above the last one counts there.
        i = math.ceil(math.log(rate / BOUNDS[0], 1.25)) if rate > BOUNDS[0] else 0
        counts[min(i, len(BOUNDS) - 1)] += 1
    return {"client_histogram": {"bounds": list(BOUNDS), "counts": counts}}
