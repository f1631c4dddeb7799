"""What a gateway's reports are worth: the demand that its share is worked out by.

Rules of this file:

* A rate is the mean of what was reported lately. A report that differs from it by more than chance
  begins it anew, so that demand that moves is known at once.
* A mean moves with every report, but a lease should not. So the rate that counts stays while the
  mean is near it, and a claim covers that difference.
* A request is refused where its bucket is full. So who has demand that is refused also uses what
  it has. Where a gateway used less of its share, what it says was refused does not count.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from scaler.limits.chance import NOTABLE, differ
from scaler.limits.priority_classes import ClassSplit

# Requests that belong to none of the policy's classes.
NO_CLASS = ""
# Standard deviations of a count that are not chance.
MORE_THAN_CHANCE = 3.0
# Reports of so many seconds make up a mean. It stands while it moved by less than a hundredth, by
# half a standard deviation, or by so few requests per second.
MEMORY_S, STEADY, STEADY_DEVIATIONS, STEADY_QPS = 10.0, 0.01, 0.5, 0.05
# Who used less than this part of what it had, had room: it is credited with half as much again.
USED, GROWTH = 0.8, 1.5


@dataclass(frozen=True, slots=True)
class DemandEstimate:
    """One rate of a gateway.

    Attributes:
        qps: that counts.
        mean_qps: of the reports of the last ``seconds``.
    """

    qps: float
    mean_qps: float
    seconds: float

    @staticmethod
    def first(qps: float, seconds: float) -> DemandEstimate:
        return DemandEstimate(qps, qps, seconds)

    def updated_by(self, qps: float, seconds: float) -> DemandEstimate:
        """Return the estimate after a report of ``qps`` over some seconds."""
        moved = abs(qps - self.mean_qps) > NOTABLE * self.mean_qps
        if moved and differ(qps * seconds, self.mean_qps * seconds, MORE_THAN_CHANCE):
            return self.first(qps, seconds)
        known_s = min(self.seconds + seconds, max(MEMORY_S, seconds))
        mean_qps = self.mean_qps + (qps - self.mean_qps) * (seconds / known_s)
        after = DemandEstimate(self.qps, mean_qps, known_s)
        if abs(mean_qps - self.qps) <= after.margin_qps:
            return after
        return DemandEstimate(mean_qps, mean_qps, known_s)

    @property
    def margin_qps(self) -> float:
        """How far the mean may be from what counts."""
        return max(_off_by(self.qps, MEMORY_S), _off_by(self.mean_qps, self.seconds), STEADY_QPS)

    @property
    def claim_qps(self) -> float:
        return self.qps + _off_by(self.qps, MEMORY_S)


def _off_by(qps: float, seconds: float) -> float:
    """Return how far a rate that was counted for so long may well be from what it is."""
    return max(STEADY * qps, STEADY_DEVIATIONS * math.sqrt(qps / seconds))


@dataclass(frozen=True, eq=False, slots=True)
class OfferedDemand:
    """What one report says.

    Attributes:
        seconds: over which requests were counted.
        offered: QPS by class, admitted or not; `NO_CLASS` is all other demand.
        admitted: QPS that were admitted of it, by class; None: not said.
        by_class: whether classes were told apart.
    """

    seconds: float
    offered: Mapping[str, float]
    admitted: Mapping[str, float] | None = None
    by_class: bool = True


@dataclass(frozen=True, eq=False, slots=True)
class DemandClaim:
    """What a gateway is known to want.

    Attributes:
        rates: by class; empty: not known yet.
        by_class: whether it has ever told classes apart.
        has: what its newest lease gives it, by class in QPS; `NO_CLASS` is the spare. None: it has
            no lease of this server.
        had: the least of that since its last report.
    """

    rates: Mapping[str, DemandEstimate] = field(default_factory=dict)
    by_class: bool = False
    has: Mapping[str, float] | None = None
    had: Mapping[str, float] | None = None

    def reported(self, said: OfferedDemand) -> DemandClaim:
        """Return the claim after a report."""
        rates = {}
        for name in sorted(self.rates.keys() | said.offered.keys()):
            qps = min(said.offered.get(name, 0.0), self._creditable_qps(name, said))
            before = self.rates.get(name)
            if before is not None:
                rates[name] = before.updated_by(qps, said.seconds)
            else:
                rates[name] = DemandEstimate.first(qps, said.seconds)
        return DemandClaim(rates, self.by_class or said.by_class, self.has, self.has)

    def leased(self, parts: ClassSplit) -> DemandClaim:
        """Return the claim of a gateway that may hold this lease from now on."""
        has = {one.name: one.qps for one in parts.classes}
        has[NO_CLASS] = parts.spare_qps
        had = has
        if self.had is not None:
            had = {name: min(qps, self.had.get(name, 0.0)) for name, qps in has.items()}
        return DemandClaim(self.rates, self.by_class, has, had)

    def same_rates(self, other: DemandClaim) -> bool:
        """Whether shares come out the same by another claim."""
        return self.by_class == other.by_class and self.claims() == other.claims()

    def claims(self) -> dict[str, float]:
        """Return the QPS that it claims, by class; empty: not known."""
        return {name: rate.claim_qps for name, rate in self.rates.items()}

    def _creditable_qps(self, name: str, said: OfferedDemand) -> float:
        """Return how much demand of a class is believed; inf: any."""
        if said.admitted is None or self.had is None:
            return math.inf
        used = said.admitted.get(name, 0.0)
        had_qps = self.had.get(name, self.had.get(NO_CLASS, 0.0))
        in_use = used
        if name not in self.had or name == NO_CLASS:
            # The spare serves every class beyond its own rate.
            in_use = sum(
                max(qps - (self.had.get(one, 0.0) if one != NO_CLASS else 0.0), 0.0)
                for one, qps in said.admitted.items()
            )
        return math.inf if in_use >= USED * had_qps else GROWTH * used + 1.0


NO_CLAIM = DemandClaim()
