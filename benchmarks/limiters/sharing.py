"""A limit that gateways share: how well it follows demand that comes, moves and differs by class.

Time is virtual. The gateways are `VirtualGateways`: the lease service, long polls, pollers and
limiters of production. A message between a gateway and the endpoint takes `DELAY_S`, one way.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from benchmarks.limiters.still_limit import BURST_S, SERVICE, still_view
from forecaster.data.series import FloatArray
from scaler.control.snapshot import Snapshot
from scaler.gateway.buckets import Bucket
from scaler.limits.max_min import max_min_fair
from scaler.limits.priority_classes import PriorityClass
from scaler.simulation.virtual_gateways import VirtualGateways

# What the gateways share, and a tenth of a second's requests may come at once.
LIMIT_QPS = 1000.0
TICK_S, DELAY_S = 15.0, 0.002
# Shares have settled by then.
WARM_UP_S = 20.0
# As long as a reply of Doorman's server holds, and how often its clients ask.
DOORMAN_LEASE_S, DOORMAN_REFRESH_S = 10.0, 2.0


@dataclass(frozen=True, slots=True)
class Demand:
    """What arrives at one gateway, of one class; ``""`` is none."""

    gateway: int
    qps: float
    name: str = ""


@dataclass(frozen=True, eq=False, slots=True)
class Arrived:
    """What became of requests, in order of time.

    Attributes:
        times: in seconds; gateways: that they arrived at; names: of their classes.
        passed: whether they were admitted.
    """

    times: FloatArray
    gateways: np.ndarray
    names: np.ndarray
    passed: np.ndarray

    def of(self, which: np.ndarray) -> Arrived:
        return Arrived(
            self.times[which], self.gateways[which], self.names[which], self.passed[which]
        )

    def since(self, begin: float) -> Arrived:
        return self.of(self.times >= begin)

    @property
    def served(self) -> float:
        """The share of all requests that was admitted."""
        return float(self.passed.mean())

    def rates(self, gateway: int, begin: float, end: float, step_s: float) -> list[float]:
        """Return what a gateway admitted, in requests per second of each step."""
        mine = self.times[self.passed & (self.gateways == gateway)]
        edges = np.arange(begin, end + step_s / 2, step_s)
        return [float(count / step_s) for count in np.histogram(mine, edges)[0]]


def joined(parts: Sequence[Arrived]) -> Arrived:
    """Return all of them, one after the other."""
    columns = zip(*((one.times, one.gateways, one.names, one.passed) for one in parts), strict=True)
    return Arrived(*(np.concatenate(column) for column in columns))


class Sharing(Protocol):
    """Gateways that share a limit."""

    def admit(self, gateway: int, name: str, now: float) -> bool: ...

    def run(self, now: float) -> None:
        """Carry out what is due up to now."""
        ...


def send(
    sharing: Sharing,
    demands: Iterable[Demand],
    begin: float,
    end: float,
    rng: np.random.Generator | None = None,
) -> Arrived:
    """Send requests by chance (Poisson), or without ``rng`` evenly spaced."""
    arrivals: list[tuple[float, int, str]] = []
    for one in demands:
        if rng is None:
            times = np.arange(begin + 0.5 / one.qps, end, 1 / one.qps)
        else:
            times = rng.uniform(begin, end, rng.poisson(one.qps * (end - begin)))
        arrivals += [(now, one.gateway, one.name) for now in times.tolist()]
    arrivals.sort()
    passed = []
    for now, gateway, name in arrivals:
        sharing.run(now)
        passed.append(sharing.admit(gateway, name, now))
    times_of, gateways, names = zip(*arrivals, strict=True)
    return Arrived(np.array(times_of), np.array(gateways), np.array(names), np.array(passed))


class SharedLimit:
    """tidegate's gateways under one limit; a context.

    Attributes:
        most_booked: the most that all gateways together might have admitted at any moment, as a
            share of the limit.

    Args:
        gateways: how many.
        classes: of the policy.
        limit_qps: that they share.
    """

    def __init__(
        self, gateways: int, classes: tuple[PriorityClass, ...] = (), limit_qps: float = LIMIT_QPS
    ) -> None:
        self._view, self._limit_qps = still_view(limit_qps, classes), limit_qps
        rng = np.random.default_rng(0)
        self._site = VirtualGateways(SERVICE, gateways, 0.0, rng, delay_s=DELAY_S)
        self._admit = self._site.admit
        self._tick_at = self.most_booked = 0.0
        self.run(0.0)

    def __enter__(self) -> SharedLimit:
        return self

    def __exit__(self, *_: object) -> None:
        self._site.end()

    def admit(self, gateway: int, name: str, now: float) -> bool:
        return self._admit[gateway](name or None, None, now).allowed

    def run(self, now: float) -> None:
        while min(self._tick_at, self._site.due) <= now:
            if self._tick_at <= self._site.due:
                tick = Snapshot(int(self._tick_at / TICK_S), self._tick_at, {SERVICE: self._view})
                self._site.publish(tick, self._tick_at)
                self._tick_at += TICK_S
            else:
                self._site.run(self._site.due)
            booked = sum(qps for qps in self._site.limits_qps() if math.isfinite(qps))
            self.most_booked = max(self.most_booked, booked / self._limit_qps)

    def add(self) -> None:
        """Start one gateway more."""
        self._site.add()
        self._admit = self._site.admit


class Doorman:
    """Doorman's fair share: a client has what it wants up to the fair share, as it asks for it.

    Each client asks by itself, so that what another has given up is free when it asks next.

    Source: github.com/youtube/doorman, doc/algorithms.md, FAIR_SHARE.
    """

    def __init__(self, gateways: int, limit_qps: float = LIMIT_QPS) -> None:
        self._limit_qps = limit_qps
        rng = np.random.default_rng(0)
        self._asks_at = rng.uniform(0.0, DOORMAN_REFRESH_S, gateways)
        self._wants, self._has = np.zeros(gateways), np.zeros(gateways)
        self._counts = np.zeros(gateways)
        self._buckets = [Bucket() for _ in range(gateways)]

    def admit(self, gateway: int, name: str, now: float) -> bool:  # noqa: ARG002 - it knows none
        self._counts[gateway] += 1
        verdict = self._buckets[gateway].check(now, 1)
        if verdict.allowed:
            self._buckets[gateway].tat = verdict.tat
        return verdict.allowed

    def run(self, now: float) -> None:
        while self._asks_at.min() <= now:
            one = int(self._asks_at.argmin())
            self._wants[one] = self._counts[one] / DOORMAN_REFRESH_S
            self._counts[one] = 0.0
            free = self._limit_qps - (self._has.sum() - self._has[one])
            fair = max_min_fair(self._limit_qps, self._wants).qps[one]
            self._has[one] = qps = max(min(fair, free), 0.0)
            self._buckets[one].set_rate(qps, qps * BURST_S, self._asks_at[one])
            self._asks_at[one] += DOORMAN_REFRESH_S


# The scenes


@dataclass(frozen=True, slots=True)
class GuaranteeKept:
    """What became of a class at its guarantee while another floods.

    Attributes:
        served: share of its requests; idle: share of the limit that nobody used.
        most_booked: see `SharedLimit`.
    """

    served: float
    idle: float
    most_booked: float


def guarantee_kept(
    rng: np.random.Generator | None = None, gateways: int = 8, seconds: float = 40.0
) -> GuaranteeKept:
    """Offer a class exactly its guarantee through two gateways; bulk floods all others."""
    pay, bulk = PriorityClass("pay", 0, guaranteed_qps=0.4 * LIMIT_QPS), PriorityClass("bulk", 1)
    offered = [Demand(i, 0.2 * LIMIT_QPS, "pay") for i in range(2)]
    offered += [Demand(i, 0.4 * LIMIT_QPS, "bulk") for i in range(2, gateways)]
    end = WARM_UP_S + seconds
    with SharedLimit(gateways, (pay, bulk)) as sharing:
        arrived = send(sharing, offered, 0.0, end, rng).since(WARM_UP_S)
        used = arrived.passed.sum() / (seconds * LIMIT_QPS)
        served = arrived.of(arrived.names == "pay").served
        return GuaranteeKept(served, 1 - float(used), sharing.most_booked)


def moving(
    sharing: Sharing,
    gateways: int,
    rng: np.random.Generator,
    limit_qps: float = LIMIT_QPS,
    moves: int = 9,
    each_s: float = 20.0,
) -> float:
    """Return the share of requests that is refused although all fit the limit.

    Demand is 0.7 of the limit; nine tenths of it are at one gateway, each in turn.
    """
    parts = []
    for move in range(moves):
        shares = np.full(gateways, 0.1 / (gateways - 1))
        shares[move % gateways] = 0.9
        offered = [Demand(i, float(0.7 * limit_qps * x)) for i, x in enumerate(shares)]
        parts.append(send(sharing, offered, move * each_s, (move + 1) * each_s, rng))
    return 1 - joined(parts).since(each_s).served


@dataclass(frozen=True, slots=True)
class Started:
    """How gateways start.

    Attributes:
        least_qps: that a gateway admitted in any quarter of the first second, of what is its due.
        refused: requests of the first three seconds that were refused, of what was offered.
    """

    least_qps: float
    refused: float


def two_start() -> Started:
    """Let two idle gateways be loaded at once: each with 0.45 of the limit."""
    begin = WARM_UP_S
    with SharedLimit(2) as sharing:
        sharing.run(begin)
        offered = [Demand(i, 0.45 * LIMIT_QPS) for i in range(2)]
        return _started(send(sharing, offered, begin, begin + 3.0), (0, 1), begin)


def third_starts() -> Started:
    """Start a third gateway while two have more than there is; each is offered half of the limit.

    What it admits without a lease, in its first milliseconds, is counted too.
    """
    begin = WARM_UP_S
    with SharedLimit(2) as sharing:
        offered = [Demand(i, 0.5 * LIMIT_QPS) for i in range(3)]
        send(sharing, offered[:2], 0.0, begin)
        sharing.add()
        return _started(send(sharing, offered, begin, begin + 3.0), (2,), begin)


def _started(arrived: Arrived, gateways: Sequence[int], begin: float) -> Started:
    rates = [arrived.rates(i, begin, begin + 1.0, 0.25) for i in gateways]
    ours = arrived.of(np.isin(arrived.gateways, gateways))
    return Started(min(map(min, rates)), 1 - ours.served)
