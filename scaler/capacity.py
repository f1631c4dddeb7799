"""Capacity: the requests per second that one ready replica sustains within the SLO.

Given by the operator, or learned from what was recorded; while running, lowered when replicas miss
the SLO under a load that they were believed to sustain.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

import numpy as np
from sklearn.isotonic import IsotonicRegression

from forecaster.series import FloatArray

# Of the recorded moments when learning: fewer say nothing about a tail.
LEAST_MOMENTS = 60
BLOCK = 30  # consecutive moments that are drawn together: they are alike


class CapacityReason(enum.Enum):
    """Where the figure comes from."""

    GIVEN = "given"
    LEARNED = "learned"
    UNREACHED = "unreached"  # the SLO always held: what replicas sustain is at least this
    LOWERED = "lowered"  # replicas miss the SLO below what they were believed to sustain


@dataclass(frozen=True, slots=True)
class Capacity:
    """Requests per second per ready replica, with the span in which it lies (90 % of resamples)."""

    qps: float
    reason: CapacityReason
    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.qps <= self.high < math.inf:
            raise ValueError(
                f"capacity is {self.qps} within [{self.low}, {self.high}], but "
                "0 < low <= qps <= high must hold"
            )


def given_capacity(qps: float) -> Capacity:
    """Return a capacity that the operator vouches for."""
    return Capacity(qps, CapacityReason.GIVEN, qps, qps)


def learned_capacity(
    loads: FloatArray,
    latencies: FloatArray,
    slo_s: float,
    rng: np.random.Generator,
    *,
    resamples: int = 100,
) -> Capacity:
    """Return the load up to which latency stays within the SLO.

    Latency is taken to rise with load, and with nothing else about its form: isotonic regression
    (Barlow et al., 1972, Statistical Inference under Order Restrictions). How sure that is, a
    moving-block bootstrap says (Kuensch, 1989): moments that follow each other are drawn together.

    Args:
        loads: QPS per ready replica, ``(moments,)``.
        latencies: the SLO's latency at those moments in seconds, say the 99th percentile; an
            error rate will do as well, with its own bound. NaN where unknown.
        slo_s: what it may be.
        rng: draws the resamples.
        resamples: how many.

    Raises:
        ValueError: fewer than `LEAST_MOMENTS` moments are known, or the SLO never held.
    """
    known = np.isfinite(loads) & np.isfinite(latencies) & (loads > 0)
    loads, latencies = loads[known], latencies[known]
    if len(loads) < LEAST_MOMENTS:
        raise ValueError(
            f"{len(loads)} moments with load and latency are known, but {LEAST_MOMENTS} are needed "
            "to learn the capacity; give requestsPerReplica instead"
        )
    found = _crossing(loads, latencies, slo_s)
    if found is None:
        raise ValueError(
            f"the SLO of {slo_s} s never held at any load (lowest {loads.min():g} requests per "
            "second per replica); is it in seconds?"
        )
    starts = rng.integers(0, len(loads) - BLOCK + 1, (resamples, -(-len(loads) // BLOCK)))
    drawn = (starts[:, :, None] + np.arange(BLOCK)).reshape(resamples, -1)
    crossings = [_crossing(loads[pick], latencies[pick], slo_s) for pick in drawn]
    spread = np.quantile([x for x in crossings if x is not None] or [found], [0.05, 0.95])
    unreached = found >= loads.max()
    reason = CapacityReason.UNREACHED if unreached else CapacityReason.LEARNED
    return Capacity(found, reason, min(float(spread[0]), found), max(float(spread[1]), found))


def _crossing(loads: FloatArray, latencies: FloatArray, slo_s: float) -> float | None:
    """Return the largest load at which the fitted latency is within the SLO; None if none is."""
    fitted = IsotonicRegression().fit(loads, latencies)
    within = fitted.X_thresholds_[fitted.y_thresholds_ <= slo_s]
    if not len(within):
        return None
    last = float(within[-1])
    after = fitted.X_thresholds_[fitted.X_thresholds_ > last]
    if not len(after):
        return last
    low, high = fitted.predict([last, float(after[0])])
    # Latency is a straight line between two fitted loads.
    return last + (float(after[0]) - last) * float((slo_s - low) / max(high - low, 1e-12))


@dataclass(frozen=True, slots=True)
class Feedback:
    """How a missed SLO moves the capacity that is believed: by a factor in ``[least, 1]``.

    Multiplicative decrease, additive increase (Chiu and Jain, 1989), so that it falls faster than
    it recovers.
    """

    decrease: float = 0.9
    increase: float = 0.01
    least: float = 0.5

    def __post_init__(self) -> None:
        if not (0 < self.decrease < 1 and 0 < self.increase <= 1 and 0 < self.least <= 1):
            raise ValueError(f"{self} must have decrease in (0, 1), increase and least in (0, 1]")


def corrected_factor(
    factor: float, *, over_slo: bool | None, load: float, feedback: Feedback
) -> float:
    """Return the factor after one more observation.

    Args:
        factor: before.
        over_slo: whether latency or errors are over the SLO now; None where unknown.
        load: demand per ready replica as a share of the capacity believed so far. Above 1, missing
            the SLO says that replicas are short, not that they are weak.
        feedback: how it moves.

    >>> f = Feedback()
    >>> corrected_factor(1.0, over_slo=True, load=0.8, feedback=f)
    0.9
    >>> corrected_factor(0.9, over_slo=False, load=0.8, feedback=f)
    0.91
    >>> corrected_factor(1.0, over_slo=True, load=1.3, feedback=f)
    1.0
    """
    if over_slo is None:
        return factor
    if over_slo:
        return max(factor * feedback.decrease, feedback.least) if load <= 1 else factor
    return min(factor + feedback.increase, 1.0)


def lowered(capacity: Capacity, factor: float) -> Capacity:
    """Return the capacity times the factor."""
    if factor == 1.0:
        return capacity
    return Capacity(
        capacity.qps * factor, CapacityReason.LOWERED, capacity.low * factor, capacity.high * factor
    )
