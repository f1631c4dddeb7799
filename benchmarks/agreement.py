"""What is replayed is what runs: the whole control loop on virtual time beside `scaler replay`.

    python -m benchmarks agreement

The loop is that of `scaler run`: it takes up the policy with its history, measures, forecasts,
observes, decides and applies through its ports, tick by tick. The replay drives the same state
alone. Floors, limits, reasons, trust and lead times must be the same at every tick.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.traces import ONE_MINUTE, load
from forecaster.data.series import Forecast, Series
from scaler.control.loop import ControlLoop
from scaler.control.observations import ServiceMetrics
from scaler.control.ports import TrafficQuery, WatchedPolicy, World
from scaler.control.snapshot import Snapshot
from scaler.decision.lead_demand import ForecastReader
from scaler.decision.replicas import ScalePolicy
from scaler.policy.policy import Policy
from scaler.policy.replay_settings import ReplaySettings
from scaler.simulation.contenders import TidegateContender, run
from scaler.simulation.contest import ContestSetting
from scaler.simulation.preparation import ReplayPart, prepared
from scaler.simulation.recording import RecordedSamples
from scaler.simulation.simulated_cluster import SimulatedCluster
from scaler.simulation.world import Scene, SimulatedService

TICKS = 100_000
PEAK_REPLICAS = 40


class Tick(NamedTuple):
    """What one tick comes to."""

    floor: int
    plan: str
    demand: str
    limit_qps: float
    limit: str
    level: float
    lead_s: float
    replicas: int


@dataclass(frozen=True, slots=True)
class _Rows:
    forecast: Forecast | None
    rows: Mapping[str, int]
    faults: Mapping[str, str]


class PreparedForecasts:
    """Models that say what was worked out beforehand from each origin."""

    def __init__(self, forecast: Forecast) -> None:
        self._forecast = forecast
        self._rows = {origin: row for row, origin in enumerate(forecast.origins)}

    def reload(self, names: Sequence[str]) -> None:
        """There is nothing to load."""

    def predict(self, name: str, series: Sequence[Series]) -> _Rows:  # noqa: ARG002
        (one,) = series
        row = self._rows[one.end - one.step]
        alone = replace(
            self._forecast,
            item_ids=(one.item_id,),
            origins=self._forecast.origins[row : row + 1],
            values=self._forecast.values[row : row + 1],
            sources=self._forecast.sources[row : row + 1],
        )
        return _Rows(alone, {one.item_id: 0}, {})


class MarkedTraffic:
    """Traffic of one service, of which a recording says what the policy's query marks."""

    def __init__(self, inner: SimulatedCluster, samples: RecordedSamples) -> None:
        self._inner, self._samples, self._ticks = inner, samples, 0

    def measure(self, queries: Sequence[TrafficQuery], now: float) -> list[ServiceMetrics]:
        marks = self._samples.marks(self._ticks)
        self._ticks += 1
        return [replace(one, marks=marks) for one in self._inner.measure(queries, now)]

    def histories(
        self, queries: Sequence[tuple[str, str]], length: timedelta, now: float
    ) -> list[Series | str]:
        past, *masks = self._inner.histories(queries, length, now)
        return [past, *(self._marks(one) for one in masks)]

    def _marks(self, past: Series | str) -> Series | str:
        marks = self._samples.asked
        if isinstance(past, str) or marks is None:
            return past
        known = np.isin(self._samples.series.stamps, past.stamps)
        return replace(past, values=marks[known])


def in_the_loop(series: Series, setting: ContestSetting) -> Iterator[Tick]:
    """Yield what the whole control loop comes to at each tick."""
    policy = replace(setting.policy, model="prepared", demand_query="recorded")
    cluster = SimulatedCluster({policy.item_id: (series, setting.scene, setting.net)})
    snapshots: list[Snapshot] = []
    traffic = MarkedTraffic(cluster, setting.samples)
    world = World(traffic, PreparedForecasts(setting.ours), cluster)
    scene = setting.scene
    loop = ControlLoop(world, series.step, snapshots.append, tick_s=scene.timing.tick_s)
    watched = [WatchedPolicy(policy, setting.hpa)]
    for tick in range(scene.ticks):
        view = loop.tick(watched, scene.now(tick)).services[policy.item_id]
        snapshots.clear()
        decision = view.decision
        assert decision is not None, view.error
        assert view.trust is not None
        assert view.lead_time is not None
        yield Tick(
            decision.plan.replicas, decision.plan.reason.value, decision.demand.reason.value,
            decision.limit.qps, decision.limit.reason.value,
            view.trust.level, view.lead_time.seconds,
            cluster.service(policy.item_id).workload().replicas,
        )  # fmt: skip


class _Recorded(TidegateContender):
    """The contender of the replay, with what it decided at each tick."""

    ticks: list[Tick]

    def decide(self, tick: int, now: float, service: SimulatedService) -> float:
        limit_qps = super().decide(tick, now, service)
        result = self.latest
        assert result is not None
        decision = result.decision
        limit = result.published_limit.limit
        self.ticks.append(
            Tick(
                service.floor, decision.plan.reason.value, decision.demand.reason.value,
                limit_qps, limit.reason.value, result.trust.level, result.lead_time.seconds,
                service.workload().replicas,
            )
        )  # fmt: skip
        return limit_qps


def in_the_replay(setting: ContestSetting) -> list[Tick]:
    """Return what the replay comes to at each tick."""
    reader, scene = ForecastReader(setting.ours, block=1440), setting.scene
    who = _Recorded("tidegate", setting.policy, setting.samples, reader, scene.timing.tick_s)
    who.ticks = []
    run(scene, who, SimulatedService(scene, setting.net))
    return who.ticks


def shortened(setting: ContestSetting, ticks: int) -> ContestSetting:
    """Return the setting with its first ticks alone."""
    scene: Scene = replace(setting.scene, demand=setting.scene.demand[:ticks])
    return replace(setting, scene=scene)


def differences(series: Series, setting: ContestSetting) -> tuple[int, list[str]]:
    """Return how many ticks were compared, and each that differs, in words."""
    replayed = in_the_replay(setting)
    found = [
        f"tick {tick}: the loop has {one}, the replay {other}"
        for tick, (one, other) in enumerate(
            zip(in_the_loop(series, setting), replayed, strict=True)
        )
        if one != other
    ]
    return len(replayed), found


def agreement(traces: Path) -> None:
    """Print how many ticks of the recorded traces differ."""
    print("\n## Agreement of the control loop and the replay\n")
    left = TICKS
    for trace in load(traces, ONE_MINUTE):
        if not left:
            break
        series = replace(trace, item_id=f"bench/{trace.item_id}")
        capacity = float(series.values[series.values >= 0].max()) / PEAK_REPLICAS
        policy = Policy(
            item_id=series.item_id, target="web", scale=ScalePolicy(2, 200), capacity_qps=capacity
        )
        part = ReplayPart(series.end - timedelta(days=4), skip_gaps=True)
        setting = prepared(series, policy, ReplaySettings(), None, part)
        setting = shortened(setting, min(left, setting.scene.ticks))
        ticks, found = differences(series, setting)
        left -= ticks
        print(f"{series.item_id}: {ticks} ticks, {len(found)} differences")
        for line in found[:3]:
            print(f"  {line}")
