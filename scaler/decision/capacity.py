"""Capacity: the requests per second that one ready replica sustains within the SLO.

The operator gives it, or it is learned (see `capacity_learning`). At run time an overload factor
lowers it while replicas miss the SLO under a load that they were estimated to sustain.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

# How the overload factor reacts: additive increase, multiplicative decrease (Chiu and Jain, 1989),
# so that it falls faster than it recovers. The sizes are chosen, not measured: ten ticks of a met
# SLO give back what one missed tick takes, and below one half the figure itself is wrong.
DECREASE = 0.9
INCREASE = 0.01
MIN_FACTOR = 0.5


class CapacityReason(enum.Enum):
    """How the capacity was determined."""

    GIVEN = "given"
    LEARNED = "learned"
    UNREACHED = "unreached"  # learned, but the SLO was never missed: a lower bound
    LOWERED = "lowered"  # replicas miss the SLO at a load below the estimated capacity


@dataclass(frozen=True, slots=True)
class Capacity:
    """Requests per second per ready replica, with the 90 % bootstrap interval ``[low, high]``."""

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
    """Return a capacity that the operator states; its interval is the value itself."""
    return Capacity(qps, CapacityReason.GIVEN, qps, qps)


def corrected_factor(factor: float, *, over_slo: bool | None, load: float) -> float:
    """Return the overload factor after one more observation; it stays in ``[MIN_FACTOR, 1]``.

    Args:
        factor: its value before.
        over_slo: whether latency or errors exceed the SLO now; None where unknown.
        load: demand per ready replica as a share of the corrected capacity. Above 1, a missed SLO
            means that there are too few replicas, not that each one sustains less.

    >>> corrected_factor(1.0, over_slo=True, load=0.8)
    0.9
    >>> corrected_factor(0.9, over_slo=False, load=0.8)
    0.91
    >>> corrected_factor(1.0, over_slo=True, load=1.3)
    1.0
    """
    if over_slo is None:
        return factor
    if over_slo:
        return max(factor * DECREASE, MIN_FACTOR) if load <= 1 else factor
    return min(factor + INCREASE, 1.0)


def lowered_capacity(capacity: Capacity, factor: float) -> Capacity:
    """Return the capacity multiplied by the overload factor."""
    if factor == 1.0:
        return capacity
    return Capacity(
        capacity.qps * factor, CapacityReason.LOWERED, capacity.low * factor, capacity.high * factor
    )
