"""The rivals: how many requests to admit, by what others have published or what people set by hand.

A tick is one second, so counts in a tick are rates. All limiters see the same: what arrived at the
gateways by client and class, and afterwards how the service did. Nobody is told who is abusive.

Each is tuned for the scenes it is measured in; the values are the defaults here, with their origin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from forecaster.data.series import FloatArray

ALL = np.ones((1, 1))


class Arrivals(NamedTuple):
    """What arrives at the gateways in one second.

    Attributes:
        now: seconds.
        counts: requests, retries included, shape ``(classes, clients)``.
        inflight: requests in the service, waiting ones included, when the second begins.
        draining_qps: what the replicas finish per second while busy. Only a limiter that counts
            requests in flight may look at it: it sees every one of them end.
    """

    now: float
    counts: FloatArray
    inflight: float
    draining_qps: float


class LimiterReport(NamedTuple):
    """How the service did in the second that is over.

    Attributes:
        admitted_qps: of what was offered.
        latency_s: mean, in the queue and in service; queueing_s: in the queue alone.
        slow: share of the requests over the SLO's latency, or lost.
        inflight: most requests in the service at once.
        ready: replicas; warm: each that warms up counted by what it serves.
    """

    now: float
    admitted_qps: float
    latency_s: float
    queueing_s: float
    slow: float
    inflight: float
    ready: int
    warm: float


class Limiter(Protocol):
    """Decides what passes.

    Attributes:
        limit_qps: in force; inf where requests per second are not what is limited.
        wanted_qps: of what arrived last: what is no abuse, so worth replicas.
    """

    @property
    def name(self) -> str: ...

    @property
    def limit_qps(self) -> float: ...

    @property
    def wanted_qps(self) -> float: ...

    def shares(self, arrivals: Arrivals) -> FloatArray:
        """Return the share that passes, in [0, 1]; shape broadcasts to ``(classes, clients)``."""

    def learn(self, report: LimiterReport) -> None:
        """Take note of how it went."""


class FluidBucket:
    """Tokens for whole seconds: in any window at most its seconds' limits and one burst pass."""

    def __init__(self) -> None:
        self._left = 0.0

    def room(self, qps: float) -> float:
        """Return how many may pass in this second."""
        return qps + self._left

    def take(self, wanted: float, qps: float, burst: float) -> float:
        """Return how many do, and keep what is left, up to ``burst``."""
        room = qps + self._left
        taken = min(wanted, room)
        self._left = min(room - taken, burst)
        return taken


class Fixed:
    """One number, set once; by default from the capacity at the usual number of replicas.

    Attributes:
        burst_s: seconds of the limit that may come at once.
    """

    def __init__(self, name: str, limit_qps: float, *, burst_s: float = 0.1) -> None:
        self.name, self.limit_qps, self.wanted_qps = name, limit_qps, 0.0
        self._bucket, self._burst_s = FluidBucket(), burst_s

    def shares(self, arrivals: Arrivals) -> FloatArray:
        self.wanted_qps = total = float(arrivals.counts.sum())
        taken = self._bucket.take(total, self.limit_qps, self._burst_s * self.limit_qps)
        return ALL * (taken / total) if total > 0 else ALL

    def learn(self, report: LimiterReport) -> None:
        pass


class Both:
    """Two limiters in a row: the second sees what the first lets through."""

    def __init__(self, name: str, first: Limiter, second: Limiter) -> None:
        self.name, self._first, self._second = name, first, second

    @property
    def limit_qps(self) -> float:
        return min(self._first.limit_qps, self._second.limit_qps)

    @property
    def wanted_qps(self) -> float:
        return self._second.wanted_qps

    def shares(self, arrivals: Arrivals) -> FloatArray:
        share = self._first.shares(arrivals)
        left = arrivals._replace(counts=arrivals.counts * share)
        return np.asarray(share * self._second.shares(left))

    def learn(self, report: LimiterReport) -> None:
        self._first.learn(report)
        self._second.learn(report)


class FixedPerClient:
    """The same number for every client, as with nginx's `limit_req` by address; no other limit.

    A request over it is refused; ``burst_s`` seconds of it may come at once.
    """

    limit_qps = math.inf

    def __init__(self, name: str, client_qps: float, *, burst_s: float = 2.0) -> None:
        self.name, self.wanted_qps = name, 0.0
        self._qps, self._burst = client_qps, burst_s * client_qps
        self._left: FloatArray | None = None

    def shares(self, arrivals: Arrivals) -> FloatArray:
        by_client = arrivals.counts.sum(axis=0)
        self.wanted_qps = float(by_client.sum())
        left = np.full(len(by_client), self._burst) if self._left is None else self._left
        taken = np.minimum(by_client, left + self._qps)
        self._left = np.minimum(left + self._qps - taken, self._burst)
        return np.asarray(taken / np.maximum(by_client, 1e-12))[None, :]

    def learn(self, report: LimiterReport) -> None:
        pass


@dataclass(frozen=True, slots=True)
class AIMDSettings:
    """Additive increase, multiplicative decrease.

    Attributes:
        decrease: of what was admitted, when too many requests are slow or lost.
        increase: per second, as a share of the first limit, while the limit is in use.
        tolerated: share of slow requests that is still well.
        cool_down_s: after a decrease: the queue that caused it must first drain.
    """

    decrease: float = 0.95
    increase: float = 0.01
    tolerated: float = 0.01
    cool_down_s: float = 3.0


class AIMD:
    """A limit that falls on latency or errors and otherwise creeps up.

    Source: D.-M. Chiu and R. Jain, "Analysis of the Increase and Decrease Algorithms for Congestion
    Avoidance", Computer Networks and ISDN Systems 17 (1989).
    """

    def __init__(self, name: str, first_qps: float, settings: AIMDSettings | None = None) -> None:
        self.name, self.limit_qps, self.wanted_qps = name, first_qps, 0.0
        self._settings = settings or AIMDSettings()
        self._step = self._settings.increase * first_qps
        self._least = 0.05 * first_qps
        self._bucket, self._rest_until = FluidBucket(), -math.inf

    def shares(self, arrivals: Arrivals) -> FloatArray:
        self.wanted_qps = total = float(arrivals.counts.sum())
        taken = self._bucket.take(total, self.limit_qps, 0.1 * self.limit_qps)
        return ALL * (taken / total) if total > 0 else ALL

    def learn(self, report: LimiterReport) -> None:
        settings = self._settings
        if report.slow > settings.tolerated:
            if report.now >= self._rest_until:
                least = min(self.limit_qps, report.admitted_qps)
                self.limit_qps = max(settings.decrease * least, self._least)
                self._rest_until = report.now + settings.cool_down_s
        elif self.wanted_qps >= 0.9 * self.limit_qps:
            self.limit_qps += self._step


@dataclass(frozen=True, slots=True)
class GradientSettings:
    """Of Gradient2: limits per replica, a window of one second.

    As published but for two. ``least`` is 20 there: here a replica serves 8 at once.
    ``long_windows`` is 600 there: an overload of ten minutes then becomes what is usual, and the
    limit rises without end.

    Attributes:
        long_windows: over which the usual latency is averaged.
        tolerance: times the usual latency that is still well.
        queue: requests that may always wait.
    """

    first: float = 20.0
    least: float = 8.0
    most: float = 200.0
    queue: float = 4.0
    smoothing: float = 0.2
    tolerance: float = 1.5
    long_windows: int = 3600
    warm_up: int = 10


def gradient2(limit: float, short_s: float, long_s: float, settings: GradientSettings) -> float:
    """Return the next limit of requests in flight.

    ``gradient = min(1, max(1/2, tolerance x long / short))``, then
    ``limit x (1 - smoothing) + (limit x gradient + queue) x smoothing``, within the bounds.

    Source: Netflix/concurrency-limits, `Gradient2Limit`.

    >>> gradient2(40.0, short_s=0.3, long_s=0.1, settings=GradientSettings())  # gradient 0.5
    36.8
    """
    gradient = min(1.0, max(0.5, settings.tolerance * long_s / short_s))
    smoothed = limit + settings.smoothing * (limit * gradient + settings.queue - limit)
    return min(max(smoothed, settings.least), settings.most)


class Gradient:
    """Requests in flight limited in every replica, by how latency changes.

    It is enforced as it is where it comes from: what ends makes room for what arrives. So in a
    second as many are admitted as end in it, and as there was room for when it began.
    """

    limit_qps = math.inf

    def __init__(self, name: str, settings: GradientSettings | None = None) -> None:
        self.name, self.wanted_qps = name, 0.0
        self._settings = settings or GradientSettings()
        self.limit = self._settings.first
        self._long, self._seen, self._ready = 0.0, 0, 0

    def shares(self, arrivals: Arrivals) -> FloatArray:
        self.wanted_qps = total = float(arrivals.counts.sum())
        if not self._ready:
            return ALL
        room = max(self.limit * self._ready - arrivals.inflight, 0.0) + arrivals.draining_qps
        return ALL * (min(total, room) / total) if total > 0 else ALL

    def learn(self, report: LimiterReport) -> None:
        settings, short = self._settings, report.latency_s
        self._ready = report.ready
        self._seen += 1
        # At first the plain mean, then the exponential one, as in `ExpAvgMeasurement`.
        weight = (
            1 / self._seen if self._seen <= settings.warm_up else 2 / (settings.long_windows + 1)
        )
        self._long += weight * (short - self._long)
        long = self._long
        if long > 2 * short:
            self._long *= 0.95
        if report.ready and report.inflight >= self.limit * report.ready / 2:
            self.limit = gradient2(self.limit, short, long, settings)
