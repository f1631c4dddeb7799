"""The requests that a gateway has counted, by priority class, and what it has said of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from scaler.limits.chance import NOTABLE, differ

# Bounds of a report's ``interval_s``, the time over which its requests were counted.
MIN_INTERVAL_S, MAX_INTERVAL_S = 0.001, 3600.0
# Standard deviations of a count from which on demand has moved: by chance once in hours.
MOVED = 4.0


@dataclass(slots=True)
class RequestCounts:
    """Numbers of requests by class; ``""`` stands for requests without a known class.

    Attributes:
        admitted: requests within the limit.
        denied: requests over the limit; in a dry run they pass nevertheless.
        admitted_beyond, denied_beyond: those of them beyond their client's fair part.
        rejected: requests over the limit that were in fact refused.
    """

    admitted: Counter[str] = field(default_factory=Counter)
    denied: Counter[str] = field(default_factory=Counter)
    admitted_beyond: Counter[str] = field(default_factory=Counter)
    denied_beyond: Counter[str] = field(default_factory=Counter)
    rejected: int = 0

    def add(self, other: RequestCounts) -> None:
        self.admitted += other.admitted
        self.denied += other.denied
        self.admitted_beyond += other.admitted_beyond
        self.denied_beyond += other.denied_beyond
        self.rejected += other.rejected

    def offered(self) -> dict[str, int]:
        """Return the requests of each class, admitted or not."""
        return {name: self.admitted[name] + self.denied[name] for name in self.names()}

    def names(self) -> set[str]:
        return set(self.admitted) | set(self.denied)

    def report_fields(self) -> dict[str, object]:
        """Return the counts as fields of a report.

        The demand of a class is what is within its clients' fair parts. What is beyond counts in
        the totals alone, as requests of no class do.
        """
        admitted = self.admitted - self.admitted_beyond
        denied = self.denied - self.denied_beyond
        return {
            "admitted": self.admitted.total(),
            "denied": self.denied.total(),
            "classes": {
                name: {"admitted": admitted[name], "denied": denied[name]}
                for name in sorted(self.names() - {""})
            },
        }


class CountedTraffic:
    """Counts requests from one report to the next.

    Attributes:
        recent: since somebody last looked whether demand has moved.
    """

    def __init__(self) -> None:
        self.recent = RequestCounts()
        self._earlier = RequestCounts()  # not reported either, but before that look
        self._reported = RequestCounts()
        self._since: float | None = None
        self._looked_at = -math.inf
        self._said_qps: Mapping[str, float] = {}
        self._said_denied: frozenset[str] = frozenset()

    def begin(self, now: float) -> None:
        """Count from now on, unless that has begun already."""
        if self._since is None:
            self._since = now

    def total(self) -> RequestCounts:
        return _sum(self._reported, self._earlier, self.recent)

    def moved(self, now: float) -> bool:
        """Look whether demand is no longer what was said of it.

        It is not if requests of a class are refused of which none had been, or if more or fewer
        come than chance can explain, since the last look or since the last report.
        """
        looked_at = max(self._looked_at, now - self._seconds(now))
        whole = _sum(self._earlier, self.recent)
        if (
            frozenset(whole.denied) - self._said_denied
            or self._differ(self.recent, now - looked_at)
            or self._differ(whole, self._seconds(now))
        ):
            return True
        self._earlier, self.recent, self._looked_at = whole, RequestCounts(), now
        return False

    def report_fields(self, now: float) -> dict[str, object]:
        """Return what was counted since the last report as fields of the next, which begins now."""
        whole, seconds = _sum(self._earlier, self.recent), self._seconds(now)
        self.recent, self._since, self._looked_at = RequestCounts(), now, now
        return self._said(whole, seconds)

    def earlier_fields(self) -> dict[str, object] | None:
        """Return the same of what was counted before the last look; None: it is all since then.

        Where demand has moved, what came before would blur what has come since.
        """
        if self._since is None or self._looked_at <= self._since:
            return None
        seconds, self._since = self._seconds(self._looked_at), self._looked_at
        return self._said(self._earlier, seconds)

    def _said(self, counted: RequestCounts, seconds: float) -> dict[str, object]:
        self._earlier = RequestCounts()
        self._reported.add(counted)
        self._said_qps = {name: count / seconds for name, count in counted.offered().items()}
        self._said_denied = frozenset(counted.denied)
        return {"interval_s": seconds, **counted.report_fields()}

    def _differ(self, counted: RequestCounts, seconds: float) -> bool:
        offered = counted.offered()
        for name in offered.keys() | self._said_qps.keys():
            count, expected = offered.get(name, 0), self._said_qps.get(name, 0.0) * seconds
            if abs(count - expected) > NOTABLE * expected and differ(count, expected, MOVED):
                return True
        return False

    def _seconds(self, now: float) -> float:
        since = self._since if self._since is not None else now - 1.0
        return min(max(now - since, MIN_INTERVAL_S), MAX_INTERVAL_S)


def _sum(*counts: RequestCounts) -> RequestCounts:
    total = RequestCounts()
    for one in counts:
        total.add(one)
    return total
