"""An autoscaler that does not run, beside a service that does: what it would have at each tick."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scaler.hpa.controller import HPA, HPAMemory, HPASpec, MetricKind, Reading


@dataclass(frozen=True, slots=True)
class SimulatedHPAMemory:
    """Of `SimulatedHPA`."""

    hpa: HPAMemory
    replicas: int


class SimulatedHPA:
    """One autoscaler, and the replicas that it would have. Confined to the loop's thread.

    Args:
        spec: of the autoscaler.
        replicas: that it begins with.
    """

    def __init__(self, spec: HPASpec, replicas: int = 1) -> None:
        self._hpa, self._replicas = HPA(spec), max(spec.min_replicas, replicas)

    def follow_spec(self, spec: HPASpec) -> None:
        """Go on with a spec that may have changed; the past stays known, as to the controller."""
        if spec != self._hpa.spec:
            before = self._hpa.memory()
            self._hpa = HPA(spec)
            self._hpa.recall(before)

    def sync(
        self, now: float, observed: float, capacity_qps: float, floor: int | None = None
    ) -> int:
        """Return the replicas that it would have now.

        Args:
            now: by a clock that is never set.
            observed: demand in QPS; NaN where it is not known.
            capacity_qps: of a replica.
            floor: a raised `minReplicas`.
        """
        current, goals = self._replicas, self._hpa.spec.goals
        units = (capacity_qps if goal.metric is MetricKind.UTILIZATION else 1.0 for goal in goals)
        first, *more = (
            None if math.isnan(observed) else Reading(observed / unit, current) for unit in units
        )
        self._replicas = self._hpa.sync(now, current, first, floor=floor, more=more).replicas
        return self._replicas

    def memory(self) -> SimulatedHPAMemory:
        return SimulatedHPAMemory(self._hpa.memory(), self._replicas)

    def recall(self, memory: SimulatedHPAMemory) -> None:
        self._hpa.recall(memory.hpa)
        self._replicas = memory.replicas
