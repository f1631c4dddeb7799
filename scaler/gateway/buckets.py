"""Buckets whose rate may change while they are filled."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scaler.limits.gcra import Verdict, admit, rescaled

# Below it, one request in thirty years: nothing passes.
MIN_QPS = 1e-9


@dataclass(slots=True)
class Bucket:
    """A leaky bucket (see `scaler.limits.gcra`); a new one is empty, and lets nothing pass.

    Attributes:
        interval_s: 1 / rate.
        burst: requests that may pass at once.
        tat: when it will have drained.
    """

    interval_s: float = math.inf
    burst: float = 1.0
    tat: float = -math.inf

    def tune(self, qps: float, burst: float, now: float) -> None:
        """Give it another rate; as many requests are in it as before, unless it is now smaller.

        What is above a smaller bucket's brim is forgotten, or nothing would pass until it drained.
        """
        interval_s = 1 / qps if qps > MIN_QPS else math.inf
        if interval_s != self.interval_s:
            self.tat = rescaled(self.tat, now, self.interval_s, interval_s)
            self.interval_s = interval_s
        self.burst = max(1.0, burst)
        if self.interval_s < math.inf:
            self.tat = min(self.tat, now + self.burst * self.interval_s)

    def ask(self, now: float, hits: int) -> Verdict:
        """Return whether so many requests may pass, all or none; nothing is taken yet."""
        if hits > self.burst:
            return Verdict(False, self.tat, math.inf)
        # The depth in seconds is the same; each is as long as ``hits`` requests.
        return admit(self.tat, now, self.interval_s * hits, self.burst / hits)

    def take(self, now: float, hits: int) -> None:
        """Count requests that pass whatever this bucket says; it gets no fuller than full."""
        if self.interval_s < math.inf:
            full = now + self.burst * self.interval_s
            self.tat = min(max(self.tat, now) + hits * self.interval_s, full)

    def left(self, now: float) -> float:
        """Return the requests that would pass at once."""
        if self.interval_s == math.inf:
            return 0.0
        return max(0.0, self.burst - max(0.0, self.tat - now) / self.interval_s)

    def drains_in_s(self, now: float) -> float:
        return max(0.0, self.tat - now)
