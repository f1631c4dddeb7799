"""The virtual world: one service with recorded demand, as metrics, pods and an autoscaler show it.

A tick has two halves. `begin` brings the world up to the tick: pods that are due become ready, the
autoscaler syncs on the floor that it finds. Then whoever decides looks, and moves the floor. `end`
serves the tick's demand with what is warm, behind the limit that gateways hold.

What is seen is late, as in life: metrics are scraped every ``scrape_s``, averaged over the rate
window and answered ``query_delay_s`` later; pods are seen ``watch_lag_s`` after they have changed.
Retries are in the observed rate, as in life; the samples that forecasts are made of are the
recorded ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from forecaster.data.series import FloatArray
from scaler.control.observations import Pod, Workload
from scaler.hpa.controller import HPA, HPASpec, MetricGoal, MetricKind, Reading
from scaler.policy.replay_settings import WorldTiming
from scaler.policy.service_model import ServiceModel, latency_quantiles
from scaler.simulation.replicas import SimulatedReplicas
from scaler.simulation.service import QueueTick, RequestQueue


@dataclass(frozen=True, eq=False)
class Scene:
    """What all contenders face alike.

    Attributes:
        start: first tick; since the epoch.
        demand: new requests per second in each tick; NaN where the record has a gap: nothing is
            known, so nothing is counted.
        model: how the service behaves.
        replicas: at the first tick, all warm.
        timing: how late everything is seen.
        seed: of the start-up times.
    """

    start: float
    demand: FloatArray
    model: ServiceModel
    replicas: int
    timing: WorldTiming = field(default_factory=WorldTiming)
    seed: int = 0

    @property
    def ticks(self) -> int:
        return len(self.demand)

    def now(self, tick: int) -> float:
        """Return when a tick begins, in seconds since the epoch."""
        return self.start + tick * self.timing.tick_s


@dataclass(frozen=True, eq=False)
class Run:
    """What happened under one contender, per tick; rates are per second.

    ``offered`` includes retries and ``refused``, which never reach a replica; ``lost`` gave up.
    """

    name: str
    replicas: FloatArray = field(repr=False)
    ready: FloatArray = field(repr=False)
    offered: FloatArray = field(repr=False)
    refused: FloatArray = field(repr=False)
    lost: FloatArray = field(repr=False)
    wait_before: FloatArray = field(repr=False)
    wait_after: FloatArray = field(repr=False)
    saturation: FloatArray = field(repr=False)


class SimulatedService:
    """One service of a scene, from tick to tick.

    Args:
        scene: its demand, and how it behaves.
        autoscaler: beside whoever decides; None: replicas are set by `scale`.
        metrics_window_s: over which the autoscaler's metric is averaged.
        second: what a second external metric of KEDA's with the same target answers at each tick,
            in QPS; NaN where it finds nothing, which KEDA takes for 0 (`ignoreNullValues`).
    """

    def __init__(
        self,
        scene: Scene,
        autoscaler: HPASpec | None,
        metrics_window_s: float = 60.0,
        second: FloatArray | None = None,
    ) -> None:
        self.scene = scene
        self.floor = scene.replicas
        rng = np.random.default_rng(scene.seed)
        self._pods = SimulatedReplicas(scene.model, scene.replicas, scene.start, rng)
        self._queue = RequestQueue(scene.model)
        self._metrics = _Scrapes(scene)
        if autoscaler is not None and second is not None:
            goal = MetricGoal(MetricKind.EXTERNAL_AVERAGE, autoscaler.target)
            autoscaler = replace(autoscaler, more=(goal,))
        self._hpa = None if autoscaler is None else HPA(autoscaler)
        self._metrics_window_s = metrics_window_s
        self._second = None if second is None else np.nan_to_num(second).tolist()
        self._seen: tuple[Pod, ...] = self._pods.pods(scene.start)
        self._demand: list[float] = scene.demand.tolist()
        self._saturation_qps = scene.model.saturation_qps
        self._rows: list[tuple[float, ...]] = []

    def begin(self, tick: int) -> None:
        """Bring the world up to a tick; the autoscaler syncs."""
        now, lag = self.scene.now(tick), self.scene.timing.watch_lag_s
        self._pods.warm(now)
        self._seen = self._pods.pods(now - lag)
        if self._hpa is not None:
            spec = self._hpa.spec
            reading = self._reading(tick, spec.metric)
            more = [self._reading(tick, goal.metric) for goal in spec.more]
            if self._second is not None:
                more[-1] = Reading(self._second[tick], self._pods.ready)
            wanted = self._hpa.sync(now, self._pods.replicas, reading, floor=self.floor, more=more)
            self._pods.scale(now, wanted.replicas)

    def scale(self, tick: int, replicas: int) -> None:
        """Set the replicas, where there is no autoscaler."""
        self._pods.scale(self.scene.now(tick), replicas)

    def workload(self) -> Workload:
        """Return the pods as they are seen at the tick, and the floor that stands."""
        return Workload(self._seen, self.floor)

    def observed_qps(self, tick: int) -> float:
        """Return the offered rate as the demand query answers it at the tick; NaN where unknown."""
        return self._metrics.offered(tick, self.scene.timing.rate_window_s)

    def latency_s(self, tick: int) -> float | None:
        """Return the latency as the SLO's query answers it at the tick; None where unknown."""
        return self._metrics.latency(tick, self.scene.timing.rate_window_s)

    def end(self, tick: int, limit_qps: float = math.inf) -> None:
        """Serve the tick's demand, of which gateways admit no more than the limit."""
        fresh, warm = self._demand[tick], self._pods.warm(self.scene.now(tick))
        served = self._queue.tick(
            0.0 if math.isnan(fresh) else fresh,
            warm * self._saturation_qps,
            self.scene.timing.tick_s,
            limit_qps,
        )
        self._metrics.add(tick, served)
        self._rows.append((self._pods.replicas, self._pods.ready, *served))

    def run(self, name: str) -> Run:
        """Return what has happened so far."""
        columns = np.array(self._rows, dtype=np.float64).T
        unknown = np.isnan(self.scene.demand[: len(self._rows)])
        columns[2:5, unknown] = 0.0  # what is not known is not counted
        return Run(name, *columns)

    def _reading(self, tick: int, metric: MetricKind) -> Reading | None:
        """Return what the metrics API answers about the requests of the service.

        A CPU utilisation is work done over the request, which is sized so that a replica at its
        capacity uses all of it. Replicas that start have no sample yet.
        """
        offered = self._metrics.offered(tick, self._metrics_window_s)
        if math.isnan(offered):
            return None
        ready, starting = self._pods.ready, self._pods.starting
        if metric is MetricKind.UTILIZATION:
            served = self._metrics.served(tick, self._metrics_window_s)
            return Reading(served / self.scene.model.capacity_qps, ready, starting)
        if metric is MetricKind.PODS:
            return Reading(offered, ready, 0, starting)
        return Reading(offered, ready)


class _Scrapes:
    """What a metrics system remembers: averages over a window that ended at the last scrape."""

    def __init__(self, scene: Scene) -> None:
        timing = scene.timing
        self._tick_s, self._model = timing.tick_s, scene.model
        self._scrape = max(round(timing.scrape_s / timing.tick_s), 1)
        self._delay = math.ceil(timing.query_delay_s / timing.tick_s)
        self._known = np.isfinite(scene.demand).tolist()
        # Running totals over the ticks whose demand is known.
        self._count, self._offered, self._served = [0], [0.0], [0.0]
        self._latency: list[float] = []
        self._quantiles = latency_quantiles(scene.model)

    def add(self, tick: int, served: QueueTick) -> None:
        known = self._known[tick]
        done = min(served.offered - served.refused, served.saturation)
        self._count.append(self._count[-1] + known)
        self._offered.append(self._offered[-1] + (served.offered if known else 0.0))
        self._served.append(self._served[-1] + (done if known else 0.0))
        self._latency.append(served.wait_after + self._in_service(served, done))

    def offered(self, tick: int, window_s: float) -> float:
        return self._mean(self._offered, tick, window_s)

    def served(self, tick: int, window_s: float) -> float:
        return self._mean(self._served, tick, window_s)

    def latency(self, tick: int, window_s: float) -> float | None:
        begin, end = self._window(tick, window_s)
        return max(self._latency[begin:end]) if end > begin else None

    def _mean(self, totals: list[float], tick: int, window_s: float) -> float:
        begin, end = self._window(tick, window_s)
        count = self._count[end] - self._count[begin]
        return (totals[end] - totals[begin]) / count if count else math.nan

    def _window(self, tick: int, window_s: float) -> tuple[int, int]:
        """Return the ticks ``[begin, end)`` that a query at ``tick`` is answered from."""
        end = max((tick - self._delay) // self._scrape * self._scrape, 0)
        return max(end - max(round(window_s / self._tick_s), 1), 0), end

    def _in_service(self, served: QueueTick, done: float) -> float:
        if served.saturation <= 0:
            return self._model.timeout_s
        return self._quantiles[min(int(done / served.saturation * 100), 99)]
