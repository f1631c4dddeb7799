"""tidegate's limit as gateways enforce it: abusive clients first, then classes, then heavy clients.

Every ``refresh_s`` the limit follows from what is Ready, and the level from what each client has
sent of late. Between two refreshes gateways act on what they were told.

A client is judged over two windows: the short one sees an abusive client within seconds, the long
one sees a client that is abusive by little.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field, replace

import numpy as np

from forecaster.data.series import FloatArray
from scaler.decision.capacity import Feedback, corrected_factor
from scaler.decision.limit import Limit, LimitPolicy, limit_for
from scaler.limits.client_limits import ClientPolicy, client_level
from scaler.limits.max_min import max_min_fair
from scaler.limits.priority_classes import PriorityClass, admitted, split
from scaler.simulation.limiters import Arrivals, FluidBucket, LimiterReport

SMOOTHING = 0.2  # of the demand of a class, per second
CHANCE = 2.0  # standard deviations (Poisson) above its mean that a class may rise to


@dataclass(frozen=True, slots=True)
class TidegateSettings:
    """What the operator and the gateways are set to.

    Attributes:
        capacity_qps: that one warm replica is believed to sustain.
        classes: one per row of the counts.
        short_s, long_s: windows over which a client's rate is counted.
        refresh_s: between two answers to a gateway.
        feedback_s: between two looks at the SLO.
        retried: part of what is refused for want of capacity that is taken to come again.
        objective: share of the requests that the SLO promises to serve in time.
    """

    capacity_qps: float
    classes: tuple[PriorityClass, ...]
    limit: LimitPolicy = field(default_factory=LimitPolicy)
    clients: ClientPolicy = field(default_factory=ClientPolicy)
    feedback: Feedback = field(default_factory=Feedback)
    short_s: int = 15
    long_s: int = 60
    refresh_s: float = 2.0
    feedback_s: float = 5.0
    retried: float = 0.5
    objective: float = 0.999


class _Window:
    """Each client's requests per second over the last so many seconds."""

    def __init__(self, seconds: int, policy: ClientPolicy) -> None:
        self.policy = replace(policy, window_s=float(seconds))
        self._seconds = seconds
        self._recent: deque[FloatArray] = deque()
        self._total: FloatArray | None = None

    def add(self, by_client: FloatArray) -> None:
        self._recent.append(by_client)
        self._total = by_client.copy() if self._total is None else self._total + by_client
        if len(self._recent) > self._seconds:
            self._total -= self._recent.popleft()

    @property
    def is_full(self) -> bool:
        return len(self._recent) == self._seconds

    def rates(self, before: FloatArray) -> FloatArray:
        """Return them; ``before`` where nothing has been counted yet."""
        if self._total is None:
            return before
        # Sums of what was added and taken away again are not exact.
        return np.maximum(self._total, 0.0) / len(self._recent)


class TidegateLimiter:
    """The limiter with its state between refreshes."""

    def __init__(self, name: str, settings: TidegateSettings, warm: float) -> None:
        self.name, self.wanted_qps, self.factor = name, 0.0, 1.0
        self._settings = settings
        self._limit = self._limit_of(warm)
        self.limit_qps = self._limit.qps
        self._windows = [_Window(s, settings.clients) for s in (settings.short_s, settings.long_s)]
        self._keep: FloatArray | None = None  # (clients,): what abusive clients are left
        self._demands: list[float] = []  # QPS of each class, smoothed
        self._bucket = FluidBucket()
        self._refresh_at = self._feedback_at = -math.inf
        self._slow = self._admitted = 0.0
        self._reports = 0

    def shares(self, arrivals: Arrivals) -> FloatArray:
        counts = arrivals.counts
        keep = np.ones(counts.shape[1]) if self._keep is None else self._keep
        left = counts * keep
        offered = left.sum(axis=1).tolist()
        self.wanted_qps = sum(offered)
        self._demands = [
            old + SMOOTHING * (new - old)
            for old, new in zip(self._demands or offered, offered, strict=True)
        ]
        passed = self._by_class(offered)
        share = np.empty_like(counts)
        for row, (wanted, allowed) in enumerate(zip(offered, passed, strict=True)):
            share[row] = keep if allowed >= wanted else keep * self._fair(left[row], allowed)
        refused = (left - counts * share).sum(axis=0)
        for window in self._windows:
            window.add(counts.sum(axis=0) - self._settings.retried * refused)
        return share

    def _by_class(self, offered: list[float]) -> tuple[float, ...]:
        """Return what passes of each class, important ones first, within limit and burst."""
        burst = min(float(self._limit.burst), self.limit_qps)
        room = self._bucket.room(self.limit_qps)
        # A class whose own part were just its mean would be refused every second time.
        asked = [mean + CHANCE * math.sqrt(mean) for mean in self._demands]
        passed = admitted(split(room, self._settings.classes, asked), offered)
        self._bucket.take(sum(passed), self.limit_qps, burst)
        return passed

    def _fair(self, wanted: FloatArray, allowed: float) -> FloatArray:
        """Return each client's share, so that ``allowed`` pass and the heaviest are cut first."""
        if allowed <= 0:
            return np.zeros_like(wanted)
        rates = self._windows[-1].rates(wanted)
        total = float(wanted.sum())
        level = max_min_fair(float(rates.sum()) * allowed / total, rates).level
        light = np.minimum(1.0, level / np.maximum(rates, 1e-12))
        would = float((wanted * light).sum())
        if would >= allowed:
            return np.asarray(light * (allowed / would))
        # By chance the light ones sent less than usual: what is left goes to all alike.
        return np.asarray(light + (1 - light) * ((allowed - would) / max(total - would, 1e-12)))

    def learn(self, report: LimiterReport) -> None:
        self._slow += report.slow * report.admitted_qps
        self._admitted += report.admitted_qps
        self._reports += 1
        if report.now >= self._feedback_at:
            self._feedback_at = report.now + self._settings.feedback_s
            self._correct(report.warm)
        if report.now >= self._refresh_at:
            self._refresh_at = report.now + self._settings.refresh_s
            self._limit = self._limit_of(report.warm)
            self.limit_qps = self._limit.qps
            self._judge()

    def _correct(self, warm: float) -> None:
        """Lower the capacity that is believed where the SLO breaks within it."""
        if not self._admitted:
            return
        believed = self._settings.capacity_qps * self.factor * warm
        load = self._admitted / self._reports / believed if believed > 0 else math.inf
        over = self._slow > (1 - self._settings.objective) * self._admitted
        self.factor = corrected_factor(
            self.factor, over_slo=over, load=load, feedback=self._settings.feedback
        )
        self._slow = self._admitted = 0.0
        self._reports = 0

    def _judge(self) -> None:
        """Say who is abusive, and what is left to them."""
        keep: FloatArray | None = None
        for window in self._windows:
            if not window.is_full:  # chance rules in a few seconds
                continue
            rates = window.rates(np.zeros(0))
            level = client_level(self.limit_qps, rates, window.policy)
            if level.abusive_above_qps == math.inf:
                continue
            left = np.where(
                rates > level.abusive_above_qps, level.abusive_qps / np.maximum(rates, 1e-12), 1.0
            )
            keep = left if keep is None else np.minimum(keep, left)
        self._keep = keep

    def _limit_of(self, warm: float) -> Limit:
        ready = self._settings.capacity_qps * warm
        return limit_for(ready, self._settings.limit, capacity_factor=self.factor)
