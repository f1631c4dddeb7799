"""Who decides the replicas beside a limiter, and what metrics say of a scene."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from scaler.hpa.controller import HPA, HPASpec, Reading
from scaler.policy.service_model import ServiceModel
from scaler.simulation.replicas import SimulatedReplicas
from scaler.simulation.service import QueueTick

SYNC_S = 15  # between two looks of an autoscaler, or of tidegate
WINDOW_S, DELAY_S = 60, 15  # of what metrics say


@dataclass(frozen=True, slots=True)
class Sight:
    """What can be seen at a moment.

    Attributes:
        now: seconds.
        observed_qps: asked for, by what the limiter says; served_qps: what replicas worked on; NaN
            where nothing is known yet.
        over_slo: whether the SLO was broken in the window; None where nothing is known yet.
        cluster: the replicas as they are now.
    """

    now: float
    observed_qps: float
    served_qps: float
    over_slo: bool | None
    cluster: SimulatedReplicas


class Autoscaler(Protocol):
    """Decides the replicas."""

    def replicas(self, sight: Sight) -> int: ...


class PlainHPA:
    """A HorizontalPodAutoscaler by CPU: what is served over what a replica sustains.

    Args:
        spec: of the autoscaler.
        capacity_qps: of a replica, at which it uses all of its CPU request.
        floor: raises its minimum.
    """

    def __init__(
        self, spec: HPASpec, capacity_qps: float, floor: Callable[[], int] | None = None
    ) -> None:
        self._hpa, self._capacity_qps = HPA(spec), capacity_qps
        self._floor = floor or (lambda: spec.min_replicas)

    def replicas(self, sight: Sight) -> int:
        cluster, reading = sight.cluster, None
        if not math.isnan(sight.served_qps):
            used = sight.served_qps / self._capacity_qps
            reading = Reading(used, cluster.ready, cluster.starting)
        synced = self._hpa.sync(sight.now, cluster.replicas, reading, floor=self._floor())
        return synced.replicas


class MetricWindow:
    """What metrics say: averages over a window that ended a while ago."""

    def __init__(self, model: ServiceModel) -> None:
        self._bearable = 1 - model.objective
        self._recent: deque[tuple[float, ...]] = deque(maxlen=WINDOW_S + DELAY_S)

    def add(self, wanted: float, tick: QueueTick, slow: float) -> None:
        """Take note of one second; ``slow`` is the share of the served over the SLO."""
        bad = tick.lost + max(tick.offered - tick.lost, 0.0) * slow
        self._recent.append((wanted, min(tick.offered, tick.saturation), bad, tick.offered))

    def sight(self, now: float, cluster: SimulatedReplicas) -> Sight:
        rows = list(self._recent)
        window = rows[: max(len(rows) - DELAY_S, 0)][-WINDOW_S:]
        if not window:
            return Sight(now, math.nan, math.nan, None, cluster)
        wanted, served, bad, offered = (
            sum(column) / len(window) for column in zip(*window, strict=True)
        )
        return Sight(now, wanted, served, bad > self._bearable * offered, cluster)
