"""What a run came to: cost, violations, latency, in the words of an operator."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from forecaster.data.series import FloatArray
from scaler.policy.service_model import ServiceModel, response_tail
from scaler.simulation.world import Run, Scene

# Moments within a tick at which the queue is looked at: its length is a straight line between.
_MOMENTS = 4
_ROUNDS = 40  # of bisection


@dataclass(frozen=True, slots=True)
class ReplayOutcome:
    """One contender's figures over the whole replay.

    Attributes:
        replica_hours: of all replicas, from creation to removal.
        violations: share of the requests over the SLO's latency, dropped, or refused.
        refused: share of the requests that gateways refused, for the limit was reached.
        p99_s: latency that 99 % of the requests stay within; inf if more are dropped.
        utilization: mean demand as a share of what the replicas sustain within the SLO, while it is
            known.
        worst_minute: the largest share of violations in any minute.
        changes: how often the number of replicas changed.
        peak_replicas: the most at any tick.
    """

    name: str
    replica_hours: float
    violations: float
    refused: float
    p99_s: float
    utilization: float
    worst_minute: float
    changes: int
    peak_replicas: int


def outcome(scene: Scene, run: Run) -> ReplayOutcome:
    """Return the figures of a run."""
    tick_s, model = scene.timing.tick_s, scene.model
    waits = _Waits(run, model, tick_s)
    bad = _broken(run, waits, model.slo_s)
    total = float(run.offered.sum())
    per_minute = max(round(60.0 / tick_s), 1)
    whole = len(bad) // per_minute * per_minute
    broken, asked = (x[:whole].reshape(-1, per_minute).sum(axis=1) for x in (bad, run.offered))
    worst = np.divide(broken, asked, out=np.zeros_like(broken), where=asked > 0)
    known = np.isfinite(scene.demand)
    sustained = float(run.replicas[known].sum()) * model.capacity_qps
    return ReplayOutcome(
        name=run.name,
        replica_hours=float(run.replicas.sum()) * tick_s / 3600,
        violations=float(bad.sum()) / total if total else 0.0,
        refused=float(run.refused.sum()) / total if total else 0.0,
        p99_s=_p99(run, waits, model, total),
        utilization=float(scene.demand[known].sum()) / sustained if sustained else 0.0,
        worst_minute=float(worst.max(initial=0.0)),
        changes=int(np.count_nonzero(np.diff(run.replicas))),
        peak_replicas=int(run.replicas.max()),
    )


def violations_per_tick(scene: Scene, run: Run) -> FloatArray:
    """Return the share of each tick's requests that broke the SLO; 0 where none came."""
    bad = _broken(run, _Waits(run, scene.model, scene.timing.tick_s), scene.model.slo_s)
    return np.divide(bad, run.offered, out=np.zeros_like(bad), where=run.offered > 0)


def _broken(run: Run, waits: _Waits, slo_s: float) -> FloatArray:
    """Return the requests per second of each tick over the SLO, dropped or refused.

    Of a queue whose replicas are gone, more may give up than came in that tick; they were late when
    they came, and are not counted again.
    """
    return np.minimum(run.refused + run.lost + waits.longer_than(slo_s), run.offered)


class _Waits:
    """How long the requests of each tick took: the queue's wait, then that of an M/M/k replica.

    Above a utilisation of ``(1 - sqrt(service_time / (k * tick))) ** 2`` a stationary queue takes
    longer than a tick to build up (the relaxation time of M/M/k is
    ``1 / (sqrt(k mu) - sqrt(lambda)) ** 2``; Morse, 1958, Queues, Inventories and Maintenance);
    from there on the fluid queue carries what is left over.
    """

    def __init__(self, run: Run, model: ServiceModel, tick_s: float) -> None:
        self._model = model
        most = (1 - math.sqrt(model.service_time_s / (model.workers * tick_s))) ** 2
        load = (run.offered - run.refused) / np.maximum(run.saturation, 1e-12)
        self._load = np.clip(load, 0.0, max(most, 0.5))
        self._served = np.maximum(run.offered - run.refused - run.lost, 0.0)
        at = (np.arange(_MOMENTS) + 0.5) / _MOMENTS
        slope = run.wait_after - run.wait_before
        self._wait = run.wait_before + slope * at[:, None]  # (moments, ticks)

    def longer_than(self, seconds: float) -> FloatArray:
        """Return the served requests per second of each tick that took longer."""
        left = (seconds - self._wait) / self._model.service_time_s
        tail = response_tail(self._model.workers, self._load, np.maximum(left, 0.0))
        return np.asarray(self._served * np.where(left > 0, tail, 1.0).mean(axis=0))


def _p99(run: Run, waits: _Waits, model: ServiceModel, total: float) -> float:
    # Of the requests that were admitted: a refusal is answered at once.
    lost, total = float(run.lost.sum()), total - float(run.refused.sum())
    if total <= 0 or lost > 0.01 * total:
        return math.inf if total > 0 else 0.0
    low, high = 0.0, model.timeout_s + 20 * model.service_time_s
    for _ in range(_ROUNDS):
        middle = (low + high) / 2
        if lost + float(waits.longer_than(middle).sum()) > 0.01 * total:
            low = middle
        else:
            high = middle
    return high
