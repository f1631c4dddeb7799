"""Simulated services as ports of the control loop: what it sees and does in a demonstration.

Nothing here decides: the loop does, as it would in a real cluster. Time is what the loop says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import timedelta

from forecaster.data.series import Series
from scaler.control.observations import ServiceMetrics, Workload
from scaler.control.ports import TrafficQuery, WatchedPolicy
from scaler.control.snapshot import ConditionReason, PlanOutcome, ServiceView, condition_for
from scaler.hpa.controller import HPASpec
from scaler.simulation.world import Scene, SimulatedService


class SimulatedCluster:
    """`TrafficSource` and `Workloads` of simulated services whose scenes begin together.

    Args:
        services: of each item: its recorded history, its scene, and the autoscaler in it.
    """

    def __init__(self, services: Mapping[str, tuple[Series, Scene, HPASpec]]) -> None:
        self._series = {item: series for item, (series, _, _) in services.items()}
        self._services = {
            item: SimulatedService(scene, hpa) for item, (_, scene, hpa) in services.items()
        }
        self._limits = dict.fromkeys(services, math.inf)
        self._tick = -1

    def service(self, item_id: str) -> SimulatedService:
        return self._services[item_id]

    def measure(self, queries: Sequence[TrafficQuery], now: float) -> list[ServiceMetrics]:
        """Live until ``now``, and return what the metrics say then."""
        self._live_until(now)
        return [self._measured(query, now) for query in queries]

    def histories(
        self, queries: Sequence[tuple[str, str]], length: timedelta, now: float
    ) -> list[Series | str]:
        found: list[Series | str] = []
        for item, _ in queries:
            delay_s = self._services[item].scene.timing.query_delay_s
            series = self._series[item]
            known = math.floor((now - delay_s - float(series.stamps[0])) / _step_s(series))
            end = series.start + (known + 1) * series.step
            found.append(series.between(end - length, end))
        return found

    def observe(
        self,
        watched: Sequence[WatchedPolicy],
        now: float,  # noqa: ARG002
    ) -> Mapping[str, Workload | str]:
        return {
            one.policy.item_id: self._services[one.policy.item_id].workload() for one in watched
        }

    def apply(self, views: Sequence[ServiceView], now: float) -> Mapping[str, PlanOutcome]:  # noqa: ARG002
        """Carry plans out; the autoscaler beside them acts on them at its next sync."""
        enforced = {}
        for view in views:
            if view.decision is not None:
                floor = self._services[view.item_id].floor = view.decision.plan.replicas
                self._limits[view.item_id] = view.decision.limit.qps
                enforcing = condition_for(ConditionReason.ENFORCING)
                enforced[view.item_id] = PlanOutcome((enforcing,), floor)
        return enforced

    def _live_until(self, now: float) -> None:
        """Serve all ticks that are over, and begin the one that is now."""
        while True:
            scene = next(iter(self._services.values())).scene
            if self._tick + 1 >= scene.ticks or scene.now(self._tick + 1) > now:
                return
            for item, service in self._services.items():
                if self._tick >= 0:
                    service.end(self._tick, self._limits[item])
                service.begin(self._tick + 1)
            self._tick += 1

    def _measured(self, query: TrafficQuery, now: float) -> ServiceMetrics:
        series, service = self._series[query.item_id], self._services[query.item_id]
        step, start = _step_s(series), float(series.stamps[0])
        first = math.floor((query.since - start) / step) + 1
        last = math.floor((now - service.scene.timing.query_delay_s - start) / step)
        places = range(max(first, 0), min(last, len(series) - 1) + 1)
        samples = tuple((float(series.stamps[k]), float(series.values[k])) for k in places)
        latency = service.latency_s(self._tick) if query.slo_query is not None else None
        return ServiceMetrics(service.observed_qps(self._tick), samples, latency)


def _step_s(series: Series) -> float:
    return series.step.total_seconds()
