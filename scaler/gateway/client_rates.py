"""The request rates of a gateway's clients, for a bounded number of clients.

A rate is counted over a sliding window: the requests of the current window, and of those of the
window before the share that the sliding window still covers. During the very first window all rates
are too low by the same factor, so a comparison between clients is still right. The client that was
seen longest ago is forgotten first, so a client that sends a lot is not forgotten.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from scaler.gateway.buckets import Bucket

MAX_RATES = 1000  # a report with more clients holds a histogram instead of single rates
# Upper bounds of the histogram in requests per second: 64, each 1.25 times the one before.
BOUNDS = tuple(float(f"{0.01 * 1.25**i:.4g}") for i in range(64))


@dataclass(slots=True)
class ClientRate:
    """The requests of one client.

    Attributes:
        window: number of the window in which the client was last seen.
        count: requests in that window.
        before: requests in the window before it.
        bucket: admits the client's requests.
    """

    window: int
    count: int = 0
    before: int = 0
    bucket: Bucket = field(default_factory=Bucket)


class ClientRates:
    """The rates of all clients seen recently.

    Args:
        max_clients: how many clients are remembered.
        window_s: length of the sliding window.
    """

    def __init__(self, max_clients: int, window_s: float) -> None:
        self._max_clients, self.window_s = max_clients, window_s
        # Names may be long, so clients are known by their hash. On a collision two share a bucket.
        self._known: dict[int, ClientRate] = {}
        self._started_at: float | None = None

    def __len__(self) -> int:
        return len(self._known)

    def count(self, client: str, now: float, hits: int) -> ClientRate:
        """Count ``hits`` requests of a client, whether they are admitted or not."""
        if self._started_at is None:
            self._started_at = now
        window, _ = self._window(now)
        key = hash(client)
        client_rate = self._known.pop(key, None) or ClientRate(window)
        self._known[key] = client_rate  # the last entry is the one seen last
        if client_rate.window != window:
            client_rate.before = client_rate.count if client_rate.window == window - 1 else 0
            client_rate.window, client_rate.count = window, 0
        client_rate.count += hits
        if len(self._known) > self._max_clients:
            del self._known[next(iter(self._known))]
        return client_rate

    def rate(self, client_rate: ClientRate, now: float) -> float:
        """Return the requests per second that a client offers."""
        window, part = self._window(now)
        if client_rate.window < window - 1:
            return 0.0
        count, before = client_rate.count, client_rate.before
        if client_rate.window == window - 1:
            count, before = 0, client_rate.count
        return (count + before * (1 - part)) / self.window_s

    def rates(self, now: float) -> list[float]:
        """Return the rates above 0 of all clients that are remembered."""
        rates = (self.rate(client_rate, now) for client_rate in self._known.values())
        return [rate for rate in rates if rate > 0]

    def _window(self, now: float) -> tuple[int, float]:
        """Return the number of the current window, and the share of it that has passed."""
        elapsed_s = max(0.0, now - (self._started_at if self._started_at is not None else now))
        part, window = math.modf(elapsed_s / self.window_s)
        return int(window), part


def report_fields(rates: list[float]) -> dict[str, object]:
    """Return the client rates as fields of a report: single rates, or a histogram of many."""
    if not rates:
        return {}
    if len(rates) <= MAX_RATES:
        return {"client_rates": [round(rate, 4) for rate in rates]}
    counts = [0] * len(BOUNDS)
    for rate in rates:
        # The first bound that is not below the rate; rates above the last bound count there too.
        i = math.ceil(math.log(rate / BOUNDS[0], 1.25)) if rate > BOUNDS[0] else 0
        counts[min(i, len(BOUNDS) - 1)] += 1
    return {"client_histogram": {"bounds": list(BOUNDS), "counts": counts}}
