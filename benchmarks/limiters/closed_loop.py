"""The closed loop of shedding: clients send, a limiter refuses, a service serves, the rest retry.

A tick is one second. The service is that of the replay (`RequestQueue`), but nothing comes again
behind the limiter's back: a request that timed out is retried by its client, as one that was
refused is.

Latency at a tick is the queue's wait (fluid) and the response of an M/M/k replica at the load of
the last 15 s or so: at 0.9 of saturation a replica's queue takes that long to settle
(`1 / (sqrt(k mu) - sqrt(lambda)) ** 2`; Morse, 1958, Queues, Inventories and Maintenance).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from benchmarks.limiters.autoscaling import SYNC_S, Autoscaler, MetricWindow, Sight
from benchmarks.limiters.population import ClientTraffic, Population, Retries, draw
from benchmarks.limiters.rivals import Arrivals, Limiter, LimiterReport
from forecaster.data.series import FloatArray
from scaler.decision.demand import AnnouncedEvent
from scaler.policy.service_model import ServiceModel, erlang_c
from scaler.simulation.replicas import SimulatedReplicas
from scaler.simulation.service import QueueTick, RequestQueue

# tidegate and the autoscaler look each `SYNC_S`, and neither knows when the other does.
TIDEGATE_PHASE_S = 7
RELAXATION_S = 15.0
# Above it a replica's queue grows for longer than that; the fluid queue has what is left over.
MOST_LOAD = 0.96
_CELLS = 1000


@dataclass(frozen=True, eq=False)
class Scenario:
    """What all limiters face alike.

    Attributes:
        normal_level, abusive_level: times the rates of the population, per tick.
        onset_s: when it begins.
        model: of the service; its clients' retries are the population's.
        usual_replicas: at the first tick, all warm.
        max_replicas: that any autoscaler may have.
        events: what was announced beforehand.
        told: capacity that operator and limiters believe in, as a part of the true one.
        gateways: among which tidegate's limit is shared; the rivals' act as one.
    """

    name: str
    population: Population
    normal_level: FloatArray = field(repr=False)
    abusive_level: FloatArray = field(repr=False)
    onset_s: float
    model: ServiceModel
    usual_replicas: int = 10
    max_replicas: int = 30
    events: tuple[AnnouncedEvent, ...] = ()
    told: float = 1.0
    gateways: int = 1
    seed: int = 0

    @property
    def told_qps(self) -> float:
        """What a replica is believed to sustain."""
        return self.model.capacity_qps * self.told

    def traffic(self) -> ClientTraffic:
        """Return the first attempts: the same for all limiters."""
        rng = np.random.default_rng(self.seed)
        return draw(self.population, self.normal_level, self.abusive_level, rng)


@dataclass(frozen=True, eq=False)
class Shedding:
    """What happened under one limiter, per tick, per second.

    Attributes:
        offered, admitted: all attempts.
        normal, abusive, critical: first attempts of normal clients; of abusive ones; of normal
            clients in the most important class. ``_in``: those of them that were admitted.
        normal_admitted, critical_admitted: attempts of theirs that were, retries included.
        lost: waited for too long.
        wait: seconds that the queue stands for; load: of a replica, as a share of saturation.
        slow: share of the served over the SLO's latency.
        capacity: that what was ready sustains within the SLO.
        limit: in force; inf where requests per second are not what is limited.
    """

    name: str
    offered: FloatArray = field(repr=False)
    admitted: FloatArray = field(repr=False)
    normal: FloatArray = field(repr=False)
    normal_in: FloatArray = field(repr=False)
    abusive: FloatArray = field(repr=False)
    abusive_in: FloatArray = field(repr=False)
    critical: FloatArray = field(repr=False)
    critical_in: FloatArray = field(repr=False)
    normal_admitted: FloatArray = field(repr=False)
    critical_admitted: FloatArray = field(repr=False)
    lost: FloatArray = field(repr=False)
    wait: FloatArray = field(repr=False)
    load: FloatArray = field(repr=False)
    slow: FloatArray = field(repr=False)
    capacity: FloatArray = field(repr=False)
    replicas: FloatArray = field(repr=False)
    limit: FloatArray = field(repr=False)


@dataclass(frozen=True, slots=True)
class Rival:
    """Who decides.

    Attributes:
        limiter: what passes.
        autoscaler: the replicas.
        tick: what else looks at the scene each `SYNC_S`, once before it begins.
        end: what is left to be done when the scene is over.
    """

    limiter: Limiter
    autoscaler: Autoscaler
    tick: Callable[[Sight], None] = lambda _: None
    end: Callable[[], None] = lambda: None


def shed(scenario: Scenario, traffic: ClientTraffic, rival: Rival) -> Shedding:
    """Return what happens when this rival decides."""
    model, limiter = scenario.model, rival.limiter
    rng = np.random.default_rng(scenario.seed)
    cluster = SimulatedReplicas(model, scenario.usual_replicas, -float(SYNC_S), rng)
    service, responses = RequestQueue(replace(model, retry_share=0.0)), Responses(model)
    metrics, gate = MetricWindow(model), _LimiterGate(traffic, limiter, scenario.seed)
    per_replica = model.saturation_qps
    rival.tick(metrics.sight(float(TIDEGATE_PHASE_S - SYNC_S), cluster))
    rows: list[tuple[float, ...]] = []
    for tick in range(len(traffic)):
        now = float(tick)
        warm = cluster.warm(now)
        if tick % SYNC_S == 0:
            cluster.scale(now, rival.autoscaler.replicas(metrics.sight(now, cluster)))
        if tick % SYNC_S == TIDEGATE_PHASE_S:
            rival.tick(metrics.sight(now, cluster))
        saturation = warm * per_replica
        limit = limiter.limit_qps
        flow = gate.pass_on(tick, responses.inflight, saturation)
        served = service.tick(flow.admitted, saturation, 1.0)
        slow = responses.tick(served)
        gate.back(min(served.lost / flow.admitted, 1.0) if flow.admitted > 0 else 0.0)
        metrics.add(limiter.wanted_qps, served, slow)
        limiter.learn(responses.report(now, served, slow, cluster.ready, warm))
        state = (served.lost, responses.wait, responses.load, slow, warm * model.capacity_qps)
        rows.append((*flow, *state, cluster.replicas, limit))
    rival.end()
    return Shedding(limiter.name, *np.array(rows, dtype=np.float64).T)


class _Flow(NamedTuple):
    """Requests of one tick; names and order as in `Shedding`."""

    offered: float
    admitted: float
    normal: float
    normal_in: float
    abusive: float
    abusive_in: float
    critical: float
    critical_in: float
    normal_admitted: float
    critical_admitted: float


class _LimiterGate:
    """Before all gateways: what arrives there, what passes, and what will come again."""

    def __init__(self, traffic: ClientTraffic, limiter: Limiter, seed: int) -> None:
        self._traffic, self._limiter = traffic, limiter
        self._normal = traffic.population.normal
        self._retries = Retries(traffic.population, np.random.default_rng(seed))
        self._counts = self._passed = np.zeros(traffic.counts.shape[1:])

    def pass_on(self, tick: int, inflight: float, draining: float) -> _Flow:
        first = self._traffic.counts[tick].astype(np.float64)
        counts = first + self._retries.due()
        share = self._limiter.shares(Arrivals(float(tick), counts, inflight, draining))
        self._counts, self._passed = counts, counts * share
        entered, most = first * share, self._normal
        by_class = [x[:, :most].sum(axis=1) for x in (first, entered, self._passed)]
        (asked, came, passed), (pay, pay_in, pay_passed) = zip(
            *((float(x.sum()), float(x[0])) for x in by_class), strict=True
        )
        return _Flow(
            offered=float(counts.sum()),
            admitted=float(self._passed.sum()),
            normal=asked,
            normal_in=came,
            abusive=float(first[:, most:].sum()),
            abusive_in=float(entered[:, most:].sum()),
            critical=pay,
            critical_in=pay_in,
            normal_admitted=passed,
            critical_admitted=pay_passed,
        )

    def back(self, lost: float) -> None:
        """Send back what was refused, and a part of what passed: it timed out."""
        self._retries.add(self._counts - self._passed * (1 - lost))


class Responses:
    """How long requests take, tick by tick, and how many are in the service at once."""

    def __init__(self, model: ServiceModel) -> None:
        self._model = model
        loads = np.linspace(0.0, MOST_LOAD, _CELLS + 1)
        self._busy = erlang_c(model.workers, model.workers * loads).tolist()
        self.load = self.wait = self.inflight = 0.0
        self._fresh = True

    def tick(self, tick: QueueTick) -> float:
        """Take note of one second; return the share of its served requests over the SLO."""
        load = tick.offered / tick.saturation if tick.saturation > 0 else 0.0
        weight = 1.0 if self._fresh else -math.expm1(-1.0 / RELAXATION_S)
        self._fresh = False
        self.load += weight * (load - self.load)
        self.wait = (tick.wait_before + tick.wait_after) / 2
        self.inflight = (tick.offered - tick.lost) * self.latency_s
        if tick.wait_after > 0:  # all workers are busy, and a queue stands before them
            busy = tick.saturation * self._model.service_time_s
            self.inflight = busy + tick.saturation * tick.wait_after
        return self.over(self._model.slo_s)

    def over(self, seconds: float) -> float:
        """Return the share that takes longer; see `response_tail`."""
        left = (seconds - self.wait) / self._model.service_time_s
        if left <= 0:
            return 1.0
        load = min(self.load, MOST_LOAD)
        rate = self._model.workers * (1 - load) - 1
        rate = rate if abs(rate) > 1e-6 else 1e-6
        return math.exp(-left) * (1 - self._waits() * math.expm1(-rate * left) / rate)

    @property
    def queueing_s(self) -> float:
        """Mean time in the queue: ``C / (k - a)`` service times, and the standing queue's wait."""
        free = self._model.workers * (1 - min(self.load, MOST_LOAD))
        return self.wait + self._waits() / free * self._model.service_time_s

    @property
    def latency_s(self) -> float:
        return self.queueing_s + self._model.service_time_s

    def _waits(self) -> float:
        return float(self._busy[round(min(self.load / MOST_LOAD, 1.0) * _CELLS)])

    def report(
        self, now: float, tick: QueueTick, slow: float, ready: int, warm: float
    ) -> LimiterReport:
        lost = min(tick.lost / tick.offered, 1.0) if tick.offered > 0 else 0.0
        bad = lost + (1 - lost) * slow
        return LimiterReport(
            now, tick.offered, self.latency_s, self.queueing_s, bad, self.inflight, ready, warm
        )
