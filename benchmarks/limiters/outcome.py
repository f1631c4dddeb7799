"""What a limiter came to: who was refused, who was served in time.

Two bases, not to be mixed up. *Decisions* (false rejects, abuse blocked, accuracy) are counted over
first attempts: a client that asks again after a refusal is not counted twice, which would flatter
whoever refuses abusive clients that retry at once. *Service* (goodput, violations, p99) is about
what the replicas did, retries included.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from benchmarks.limiters.closed_loop import MOST_LOAD, Scenario, Shedding
from forecaster.data.series import FloatArray
from scaler.policy.service_model import ServiceModel, response_tail

SMOOTHED_S = 15
SETTLED = 0.95
_ROUNDS = 30  # of bisection


@dataclass(frozen=True, slots=True)
class InterceptionResult:
    """One limiter's figures in one scenario, over all of it.

    Attributes:
        goodput: normal requests served within the SLO, over what could have been: min(offered by
            normal clients, capacity of the replicas that it had), second by second.
        served: normal requests served within the SLO, at the first or a later attempt, over all of
            them, whatever the replicas.
        critical: the same of the most important class.
        false_rejects: normal requests refused, over all normal ones.
        abuse_blocked: abusive requests refused, over all abusive ones; NaN where there are none.
        accuracy: right decisions over all: normal ones admitted and abusive ones refused.
        attainable: accuracy of a guard that knows who is abusive, on the same replicas: where
            normal clients alone send more than these can serve, nobody can admit them all.
        p99_s: latency that 99 % of the admitted stay within; inf if more are lost.
        settling_s: from the onset until goodput (mean of 15 s) stays at 0.95 or more; inf: never.
        violations: of the admitted, over the SLO's latency or lost.
        replica_hours: from creation to removal.
    """

    name: str
    goodput: float
    served: float
    critical: float
    false_rejects: float
    abuse_blocked: float
    accuracy: float
    attainable: float
    p99_s: float
    settling_s: float
    violations: float
    replica_hours: float


def interception(scenario: Scenario, run: Shedding) -> InterceptionResult:
    """Return the figures of a run."""
    normal, abusive = float(run.normal.sum()), float(run.abusive.sum())
    came, passed = float(run.normal_in.sum()), float(run.abusive_in.sum())
    in_time = 1 - _bad(run)
    possible = np.minimum(run.normal, run.capacity)
    good = np.minimum(run.normal_admitted * in_time, possible)
    everything = normal + abusive
    return InterceptionResult(
        name=run.name,
        goodput=float(good.sum() / possible.sum()),
        served=float((run.normal_admitted * in_time).sum()) / normal,
        critical=float((run.critical_admitted * in_time).sum() / run.critical.sum()),
        false_rejects=1 - came / normal,
        abuse_blocked=1 - passed / abusive if abusive else math.nan,
        accuracy=(came + abusive - passed) / everything,
        attainable=(float(possible.sum()) + abusive) / everything,
        p99_s=_p99(run, scenario.model),
        settling_s=_settling(good, possible, scenario.onset_s),
        violations=float((_bad(run) * run.admitted).sum() / run.admitted.sum()),
        replica_hours=float(run.replicas.sum()) / 3600,
    )


def _lost(run: Shedding) -> FloatArray:
    """Return the share of the admitted that waited for too long."""
    share = np.divide(run.lost, run.admitted, out=np.zeros_like(run.lost), where=run.admitted > 0)
    return np.asarray(np.minimum(share, 1.0))


def _bad(run: Shedding) -> FloatArray:
    """Return the share of the admitted that is over the SLO or lost."""
    lost = _lost(run)
    return np.asarray(lost + (1 - lost) * run.slow)


def _p99(run: Shedding, model: ServiceModel) -> float:
    lost, total = _lost(run), float(run.admitted.sum())
    dropped = float((lost * run.admitted).sum())
    if dropped > 0.01 * total:
        return math.inf
    served = run.admitted * (1 - lost)
    load = np.minimum(run.load, MOST_LOAD)
    low, high = 0.0, model.timeout_s + 20 * model.service_time_s
    for _ in range(_ROUNDS):
        middle = (low + high) / 2
        left = (middle - run.wait) / model.service_time_s
        tail = np.where(left > 0, response_tail(model.workers, load, np.maximum(left, 0.0)), 1.0)
        late = dropped + float((served * tail).sum())
        low, high = (middle, high) if late > 0.01 * total else (low, middle)
    return high


def _settling(good: FloatArray, possible: FloatArray, onset_s: float) -> float:
    ones = np.ones(SMOOTHED_S)
    ratio = np.convolve(good, ones, "valid") / np.maximum(
        np.convolve(possible, ones, "valid"), 1e-9
    )
    ends = np.arange(len(ratio)) + SMOOTHED_S  # of the seconds that each mean is of
    short = ends[(ratio < SETTLED) & (ends > onset_s)]
    if not len(short):
        return 0.0
    return math.inf if short[-1] == ends[-1] else float(short[-1] - onset_s)
