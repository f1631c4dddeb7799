"""tidegate as it runs: the control loop, the lease service, and the limiter of each gateway.

The loop ticks over the scene through its ports, as it would over a cluster and a Prometheus; what
it publishes goes to the lease service, which gateways ask for leases. `LeaseLimiter.admit` decides
every request: those of a second are spread over it at random, and over the gateways.

The demand that the loop is told is what gateways count, admitted and denied: their metrics do not
tell who was refused as abusive.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np

from benchmarks.limiters.autoscaling import SYNC_S, Sight
from benchmarks.limiters.closed_loop import Scenario
from benchmarks.limiters.population import CLASSES
from benchmarks.limiters.rivals import Arrivals, LimiterReport
from forecaster.data.series import FloatArray, Series
from scaler.control.loop import ControlLoop
from scaler.control.observations import ServiceMetrics, Workload
from scaler.control.ports import TrafficQuery, WatchedPolicy, World
from scaler.control.snapshot import PlanOutcome, ServiceView, Snapshot
from scaler.decision.limit import Ramp
from scaler.decision.replicas import ScalePolicy
from scaler.hpa.controller import HPASpec
from scaler.limits.priority_classes import PriorityClass
from scaler.policy.policy import Mode, Policy, Slo
from scaler.simulation.virtual_gateways import VirtualGateways

SERVICE = "scene/shop"
# Gateways have held their shares for a while when the scene begins.
BEFORE_S = 60.0


class Tidegate:
    """The limiter of one scene, with the loop behind it; ``floor`` is what it plans.

    Args:
        scenario: whose clients and replicas it is for.
        hpa: that runs beside it.
    """

    limit_qps = math.inf

    def __init__(self, name: str, scenario: Scenario, hpa: HPASpec) -> None:
        self.name, self.wanted_qps = name, 0.0
        self._rng = np.random.default_rng(scenario.seed)
        self._world = _SceneWorld(scenario)
        watched = WatchedPolicy(policy_of(scenario), hpa)
        self._watched = [watched]
        world = World(self._world, _NoModels(), self._world)
        self._loop = ControlLoop(world, timedelta(minutes=1), self._publish, tick_s=SYNC_S)
        self._gateways = VirtualGateways(SERVICE, scenario.gateways, -BEFORE_S, self._rng)
        self._admit = self._gateways.admit
        population = scenario.population
        self._cells = [(name, f"client-{i}") for name in CLASSES for i in range(population.clients)]

    @property
    def floor(self) -> int:
        return self._world.floor

    def end(self) -> None:
        """Stop the gateways."""
        self._gateways.end()

    def tick(self, sight: Sight) -> None:
        """Let the loop look at the scene."""
        self._world.sight = sight
        self._loop.tick(self._watched, sight.now)

    def _publish(self, snapshot: Snapshot) -> None:
        # Time is the scene's: what the tick took on this machine is no part of it.
        self._gateways.publish(replace(snapshot, seconds=0.0), snapshot.at)
        view = snapshot.services[SERVICE]
        assert view.published_limit is not None, view.error
        self.limit_qps = view.published_limit.limit.qps

    def shares(self, arrivals: Arrivals) -> FloatArray:
        counts = arrivals.counts.astype(np.int64)
        self.wanted_qps = float(counts.sum())
        places = self._rng.permutation(np.repeat(np.arange(counts.size), counts.ravel()))
        times = arrivals.now + np.sort(self._rng.random(len(places)))
        gateways = self._rng.integers(len(self._admit), size=len(places))
        passed = [0] * counts.size
        for now, place, gateway in zip(
            times.tolist(), places.tolist(), gateways.tolist(), strict=True
        ):
            if now >= self._gateways.due:
                self._gateways.run(now)
            name, client = self._cells[place]
            passed[place] += self._admit[gateway](name, client, now).allowed
        return np.reshape(passed, counts.shape) / np.maximum(counts, 1)

    def learn(self, report: LimiterReport) -> None:
        """Nothing: the loop sees the service by its metrics alone."""


def policy_of(scenario: Scenario) -> Policy:
    """Return what the operator of the scene's service asks for."""
    model = scenario.model
    return Policy(
        item_id=SERVICE,
        target="shop",
        scale=ScalePolicy(min_replicas=2, max_replicas=scenario.max_replicas),
        capacity_qps=scenario.told_qps,
        mode=Mode.ENFORCE,
        ramp=Ramp(model.ramp_s, model.ramp_initial),
        # Longer than 98 of 100 replicas take to start, and to warm up.
        lead_s=model.start_up_s * math.exp(2 * model.start_up_spread) + model.ramp_s,
        events=scenario.events,
        slo=Slo(model.slo_s, model.objective, query="of the scene"),
        classes=classes(),
    )


def classes() -> tuple[PriorityClass, ...]:
    return tuple(PriorityClass(name, priority) for priority, name in enumerate(CLASSES))


class _SceneWorld:
    """A scene as the loop sees it through its ports."""

    def __init__(self, scenario: Scenario) -> None:
        self.sight: Sight | None = None
        self.floor = scenario.usual_replicas
        self._slo_s = scenario.model.slo_s

    def measure(self, queries: Sequence[TrafficQuery], now: float) -> list[ServiceMetrics]:  # noqa: ARG002
        assert self.sight is not None
        # A histogram with the SLO as a bound tells on which side of it the quantile lies.
        sides = {None: None, True: 2 * self._slo_s, False: self._slo_s / 2}
        latency_s = sides[self.sight.over_slo]
        return [ServiceMetrics(self.sight.observed_qps, latency_s=latency_s)]

    def histories(self, queries: Sequence[tuple[str, str]], *_: object) -> list[Series | str]:
        return ["nothing was recorded"] * len(queries)

    def observe(self, watched: Sequence[WatchedPolicy], now: float) -> Mapping[str, Workload | str]:  # noqa: ARG002
        assert self.sight is not None
        return {SERVICE: Workload(self.sight.cluster.pods(now), self.floor)}

    def apply(self, views: Sequence[ServiceView], now: float) -> Mapping[str, PlanOutcome]:  # noqa: ARG002
        for view in views:
            if view.decision is not None:
                self.floor = view.decision.plan.replicas
        return {}


class _NoModels:
    """Nothing is forecast in a scene: there is no past to learn from."""

    def reload(self, names: Sequence[str]) -> None: ...

    def predict(self, name: str, series: Sequence[Series]) -> None:
        raise NotImplementedError("no policy of a scene names a model")
