"""Leaky buckets whose rate may change while they hold requests."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scaler.limits.gcra import Verdict, admit, rescaled

# A lower rate (one request in thirty years) counts as 0.
MIN_QPS = 1e-9


@dataclass(slots=True)
class Bucket:
    """A leaky bucket (see `scaler.limits.gcra`); a new one is empty and has rate 0.

    Attributes:
        interval_s: 1 / rate.
        burst: requests that may pass at once.
        tat: when the bucket will be empty.
    """

    interval_s: float = math.inf
    burst: float = 1.0
    tat: float = -math.inf

    def set_rate(self, qps: float, burst: float, now: float) -> None:
        """Change rate and size; the bucket keeps its requests, as far as they fit the new size.

        What does not fit a smaller bucket is dropped, or no request would pass until it drained.
        """
        interval_s = 1 / qps if qps > MIN_QPS else math.inf
        if interval_s != self.interval_s:
            self.tat = rescaled(self.tat, now, self.interval_s, interval_s)
            self.interval_s = interval_s
        self.burst = max(1.0, burst)
        if self.interval_s < math.inf:
            self.tat = min(self.tat, now + self.burst * self.interval_s)

    def check(self, now: float, hits: int, part: float = 1.0) -> Verdict:
        """Return whether ``hits`` requests may pass, all or none; the bucket does not change.

        ``part`` is how much of the bucket they may fill; one request always finds an empty bucket.
        """
        burst = max(self.burst * part, min(self.burst, hits))
        if hits > burst:
            return Verdict(False, self.tat, math.inf)
        # ``hits`` requests are one request of that length; the size in seconds is the same.
        verdict = admit(self.tat, now, self.interval_s * hits, burst / hits)
        if verdict.allowed or self.interval_s == math.inf:
            return verdict
        # What is beyond a part of the bucket is in it nevertheless, and has to drain.
        beyond_s = self.tat - now - burst * self.interval_s
        return Verdict(False, verdict.tat, verdict.retry_after_s + max(0.0, beyond_s))

    def charge(self, now: float, hits: int) -> None:
        """Add requests that pass in any case; the bucket gets no fuller than its size."""
        if self.interval_s < math.inf:
            full = now + self.burst * self.interval_s
            self.tat = min(max(self.tat, now) + hits * self.interval_s, full)

    def remaining(self, now: float, part: float = 1.0) -> float:
        """Return the number of requests that may pass at once now, by this part of the bucket."""
        if self.interval_s == math.inf:
            return 0.0
        burst = max(self.burst * part, 1.0)
        return max(0.0, burst - max(0.0, self.tat - now) / self.interval_s)

    def reset_s(self, now: float) -> float:
        """Return the seconds until a whole burst may pass; 0 where nothing ever may."""
        return max(0.0, self.tat - now) if self.interval_s < math.inf else 0.0
