"""Which requests are within their client's fair part of the limit, and which are beyond it.

Nothing is refused here: a request beyond its client's part is served last, by `ClassBuckets`, from
what the others leave. So where all fit, all pass.

The parts are max-min fair (`fair_levels`). They are found anew several times in a window from what
was asked for in it, admitted or not. Newcomers, besides having a level as known clients have, share
one bucket; for where each sends one request under a new name, no level tells them apart.

A client's part is a leaky bucket that drains at the level. Levels change often, and clients are
many, so a bucket is kept as a tag on one common time that runs at the rate of the level: virtual
time, as in fair queueing (A. Demers, S. Keshav, S. Shenker: Analysis and Simulation of a Fair
Queueing Algorithm, SIGCOMM 1989).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from scaler.gateway.buckets import Bucket
from scaler.gateway.demand_curve import DemandCurve
from scaler.gateway.fair_levels import PoolCurves, ShareCapacity, fair_levels
from scaler.gateway.known_clients import Client, KnownClients
from scaler.gateway.usual_shares import UsualShares
from scaler.limits.gcra import SLACK

# Part of the limit that fair parts add up to at most, and at least. What is beyond them fills the
# rest; were it all, the buckets of the limit would be full by chance.
FILL, LEAST_FILL = 0.95, 0.5
# Levels are found so many times in a window, from what has come in it by then.
PARTS = 10
# What a client's part holds: so many seconds of its level, and so many requests in any case. The
# pool of newcomers holds less, or those who send once under each name had it anew.
BURST_S, POOL_BURST_S, LEAST_BURST = 1.0, 0.1, 4.0
# A client that has used more of its part than this, and is refused, is refused for what it sends;
# below, because there is too little for all.
LITTLE = 0.5


@dataclass(slots=True)
class _Pool:
    """The clients of one class that are known, or those that are newcomers.

    Attributes:
        curve: of this window; before: of the one before.
        level_qps: of each client; inf: all of them fit.
        time: virtual, in requests, when the level was set.
    """

    curve: DemandCurve = field(default_factory=DemandCurve)
    before: DemandCurve = field(default_factory=DemandCurve)
    level_qps: float = math.inf
    time: float = 0.0

    @property
    def burst(self) -> float:
        return max(LEAST_BURST, self.level_qps * BURST_S)


@dataclass(slots=True)
class _ClassPools:
    """Both pools of a class; ``bucket`` is that of all newcomers, where they have a level."""

    known: _Pool = field(default_factory=_Pool)
    newcomers: _Pool = field(default_factory=_Pool)
    bucket: Bucket = field(default_factory=Bucket)

    def of(self, client: Client) -> _Pool:
        return self.known if client.known else self.newcomers

    @property
    def both(self) -> tuple[_Pool, _Pool]:
        return self.known, self.newcomers

    @property
    def curves(self) -> PoolCurves:
        return PoolCurves(self.known.curve, self.newcomers.curve)

    @property
    def before(self) -> PoolCurves:
        return PoolCurves(self.known.before, self.newcomers.before)


class ClientFairness:
    """The fair parts of a gateway's clients, in each class. Time is monotonic seconds.

    Args:
        max_clients: known clients that are remembered, and as many newcomers.
        window_s: over which the requests of each client are numbered.
    """

    def __init__(self, max_clients: int, window_s: float) -> None:
        self.window_s = window_s
        self._clients = KnownClients(max_clients)
        self._pools: dict[str, _ClassPools] = {}
        self._usual = UsualShares()
        self._share = ShareCapacity(0.0, 0.0)
        self._window, self._began_at = 0, -math.inf
        self._before_s = 0.0  # length of the window before; 0: there is none
        self._levels_at = -math.inf  # when they are found next
        self._advanced_at = 0.0
        self._fill, self._within = FILL, 0

    def __len__(self) -> int:
        return len(self._clients)

    def set_share(self, share: ShareCapacity, now: float) -> None:
        """Take over what the gateway may admit; levels for another share are found at once."""
        if share != self._share:
            self._share, self._levels_at = share, now

    def count(self, class_name: str, client: str, now: float, hits: int) -> Client:
        """Count ``hits`` requests of a client, admitted or not, and return it."""
        self._advance(now)
        found, has_become_known = self._clients.seen((class_name, client), now)
        pools = self._pools.get(class_name)
        if pools is None:
            pools = self._pools[class_name] = _ClassPools()
        pool = pools.of(found)
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
        pools, used = self._pools[class_name], 0.0
        pool = pools.of(client)
        if pool.level_qps < math.inf:
            used = max(0.0, client.tag - self._time(pool, now))
            if used + hits > pool.burst + SLACK:
                return 1.0
            # As with the share itself: who has used more of its part leaves room for the others.
            part = 1.0 - used / pool.burst / 2
            if not client.known and not pools.bucket.check(now, hits, part).allowed:
                return 1.0
        return used / pool.burst if used else 0.0

    def charge(self, class_name: str, client: Client, now: float, hits: int) -> None:
        """Note that ``hits`` requests within a client's part were admitted."""
        self._within += hits
        pools = self._pools[class_name]
        pool = pools.of(client)
        if pool.level_qps < math.inf:
            client.tag = max(client.tag, self._time(pool, now)) + hits
            if not client.known:
                pools.bucket.charge(now, hits)

    def overflow(self, now: float, hits: int) -> None:
        """Note that ``hits`` requests were refused of which the client has used little of its part.

        Where no level is known, it is because more comes than in the window so far: a new one
        begins, so that the levels are those of what comes now.
        """
        self._within += hits
        if not self._is_limited and now - self._began_at >= self.window_s / PARTS:
            self._begin_window(now, now)

    def level_qps(self, class_name: str, client: Client) -> float:
        """Return the level of a client that was counted; inf: there is none."""
        return self._pools[class_name].of(client).level_qps

    @property
    def _is_limited(self) -> bool:
        pools = (pool for one in self._pools.values() for pool in one.both)
        return any(pool.level_qps < math.inf for pool in pools)

    def _time(self, pool: _Pool, now: float) -> float:
        """Return the virtual time of a pool; without a level it runs as fast as any can."""
        passed_s = max(0.0, now - self._advanced_at)
        return pool.time + min(pool.level_qps, self._share.qps) * passed_s

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
        if not self._is_limited:
            newcomers = sum(one.newcomers.curve.total for one in self._pools.values())
            classes = {name: one.curves.total for name, one in self._pools.items()}
            self._usual.learn(newcomers, classes, now)
        seconds = began_at - self._began_at
        self._before_s = seconds if seconds <= self.window_s else 0.0
        self._window, self._began_at = self._window + 1, began_at
        for pools in self._pools.values():
            for pool in pools.both:
                pool.before, pool.curve = pool.curve, DemandCurve()

    def _find_levels(self, now: float) -> None:
        for pools in self._pools.values():
            for pool in pools.both:
                pool.time = self._time(pool, now)
        passed_s, self._advanced_at = now - self._advanced_at, now
        part_s = self.window_s / PARTS
        self._levels_at = now + part_s
        if passed_s > part_s / 2:
            self._correct_fill(passed_s)
        seconds = now - self._began_at
        if seconds >= part_s:
            curves = {name: one.curves for name, one in self._pools.items()}
            self._set_levels(curves, min(seconds, self.window_s), now)
        elif self._before_s:
            before = {name: one.before for name, one in self._pools.items()}
            self._set_levels(before, self._before_s, now)

    def _correct_fill(self, passed_s: float) -> None:
        """Take in whether more or less was within parts than these add up to.

        It is more where clients' rates have changed within the window, or where each sends so few
        requests that chance decides how many.
        """
        if not self._is_limited:
            self._fill = FILL
        elif self._within:
            wanted = FILL * self._share.qps * passed_s / self._within
            corrected = self._fill * math.sqrt(min(max(wanted, 0.64), 1.5))
            self._fill = min(FILL, max(LEAST_FILL, corrected))
        self._within = 0

    def _set_levels(self, curves: Mapping[str, PoolCurves], seconds: float, now: float) -> None:
        usual = self._usual.at(now)
        for name, levels in fair_levels(curves, self._share, seconds, self._fill, usual).items():
            pools, of_class = self._pools[name], curves[name]
            pools.known.level_qps = levels.known / seconds
            pools.newcomers.level_qps = levels.newcomers / seconds
            qps = of_class.newcomers.within(levels.newcomers) / seconds / FILL
            pools.bucket.set_rate(qps, max(LEAST_BURST, qps * POOL_BURST_S), now)
