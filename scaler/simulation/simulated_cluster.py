"""A simulated cluster with recorded demand: what the loop sees and does in a demonstration.

Nothing here decides: the loop does, as it would in a real cluster. Time is what it is told.
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

DELAY_S, WINDOW_S = 15.0, 60.0


@dataclass(frozen=True, eq=False, slots=True)
class SimulatedService:
    """One simulated service: its recorded demand, how it behaves, the autoscaler beside it."""

    series: Series
    model: ServiceModel
    net: HPASpec
    replicas: int


class SimulatedCluster:
    """Traffic and workloads of simulated services; see `loop.Traffic` and `loop.Workloads`.

    Args:
        inhabitants: the services.
        start: seconds since the epoch.
    """

    def __init__(self, inhabitants: Sequence[SimulatedService], start: float) -> None:
        self._homes = {
            one.series.item_id: _ServiceLife(one, start, i) for i, one in enumerate(inhabitants)
        }
        self._history = History(tuple(one.series for one in inhabitants))

    def hear(self, asks: Sequence[TrafficQuery], now: float) -> list[ServiceMetrics]:
        return [self._heard(ask, now) for ask in asks]

    def histories(
        self, queries: Sequence[tuple[str, str]], length: timedelta, now: float
    ) -> list[Series | str]:
        end = datetime.fromtimestamp(now - DELAY_S, UTC)
        return [self._history[item].between(end - length, end) for item, _ in queries]

    def seen(self, watched: Sequence[WatchedPolicy], now: float) -> Mapping[str, Workload | str]:
        for home in self._homes.values():
            home.live_until(now)
        return {one.policy.item_id: self._homes[one.policy.item_id].workload() for one in watched}

    def act(self, views: Sequence[ServiceView], now: float) -> Mapping[str, Condition]:  # noqa: ARG002
        """Carry plans out; the autoscaler beside them acts on them at its next look."""
        enforced = {}
        for view in views:
            if view.decision is not None:
                self._homes[view.item_id].floor = view.decision.plan.replicas
                enforced[view.item_id] = Condition(ConditionKind.READY, True, "Enforcing")
        return enforced

    def _heard(self, ask: TrafficQuery, now: float) -> ServiceMetrics:
        series = self._history[ask.item_id]
        step = series.step.total_seconds()
        first = math.floor((ask.since - series.stamps[0]) / step) + 1
        last = math.floor((now - DELAY_S - series.stamps[0]) / step)
        places = range(max(first, 0), min(last, len(series) - 1) + 1)
        samples = tuple((float(series.stamps[k]), float(series.values[k])) for k in places)
        return ServiceMetrics(self._homes[ask.item_id].observed, samples)


class _ServiceLife:
    """One service, living from tick to tick of its autoscaler."""

    def __init__(self, one: SimulatedService, start: float, seed: int) -> None:
        self._one, self._now = one, start
        self._cluster = SimulatedReplicas(one.model, one.replicas, np.random.default_rng(seed))
        self._service = RequestQueue(one.model)
        self._hpa = HPA(one.net)
        self._seen: list[float] = []
        self.floor = one.net.min_replicas
        self.observed = math.nan

    def live_until(self, now: float) -> None:
        tick_s = self._one.net.sync_s
        while self._now + tick_s <= now:
            warm = self._cluster.warm(self._now)
            fresh = self._demand(self._now + tick_s)
            tick = self._service.tick(fresh, warm * self._one.model.saturation_qps, tick_s)
            self._now += tick_s
            self._seen.append(tick.offered)
            window = round(WINDOW_S / tick_s)
            late = round(DELAY_S / tick_s)
            known = self._seen[-window - late : len(self._seen) - late]
            self.observed = float(np.mean(known)) if known else math.nan
            self._scale(min(tick.offered, tick.saturation))
            del self._seen[: -window - late]

    def _scale(self, served: float) -> None:
        spec = self._hpa.spec
        cluster, reading = self._cluster, None
        if not math.isnan(self.observed) and cluster.ready:
            utilization = spec.metric is MetricKind.UTILIZATION
            total = served / self._one.model.capacity_qps if utilization else self.observed
            reading = Reading(total, cluster.ready, cluster.starting)
        scaled = self._hpa.sync(self._now, cluster.replicas, reading, floor=self.floor)
        cluster.scale(self._now, scaled.replicas)

    def _demand(self, stamp: float) -> float:
        """Return the demand up to a moment: of the sample whose step it lies in."""
        series = self._one.series
        step = series.step.total_seconds()
        place = math.ceil((stamp - float(series.stamps[0])) / step)
        value = float(series.values[min(max(place, 0), len(series) - 1)])
        return 0.0 if math.isnan(value) else value

    def workload(self) -> Workload:
        ready, due = self._cluster.ages(self._now)
        return Workload(self._cluster.replicas, ready, due, floor=self.floor)
