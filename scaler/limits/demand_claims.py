"""What a gateway's reports are worth: the demand that its share is worked out by.

Rules of this file:

* A rate is the mean of what was reported lately. A report that differs from it by more than chance
  begins it anew, so that demand that moves is known at once.
* A mean moves with every report, but a lease should not. So the rate that counts stays while the
  mean is near it, and a claim covers that difference.
* A request is refused where its bucket is full. So who has demand that is refused for a while also
  uses what it has. Where a gateway used less, what it says was refused does not count.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from scaler.limits.chance import NOTABLE, differ
from scaler.limits.priority_classes import ClassSplit

# Requests that belong to none of the policy's classes.
NO_CLASS = ""
# Standard deviations of a count that are not chance.
MORE_THAN_CHANCE = 3.0
# Reports of so many seconds make up a mean. It stands while it moved by less than a hundredth, by
# half a standard deviation, or by so few requests per second.
MEMORY_S, STEADY, STEADY_DEVIATIONS, STEADY_QPS = 10.0, 0.01, 0.5, 0.05
# Who used less than this part of what it had, had room: it is credited with half as much again. A
# bucket of a smaller rate holds few requests, and so refuses some of any that come by chance.
USED, GROWTH, LEAST_JUDGED_QPS = 0.8, 1.5, 10.0


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

    def refused(self) -> frozenset[str]:
        """Return the classes of which notably many requests were refused."""
        passed = self.offered if self.admitted is None else self.admitted
        return frozenset(
            name
            for name, qps in self.offered.items()
            if qps - passed.get(name, 0.0) > NOTABLE * qps
        )


@dataclass(frozen=True, eq=False, slots=True)
class DemandClaim:
    """What a gateway is known to want.

    Attributes:
        rates: by class; empty: not known yet.
        by_class: whether it has ever told classes apart.
        has: what its newest lease gives it, by class in QPS; `NO_CLASS` is the spare. None: it has
            no lease of this server.
        had: the least of that since its last report.
        refused: the classes of which the last report had many refused. Where demand has come just
            before a report, most of what the gateway had until then could not be used.
        doubted: the classes of which it did not count, and does not until what it has is used.
    """

    rates: Mapping[str, DemandEstimate] = field(default_factory=dict)
    by_class: bool = False
    has: Mapping[str, float] | None = None
    had: Mapping[str, float] | None = None
    refused: frozenset[str] = frozenset()
    doubted: frozenset[str] = frozenset()

    def reported(self, said: OfferedDemand) -> DemandClaim:
        """Return the claim after a report."""
        rates = {}
        doubted = frozenset(name for name in said.offered if self._doubts(name, said))
        for name in sorted(self.rates.keys() | said.offered.keys()):
            qps = said.offered.get(name, 0.0)
            if name in doubted and said.admitted is not None:
                qps = min(qps, GROWTH * said.admitted.get(name, 0.0) + 1.0)
            before = self.rates.get(name)
            rate = DemandEstimate.first(qps, said.seconds)
            rate = rate if before is None else before.updated_by(qps, said.seconds)
            if name in said.offered or rate.mean_qps > STEADY_QPS:  # names may be made up
                rates[name] = rate
        by_class = self.by_class or said.by_class
        return DemandClaim(rates, by_class, self.has, self.has, said.refused(), doubted)

    def leased(self, parts: ClassSplit) -> DemandClaim:
        """Return the claim of a gateway that may hold this lease from now on."""
        has = {one.name: one.qps for one in parts.classes}
        has[NO_CLASS] = parts.spare_qps
        had = has
        if self.had is not None:
            had = {name: min(qps, self.had.get(name, 0.0)) for name, qps in has.items()}
        return replace(self, has=has, had=had)

    def same_rates(self, other: DemandClaim) -> bool:
        """Whether shares come out the same by another claim."""
        return self.by_class == other.by_class and self.claims() == other.claims()

    def claims(self) -> dict[str, float]:
        """Return the QPS that it claims, by class; empty: not known."""
        return {name: rate.claim_qps for name, rate in self.rates.items()}

    def _doubts(self, name: str, said: OfferedDemand) -> bool:
        """Whether the gateway had room for what it says that it refused of a class."""
        if said.admitted is None or self.had is None or name not in self.refused:
            return False
        had_qps = self.had.get(name, self.had.get(NO_CLASS, 0.0))
        in_use = said.admitted.get(name, 0.0)
        if name not in self.had or name == NO_CLASS:
            # The spare serves every class beyond its own rate.
            own = {one: qps for one, qps in self.had.items() if one != NO_CLASS}
            in_use = sum(max(qps - own.get(one, 0.0), 0.0) for one, qps in said.admitted.items())
        worth = had_qps >= LEAST_JUDGED_QPS or name in self.doubted
        return worth and in_use < USED * had_qps


NO_CLAIM = DemandClaim()
