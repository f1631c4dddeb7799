"""Which requests are within their client's fair part of the limit, and which are beyond it.

Nothing is refused here: a request beyond its client's part is served last, by `ClassBuckets`, from
what the others leave. So where all fit, all pass.

The parts are max-min fair. They are found anew several times in a window from what was asked for in
it, admitted or not:

1. Over all requests of known clients: the level at which each may have so many, so that together
   they fit the limit (`DemandCurve`). No client's part is more, in no class: so a flood in the most
   important class takes no more than the flooding clients' part, and others keep theirs.
2. In each class, within what the classes before it leave: the level at which its clients fit.

Newcomers are one pool beside the known clients (`KnownClients`): it has what these leave, and at
least the share of all requests that newcomers usually have at that hour. Within it each newcomer
has a level as known clients have, and all of them share one bucket; for where each sends one
request under a new name, no level tells them apart.

A client's part is a leaky bucket that drains at the level. Levels change often, and clients are
many, so a bucket is kept as a tag on one common time that runs at the rate of the level: virtual
time, as in fair queueing (A. Demers, S. Keshav, S. Shenker: Analysis and Simulation of a Fair
Queueing Algorithm, SIGCOMM 1989).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from scaler.gateway.buckets import Bucket
from scaler.gateway.demand_curve import DemandCurve
from scaler.gateway.known_clients import Client, KnownClients

# Part of the limit that fair parts add up to. What is beyond them fills the rest; were it all, the
# buckets of the limit would be full by chance, and requests within their part be refused.
FILL = 0.95
# Levels are found so many times in a window, from what has come in it by then.
PARTS = 10
LEAST_FILL = 0.5
# A client that has used more of its part than this, and is refused, is refused for what it sends;
# below, because there is too little for all.
LITTLE = 0.5
# What may be in a client's part at once: so many seconds of its level, and so many requests in any
# case. The pool of newcomers may have less, or those who send once under each name had it anew.
BURST_S, POOL_BURST_S, LEAST_BURST = 1.0, 0.1, 4.0
# Of newcomers: their usual share until it was seen, its bound, and when it is first looked at.
USUAL_SHARE, MAX_USUAL_SHARE, SETTLED_S = 0.1, 0.5, 300.0
# Weight of a window in the usual share of an hour.
HOUR_WEIGHT = 0.02


@dataclass(frozen=True, slots=True)
class ClassCapacity:
    """What a class can have of the gateway's share.

    Attributes:
        name: of the class; ``""``: requests of no class.
        qps: its own rate.
        ceiling_qps: its own rate and the spare together, at most.
    """

    name: str
    qps: float
    ceiling_qps: float


@dataclass(slots=True)
class _Pool:
    """The clients of one class that are known, or those that are newcomers.

    Attributes:
        level_qps: of each client; inf: all of them fit.
        time: virtual, in requests, when the level was set.
        bucket: of the whole pool, where ``level_qps`` is finite.
    """

    curve: DemandCurve = field(default_factory=DemandCurve)
    before: DemandCurve = field(default_factory=DemandCurve)
    level_qps: float = math.inf
    time: float = 0.0
    bucket: Bucket = field(default_factory=Bucket)

    @property
    def burst(self) -> float:
        return max(LEAST_BURST, self.level_qps * BURST_S)


@dataclass(slots=True)
class _ClassPools:
    known: _Pool = field(default_factory=_Pool)
    newcomers: _Pool = field(default_factory=_Pool)

    @property
    def both(self) -> tuple[_Pool, _Pool]:
        return self.known, self.newcomers


class ClientFairness:
    """The fair parts of a gateway's clients. Time is monotonic seconds.

    Args:
        max_clients: known clients that are remembered, and as many newcomers.
        window_s: over which the requests of each client are numbered.
    """

    def __init__(self, max_clients: int, window_s: float) -> None:
        self.window_s = window_s
        self._clients = KnownClients(max_clients)
        self._pools: dict[str, _ClassPools] = {}
        self._limit_qps = self._spare_qps = 0.0
        self._capacities: Sequence[ClassCapacity] = ()
        self._window, self._began_at = 0, -math.inf
        self._before_s = 0.0  # length of the window before; 0: there is none
        self._levels_at = -math.inf  # when they are found next
        self._advanced_at = 0.0
        self._started_at = math.inf
        self._fill, self._within = FILL, 0
        self._usual_shares: dict[int, float] = {}  # by hour of the day

    def __len__(self) -> int:
        return len(self._clients)

    def set_limit(
        self, limit_qps: float, spare_qps: float, capacities: Sequence[ClassCapacity], now: float
    ) -> None:
        """Take over what the gateway may admit, and each class in order of priority."""
        self._limit_qps, self._spare_qps, self._capacities = limit_qps, spare_qps, capacities
        self._levels_at = now

    def count(self, class_name: str, client: str, now: float, hits: int) -> Client:
        """Count ``hits`` requests of a client, admitted or not, and return it."""
        self._advance(now)
        found, has_become_known = self._clients.seen((class_name, client), now)
        pools = self._pools.get(class_name)
        if pools is None:
            pools = self._pools[class_name] = _ClassPools()
        pool = pools.known if found.known else pools.newcomers
        if found.window != self._window:
            found.window, found.count = self._window, 0
        if has_become_known:
            # As if it had been known all the window long; its part begins used up.
            pools.newcomers.curve.add(found.count, found.count, -1)
            pools.known.curve.add(found.count, found.count)
            found.tag = self._time(pool, now) + (pool.burst if pool.level_qps < math.inf else 0.0)
        found.count += hits
        pool.curve.add(found.count, hits)
        return found

    def used(self, class_name: str, client: Client, now: float, hits: int) -> float:
        """Return how much of its part a client has used, in [0, 1], before its next requests.

        It is 1 where these ``hits`` requests of a client that was counted are beyond its part.
        """
        pool, used = self._pool(class_name, client), 0.0
        if pool.level_qps < math.inf:
            used = max(0.0, client.tag - self._time(pool, now))
            if used + hits > pool.burst:
                return 1.0
            if not client.known and not pool.bucket.check(now, hits).allowed:
                return 1.0
        return used / pool.burst if used else 0.0

    def charge(self, class_name: str, client: Client, now: float, hits: int) -> None:
        """Note that ``hits`` requests within a client's part were admitted."""
        self._within += hits
        pool = self._pool(class_name, client)
        if pool.level_qps < math.inf:
            client.tag = max(client.tag, self._time(pool, now)) + hits
            pool.bucket.charge(now, hits)

    def level_qps(self, class_name: str, client: Client) -> float:
        """Return the level of a client that was counted; inf: there is none."""
        return self._pool(class_name, client).level_qps

    def _pool(self, class_name: str, client: Client) -> _Pool:
        pools = self._pools[class_name]
        return pools.known if client.known else pools.newcomers

    def _time(self, pool: _Pool, now: float) -> float:
        """Return the virtual time of a pool; without a level it runs as fast as any can."""
        passed_s = max(0.0, now - self._advanced_at)
        return pool.time + min(pool.level_qps, self._limit_qps) * passed_s

    def overflow(self, now: float, hits: int) -> None:
        """Note that ``hits`` requests were refused of which the client has used little of its part.

        Where no level is known, it is because more comes than in the window so far: a new one
        begins, so that the levels are those of what comes now.
        """
        self._within += hits
        if not self._is_limited and now - self._began_at >= self.window_s / PARTS:
            self._begin_window(now, now)

    @property
    def _is_limited(self) -> bool:
        pools = (pool for one in self._pools.values() for pool in one.both)
        return any(pool.level_qps < math.inf for pool in pools)

    def _advance(self, now: float) -> None:
        """Bring window, levels and virtual times up to now."""
        if now >= self._began_at + self.window_s:
            began_at = self._began_at if self._window else now
            whole = math.floor((now - began_at) / self.window_s)
            self._begin_window(began_at + whole * self.window_s, now)
        elif now >= self._levels_at:
            self._find_levels(now)

    def _begin_window(self, began_at: float, now: float) -> None:
        self._find_levels(now)
        self._learn_share(now)
        seconds = began_at - self._began_at
        self._before_s = seconds if seconds <= self.window_s else 0.0
        self._window, self._began_at = self._window + 1, began_at
        for pools in self._pools.values():
            for pool in pools.both:
                pool.before, pool.curve = pool.curve, DemandCurve()

    def _correct(self, passed_s: float) -> None:
        """Take in whether more or less was within parts than these add up to.

        It is more where clients' rates have changed within the window, or where each sends so few
        requests that chance decides how many.
        """
        if not self._is_limited:
            self._fill = FILL
        elif self._within:
            found = FILL * self._limit_qps * passed_s / self._within
            self._fill = min(
                FILL, max(LEAST_FILL, self._fill * math.sqrt(min(max(found, 0.64), 1.5)))
            )
        self._within = 0

    def _find_levels(self, now: float) -> None:
        for pools in self._pools.values():
            for pool in pools.both:
                pool.time = self._time(pool, now)
        passed_s, self._advanced_at = now - self._advanced_at, now
        part_s = self.window_s / PARTS
        self._levels_at = now + part_s
        seconds = now - self._began_at
        if passed_s > part_s / 2:
            self._correct(passed_s)
        if seconds >= part_s:
            curves = {name: (p.known.curve, p.newcomers.curve) for name, p in self._pools.items()}
            self._set_levels(curves, min(seconds, self.window_s), now)
        elif self._before_s:
            curves = {name: (p.known.before, p.newcomers.before) for name, p in self._pools.items()}
            self._set_levels(curves, self._before_s, now)

    def _set_levels(
        self, curves: Mapping[str, tuple[DemandCurve, DemandCurve]], seconds: float, now: float
    ) -> None:
        share = self._usual_share(now)
        whole = DemandCurve(), DemandCurve()
        for both in curves.values():
            for total, one in zip(whole, both, strict=True):
                total.merge(one)
        top = _levels(whole, self._fill * self._limit_qps * seconds, share)
        demands = {
            name: sum(one.within(level) for one, level in zip(both, top, strict=True)) / seconds
            for name, both in curves.items()
        }
        for name, qps in self._divided(demands).items():
            both, pools = curves[name], self._pools[name]
            levels = _levels(both, self._fill * qps * seconds, share)
            for pool, curve, level, most in zip(pools.both, both, levels, top, strict=True):
                requests = min(level, most)
                pool.level_qps = requests / seconds
                rate = curve.within(requests) / seconds / FILL
                pool.bucket.set_rate(rate, max(LEAST_BURST, rate * POOL_BURST_S), now)

    def _divided(self, demands: Mapping[str, float]) -> dict[str, float]:
        """Return what each class can have of its own rate and, by priority, the spare; inf: all."""
        found, spare = {}, self._spare_qps
        for one in self._capacities:
            wanted = demands.get(one.name, 0.0)
            above = min(max(wanted - one.qps, 0.0), one.ceiling_qps - one.qps, spare)
            spare -= above
            # What it wants it can have: then none of its clients is held to a level of the class.
            found[one.name] = math.inf if one.qps + above >= wanted else one.qps + above
        return {name: found.get(name, spare) for name in demands}

    def _usual_share(self, now: float) -> float:
        return self._usual_shares.get(_hour(now), USUAL_SHARE)

    def _learn_share(self, now: float) -> None:
        """Take in the newcomers' share of the window that ends, unless clients were limited."""
        pools = self._pools.values()
        total = sum(pool.curve.total for one in pools for pool in one.both)
        self._started_at = min(self._started_at, now)
        if self._is_limited or not total or now - self._started_at < SETTLED_S:
            return
        share = min(sum(one.newcomers.curve.total for one in pools) / total, MAX_USUAL_SHARE)
        hour = _hour(now)
        before = self._usual_shares.get(hour, share)
        self._usual_shares[hour] = before + HOUR_WEIGHT * (share - before)


def _levels(
    curves: tuple[DemandCurve, DemandCurve], capacity: float, usual_share: float
) -> tuple[float, float]:
    """Return the requests of each known client and of each newcomer that fit; inf: all of them."""
    known, newcomers = curves
    if known.total + newcomers.total <= capacity:
        return math.inf, math.inf
    pool = min(newcomers.total, max(capacity - known.total, usual_share * capacity))
    return known.level(capacity - pool), newcomers.level(pool)


def _hour(now: float) -> int:
    """Return the hour of a day that began with the clock: alike at the same time of any day."""
    return int(now // 3600) % 24
