"""The closed loop: a contender's replicas serve recorded demand, and what it sees follows from it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from forecaster.series import FloatArray
from scaler.simulation.cluster import Cluster
from scaler.simulation.contenders import Contender, View
from scaler.simulation.rehearsal import Timing
from scaler.simulation.service import Service, ServiceModel


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

    timing: Timing
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
    cluster = Cluster(model, scene.replicas, np.random.default_rng(scene.seed))
    service, memory = Service(model), _Memory(scene)
    per_replica, tick_s = model.saturation_qps, timing.tick_s
    bearable = model.utilisation_at_slo
    rows: list[tuple[float, ...]] = []
    over_slo = False
    for j, fresh in enumerate(scene.demand.tolist()):
        now = timing.start + j * tick_s
        warm = cluster.warm(now)
        observed, served = memory.window(j)
        view = View(j, now, observed, served, cluster.replicas, cluster.ready, warm, over_slo)
        cluster.scale(now, contender.replicas(view))
        tick = service.tick(fresh if fresh == fresh else 0.0, warm * per_replica, tick_s)
        memory.add(tick.offered, min(tick.offered, tick.saturation))
        over_slo = tick.wait_after > model.slo_s or tick.offered > bearable * tick.saturation
        rows.append((cluster.replicas, cluster.ready, *tick))
    columns = np.array(rows, dtype=np.float64).T
    columns[2:4, np.isnan(scene.demand)] = 0.0  # what is not known is not counted
    return Run(contender.name, *columns)


class _Memory:
    """What a metrics system remembers: averages over a window that ended a while ago."""

    def __init__(self, scene: Scene) -> None:
        timing = scene.timing
        self._window = max(round(timing.window_s / timing.tick_s), 1)
        self._delay = max(round(timing.delay_s / timing.tick_s), 0)
        known = np.isfinite(scene.demand)
        self._known = known.tolist()
        self._count = [0, *np.cumsum(known).tolist()]
        self._offered, self._served = [0.0], [0.0]  # running totals over known ticks

    def add(self, offered: float, served: float) -> None:
        counts = self._known[len(self._offered) - 1]
        self._offered.append(self._offered[-1] + (offered if counts else 0.0))
        self._served.append(self._served[-1] + (served if counts else 0.0))

    def window(self, tick: int) -> tuple[float, float]:
        """Return what was offered and served per second, NaN where nothing is known."""
        end = max(tick - self._delay, 0)
        begin = max(end - self._window, 0)
        count = self._count[end] - self._count[begin]
        if not count:
            return math.nan, math.nan
        offered = self._offered[end] - self._offered[begin]
        return offered / count, (self._served[end] - self._served[begin]) / count
