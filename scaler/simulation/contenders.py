"""Who decides the replicas in a replay: each sees the past alone, tick by tick.

tidegate decides by the classes that `scaler run` drives: `ServiceState`, and through it `decide`,
trust, lead time and the published limit. There is no second copy of any of them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from forecaster.data.series import FloatArray
from scaler.control.demand_judge import DemandJudge
from scaler.control.observations import ServiceMetrics
from scaler.control.ports import NoWitness
from scaler.control.service_state import ServiceState
from scaler.control.tick_result import TickResult
from scaler.decision.capacity import given_capacity
from scaler.decision.lead_demand import ForecastReader
from scaler.decision.trust import Trust
from scaler.policy.policy import Policy
from scaler.simulation.recording import ActedOnHistory, RecordedSamples
from scaler.simulation.world import Run, Scene, SimulatedService


class Contender(Protocol):
    """Decides at each tick; returns what gateways may admit until the next."""

    name: str

    def decide(self, tick: int, now: float, service: SimulatedService) -> float: ...


class AutoscalerAlone:
    """Nobody beside the autoscaler: the user's own, or KEDA's."""

    def __init__(self, name: str) -> None:
        self.name = name

    def decide(self, tick: int, now: float, service: SimulatedService) -> float:  # noqa: ARG002
        return math.inf


class KnownReplicas:
    """Replicas known beforehand."""

    def __init__(self, name: str, replicas: Sequence[int]) -> None:
        self.name, self.planned = name, replicas

    def decide(self, tick: int, now: float, service: SimulatedService) -> float:  # noqa: ARG002
        service.scale(tick, self.planned[tick])
        return math.inf


class ScheduledFloor:
    """A floor that is scheduled for a demand, under an autoscaler that goes on by itself.

    Args:
        name: in the table.
        demand: at each tick, in QPS; NaN where none is scheduled for.
        replica_qps: what a replica is to be given of it.
    """

    def __init__(self, name: str, demand: FloatArray, replica_qps: float) -> None:
        self.name = name
        replicas = np.ceil(np.nan_to_num(demand) / replica_qps - 1e-6)
        self._floors: list[int] = replicas.astype(np.int64).tolist()

    def decide(self, tick: int, now: float, service: SimulatedService) -> float:  # noqa: ARG002
        service.floor = self._floors[tick]
        return math.inf


class TidegateContender:
    """tidegate's floor under an autoscaler that goes on by itself, and its limit at the gateways.

    Args:
        name: in the table.
        policy: of the service; its capacity is given.
        samples: recorded, as they become known.
        reader: of the forecasts from all origins, one row each.
        tick_s: between two ticks.
    """

    def __init__(
        self,
        name: str,
        policy: Policy,
        samples: RecordedSamples,
        reader: ForecastReader,
        tick_s: float,
    ) -> None:
        assert policy.capacity_qps is not None, "a replay is given the capacity"
        self.name = name
        self.reasons: Counter[str] = Counter()
        self.trust: list[Trust] = []  # after each sample
        self.latest: TickResult | None = None
        self._capacity = given_capacity(policy.capacity_qps)
        self._state = ServiceState(policy, samples.step_s, tick_s)
        self._judge = DemandJudge(NoWitness(), samples.step_s, tick_s)
        item = policy.item_id
        self._judge.look_back({item: samples.past}, {item: samples.marked_since})
        self._samples, self._reader = samples, reader
        self._history = ActedOnHistory(samples, policy.timezone)

    def follow_policy(self, policy: Policy) -> None:
        """Go on under a policy that may have changed, as a service in the loop does."""
        self._state.follow_policy(policy)

    def decide(self, tick: int, now: float, service: SimulatedService) -> float:
        state, new = self._state, self._samples.since_last_tick(tick)
        metrics = ServiceMetrics(
            service.observed_qps(tick),
            new,
            service.latency_s(tick) if state.policy.slo.query is not None else None,
            marks=self._samples.marks(tick),
        )
        item = state.policy.item_id
        metrics = self._judge.believed({item: metrics}, now)[item]
        metrics = state.without_implausible(metrics, now)
        observed = state.take_in(metrics, now)
        self._history.add(metrics.samples)
        state.low_qps = self._history.seasonal_low(tick)
        lead_forecast = None
        row = self._samples.newest_row(tick)
        if row >= 0 and self._reader.reaches(row, self._history.known_until, now):
            lead_forecast = self._reader.read(state.lead_query(row), now)
            state.expect(lead_forecast, self._reader.origin(row))
        result = self.latest = state.decide(
            now, observed, metrics, service.workload(), self._capacity, lead_forecast
        )
        service.floor = result.decision.plan.replicas
        self.reasons[result.decision.plan.reason.value] += 1
        if new:
            self.trust.append(result.trust)
        return result.decision.limit.qps


def run(scene: Scene, contender: Contender, service: SimulatedService) -> Run:
    """Return what happens when ``contender`` decides over ``service`` in all ticks of a scene."""
    for tick in range(scene.ticks):
        service.begin(tick)
        service.end(tick, contender.decide(tick, scene.now(tick), service))
    return service.run(contender.name)


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
