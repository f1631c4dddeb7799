"""Capacity: the requests per second that one ready replica sustains within the SLO.

The operator gives it, or it is learned (see `capacity_learning`). At run time an overload factor
lowers it while replicas miss the SLO under a load that they were estimated to sustain.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass


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


@dataclass(frozen=True, slots=True)
class Feedback:
    """How the overload factor reacts to the SLO; it stays in ``[min_factor, 1]``.

    Additive increase, multiplicative decrease (Chiu and Jain, 1989): the factor falls faster than
    it recovers.

    Attributes:
        decrease: the factor is multiplied by this when the SLO is missed.
        increase: this is added to the factor when the SLO is met.
        min_factor: the lowest value of the factor.
    """

    decrease: float = 0.9
    increase: float = 0.01
    min_factor: float = 0.5

    def __post_init__(self) -> None:
        if not (0 < self.decrease < 1 and 0 < self.increase <= 1 and 0 < self.min_factor <= 1):
            raise ValueError(
                f"{self} must have decrease in (0, 1), increase and min_factor in (0, 1]"
            )


def corrected_factor(
    factor: float, *, over_slo: bool | None, load: float, feedback: Feedback
) -> float:
    """Return the overload factor after one more observation.

    Args:
        factor: its value before.
        over_slo: whether latency or errors exceed the SLO now; None where unknown.
        load: demand per ready replica as a share of the corrected capacity. Above 1, a missed SLO
            means that there are too few replicas, not that each one sustains less.
        feedback: how the factor reacts.

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
        return max(factor * feedback.decrease, feedback.min_factor) if load <= 1 else factor
    return min(factor + feedback.increase, 1.0)


def lowered_capacity(capacity: Capacity, factor: float) -> Capacity:
    """Return the capacity multiplied by the overload factor."""
    if factor == 1.0:
        return capacity
    return Capacity(
        capacity.qps * factor, CapacityReason.LOWERED, capacity.low * factor, capacity.high * factor
    )
