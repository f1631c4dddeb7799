"""A simulated cluster with recorded demand, for demonstrations of the control loop.

It decides nothing: the control loop does, as in a real cluster. The caller passes the time in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from forecaster.data.series import History, Series
from scaler.control.observations import ServiceMetrics, Workload
from scaler.control.ports import TrafficQuery, WatchedPolicy
from scaler.control.snapshot import Condition, ConditionKind, ServiceView
from scaler.hpa.controller import HPA, HPASpec, MetricKind, Reading
from scaler.policy.service_model import ServiceModel
from scaler.simulation.replicas import SimulatedReplicas
from scaler.simulation.service import RequestQueue

METRIC_DELAY_S, METRIC_WINDOW_S = 15.0, 60.0


@dataclass(frozen=True, eq=False, slots=True)
class SimulatedService:
    """One simulated service: its recorded demand, its model, its HPA and its initial replicas."""

    series: Series
    model: ServiceModel
    net: HPASpec
    replicas: int


class SimulatedCluster:
    """Traffic and workloads of simulated services; see `TrafficSource` and `Workloads`.

    Args:
        inhabitants: the services.
        start: seconds since the epoch.
    """

    def __init__(self, services: Sequence[SimulatedService], start: float) -> None:
        self._lives = {
            one.series.item_id: _ServiceLife(one, start, i) for i, one in enumerate(services)
        }
        self._history = History(tuple(one.series for one in services))

    def hear(self, asks: Sequence[TrafficQuery], now: float) -> list[ServiceMetrics]:
        return [self._metrics(ask, now) for ask in asks]

    def histories(
        self, queries: Sequence[tuple[str, str]], length: timedelta, now: float
    ) -> list[Series | str]:
        end = datetime.fromtimestamp(now - METRIC_DELAY_S, UTC)
        return [self._history[item].between(end - length, end) for item, _ in queries]

    def seen(self, watched: Sequence[WatchedPolicy], now: float) -> Mapping[str, Workload | str]:
        for life in self._lives.values():
            life.advance_to(now)
        return {one.policy.item_id: self._lives[one.policy.item_id].workload() for one in watched}

    def act(self, views: Sequence[ServiceView], now: float) -> Mapping[str, Condition]:  # noqa: ARG002
        """Set the floors of the plans; the simulated HPAs act on them at their next sync."""
        enforced = {}
        for view in views:
            if view.decision is not None:
                self._lives[view.item_id].floor = view.decision.plan.replicas
                enforced[view.item_id] = Condition(ConditionKind.READY, True, "Enforcing")
        return enforced

    def _metrics(self, ask: TrafficQuery, now: float) -> ServiceMetrics:
        series = self._history[ask.item_id]
        step = series.step.total_seconds()
        first = math.floor((ask.since - series.stamps[0]) / step) + 1
        last = math.floor((now - METRIC_DELAY_S - series.stamps[0]) / step)
        indices = range(max(first, 0), min(last, len(series) - 1) + 1)
        samples = tuple((float(series.stamps[k]), float(series.values[k])) for k in indices)
        return ServiceMetrics(self._lives[ask.item_id].observed, samples)


class _ServiceLife:
    """The simulation of one service, which advances by the sync period of its HPA."""

    def __init__(self, one: SimulatedService, start: float, seed: int) -> None:
        self._one, self._now = one, start
        self._cluster = SimulatedReplicas(one.model, one.replicas, np.random.default_rng(seed))
        self._service = RequestQueue(one.model)
        self._hpa = HPA(one.net)
        self._offered: list[float] = []
        self.floor = one.net.min_replicas
        self.observed = math.nan

    def advance_to(self, now: float) -> None:
        tick_s = self._one.net.sync_s
        while self._now + tick_s <= now:
            warm = self._cluster.warm(self._now)
            offered = self._demand_at(self._now + tick_s)
            tick = self._service.tick(offered, warm * self._one.model.saturation_qps, tick_s)
            self._now += tick_s
            self._offered.append(tick.offered)
            window = round(METRIC_WINDOW_S / tick_s)
            delay = round(METRIC_DELAY_S / tick_s)
            visible = self._offered[-window - delay : len(self._offered) - delay]
            self.observed = float(np.mean(visible)) if visible else math.nan
            self._scale(min(tick.offered, tick.saturation))
            del self._offered[: -window - delay]

    def _scale(self, served: float) -> None:
        spec = self._hpa.spec
        cluster, reading = self._cluster, None
        if not math.isnan(self.observed) and cluster.ready:
            utilization = spec.metric is MetricKind.UTILIZATION
            total = served / self._one.model.capacity_qps if utilization else self.observed
            reading = Reading(total, cluster.ready, cluster.starting)
        scaled = self._hpa.sync(self._now, cluster.replicas, reading, floor=self.floor)
        cluster.scale(self._now, scaled.replicas)

    def _demand_at(self, stamp: float) -> float:
        """Return the demand at a time: the sample in whose step it lies; 0 if it is not known."""
        series = self._one.series
        step = series.step.total_seconds()
        index = math.ceil((stamp - float(series.stamps[0])) / step)
        value = float(series.values[min(max(index, 0), len(series) - 1)])
        return 0.0 if math.isnan(value) else value

    def workload(self) -> Workload:
        ready, due = self._cluster.ages(self._now)
        return Workload(self._cluster.replicas, ready, due, floor=self.floor)
