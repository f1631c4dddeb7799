"""Capacity: the requests per second that one ready replica sustains within the SLO.

Given by the operator, or learned (see `capacity_learning`); while running, lowered when replicas
miss the SLO under a load that they were believed to sustain.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass


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
