"""Who decides the replicas in a replay: each sees the past alone, tick by tick.

A contender is asked once per tick and answers with the replicas that the workload is to have.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from forecaster.data.series import FloatArray
from scaler.decision.decide import (
    DecisionSettings,
    DecisionState,
    Observation,
    decide,
    initial_state,
)
from scaler.decision.demand import LeadDemand
from scaler.decision.replicas import PlanReason
from scaler.hpa.controller import HPA, HPASpec, MetricKind, Reading


@dataclass(slots=True)
class TickView:
    """What can be seen at a tick; the replay fills one anew each time.

    Attributes:
        tick: its number.
        now: seconds since the epoch.
        observed_qps: offered per second, averaged over the window that ended when it was collected.
        served_qps: the same, of what replicas worked on: it cannot exceed what they can.
        replicas: created; ready: of them; warm: each that warms up counted in part.
        over_slo: whether the SLO was broken in that window.
        replica_qps: offered per warm replica in that window.
    """

    tick: int
    now: float
    observed_qps: float
    served_qps: float
    replicas: int
    ready: int
    warm: float
    over_slo: bool
    replica_qps: float


class Contender(Protocol):
    """Decides the replicas from averages over ``window_s``."""

    name: str
    window_s: float

    def replicas(self, view: TickView) -> int: ...


class KnownReplicas:
    """Replicas known beforehand."""

    window_s = 60.0

    def __init__(self, name: str, replicas: Sequence[int]) -> None:
        self.name = name
        self._replicas = replicas

    def replicas(self, view: TickView) -> int:
        return self._replicas[view.tick]


class HPAContender:
    """A HorizontalPodAutoscaler alone: the user's own, or KEDA's."""

    def __init__(
        self, name: str, spec: HPASpec, capacity_qps: float, window_s: float = 60.0
    ) -> None:
        self.name = name
        self.window_s = window_s
        self._hpa = HPA(spec)
        self._reading = _readings(spec.metric, capacity_qps)

    def replicas(self, view: TickView) -> int:
        return self._hpa.sync(view.now, view.replicas, self._reading(view)).replicas


class TidegateContender:
    """tidegate's floor under an autoscaler that goes on by itself."""

    window_s = 60.0

    def __init__(
        self,
        name: str,
        policy: DecisionSettings,
        ahead: Sequence[LeadDemand],
        net: HPASpec,
        replicas: int,
    ) -> None:
        self.name = name
        self.reasons: Counter[PlanReason] = Counter()
        self._policy, self._ahead = policy, ahead
        self._hpa = HPA(net)
        self._reading = _readings(net.metric, policy.capacity.qps)
        self._floor = replicas
        self._state: DecisionState | None = None

    def replicas(self, view: TickView) -> int:
        # The autoscaler acts on the floor of the tick before: it looks every 15 s, not when told.
        floor = self._floor
        scaled = self._hpa.sync(view.now, view.replicas, self._reading(view), floor=floor)
        observation = Observation(
            view.now,
            view.observed_qps,
            self._ahead[view.tick],
            view.warm,
            view.over_slo,
            view.replica_qps,
        )
        state = self._state or initial_state(floor, view.now)
        decision = decide(observation, state, self._policy)
        # The state keeps the last plan that rested on something; what is in force may have decayed.
        self._state, self._floor = decision.state, decision.plan.replicas
        self.reasons[decision.plan.reason] += 1
        return scaled.replicas


class _Readings(Protocol):
    def __call__(self, view: TickView) -> Reading | None: ...


def _readings(metric: MetricKind, capacity_qps: float) -> _Readings:
    """Return what the metrics API answers about the requests of a service.

    A CPU utilisation is work done over the request, which is sized so that a replica at its
    capacity uses all of it. Replicas that start have no sample yet.
    """
    if metric is MetricKind.UTILIZATION:
        return lambda view: (
            Reading(view.served_qps / capacity_qps, view.ready, view.replicas - view.ready)
            if not math.isnan(view.observed_qps)
            else None
        )
    if metric is MetricKind.PODS:
        return lambda view: (
            Reading(view.observed_qps, view.ready, 0, view.replicas - view.ready)
            if not math.isnan(view.observed_qps)
            else None
        )
    return lambda view: (
        Reading(view.observed_qps, view.ready) if not math.isnan(view.observed_qps) else None
    )


def clairvoyant(
    demand: FloatArray, capacity_qps: float, lead_ticks: int, least: int
) -> KnownReplicas:
    """Return the fewest replicas that are warm when needed: the floor of what is possible.

    Each is created ``lead_ticks`` before it is needed; between two needs it is kept where starting
    it anew would take as long. Demand that is unknown asks for ``least``.
    """
    need = np.maximum(np.ceil(np.nan_to_num(demand) / capacity_qps - 1e-6), least).astype(np.int64)
    padded = np.concatenate([need, np.full(lead_ticks, need[-1])])
    ahead = np.lib.stride_tricks.sliding_window_view(padded, lead_ticks + 1)
    return KnownReplicas("clairvoyant", ahead.max(axis=1).tolist())
