"""The closed loop: a contender's replicas serve recorded demand; what it sees follows from that."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from forecaster.data.series import FloatArray
from scaler.policy.service_model import ServiceModel
from scaler.simulation.contenders import Contender, TickView
from scaler.simulation.rehearsal import LoopTiming
from scaler.simulation.replicas import SimulatedReplicas
from scaler.simulation.service import QueueTick, RequestQueue


@dataclass(frozen=True, eq=False)
class Scene:
    """What all contenders face alike.

    Attributes:
        timing: the ticks.
        demand: new requests per second in each tick; NaN where the record has a gap: nothing is
            known, so nothing is counted.
        model: how the service behaves.
        replicas: at the first tick, all warm.
        seed: of the start-up times.
    """

    timing: LoopTiming
    demand: FloatArray
    model: ServiceModel
    replicas: int
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Run:
    """What happened under one contender, per tick; rates are per second."""

    name: str
    replicas: FloatArray = field(repr=False)
    ready: FloatArray = field(repr=False)
    offered: FloatArray = field(repr=False)
    lost: FloatArray = field(repr=False)
    wait_before: FloatArray = field(repr=False)
    wait_after: FloatArray = field(repr=False)
    saturation: FloatArray = field(repr=False)


def run(scene: Scene, contender: Contender) -> Run:
    """Return what happens when ``contender`` decides the replicas."""
    model, timing = scene.model, scene.timing
    cluster = SimulatedReplicas(model, scene.replicas, np.random.default_rng(scene.seed))
    service, checkpoint = RequestQueue(model), _MetricWindow(scene, contender.window_s)
    per_replica, tick_s = model.saturation_qps, timing.tick_s
    rows: list[tuple[float, ...]] = []
    for j, fresh in enumerate(scene.demand.tolist()):
        now = timing.start + j * tick_s
        warm = cluster.warm(now)
        observed, served, per_warm, over_slo = checkpoint.window(j)
        view = TickView(
            j, now, observed, served, cluster.replicas, cluster.ready, warm, over_slo, per_warm
        )
        cluster.scale(now, contender.replicas(view))
        warm = cluster.warm(now)  # who has just been removed serves no more
        tick = service.tick(0.0 if math.isnan(fresh) else fresh, warm * per_replica, tick_s)
        checkpoint.add(tick, warm)
        rows.append((cluster.replicas, cluster.ready, *tick))
    columns = np.array(rows, dtype=np.float64).T
    columns[2:4, np.isnan(scene.demand)] = 0.0  # what is not known is not counted
    return Run(contender.name, *columns)


class _MetricWindow:
    """What a metrics system remembers: averages over a window that ended a while ago."""

    def __init__(self, scene: Scene, window_s: float) -> None:
        timing, model = scene.timing, scene.model
        self._window = max(round(window_s / timing.tick_s), 1)
        self._delay = max(round(timing.delay_s / timing.tick_s), 0)
        self._known = np.isfinite(scene.demand).tolist()
        self._slo_s, self._capacity_qps = model.slo_s, model.capacity_qps
        # Running totals over the ticks whose demand is known.
        self._count, self._late = [0], [0]
        self._offered, self._served, self._warm = [0.0], [0.0], [0.0]

    def add(self, tick: QueueTick, warm: float) -> None:
        known = self._known[len(self._count) - 1]
        late = tick.wait_after > self._slo_s
        self._count.append(self._count[-1] + known)
        self._late.append(self._late[-1] + late)
        self._offered.append(self._offered[-1] + (tick.offered if known else 0.0))
        served = min(tick.offered, tick.saturation)
        self._served.append(self._served[-1] + (served if known else 0.0))
        self._warm.append(self._warm[-1] + (warm if known else 0.0))

    def window(self, tick: int) -> tuple[float, float, float, bool]:
        """Return offered and served QPS, offered per warm replica, and whether the SLO broke.

        The rates are NaN where nothing is known.
        """
        end = max(tick - self._delay, 0)
        begin = max(end - self._window, 0)
        count = self._count[end] - self._count[begin]
        if not count:
            return math.nan, math.nan, 0.0, False
        offered = self._offered[end] - self._offered[begin]
        warm = self._warm[end] - self._warm[begin]
        per_warm = offered / warm if warm > 0.0 else 0.0
        late = self._late[end] > self._late[begin] or per_warm > self._capacity_qps
        return offered / count, (self._served[end] - self._served[begin]) / count, per_warm, late
