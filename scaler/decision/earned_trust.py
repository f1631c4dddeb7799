"""Mode Auto: a floor is written where it is proved to save, and is taken back where it does harm.

While it is on trial, a floor is only recommended. Hour by hour the replicas that there would be
under it are paired with those of the autoscaler alone, on the same demand. Two tests have to pass:

- cost: the null is that the floor saves nothing;
- violations: the null is that the share of broken requests is not below the budget, which is what
  the SLO's objective leaves.

Once it has earned trust, it is the opposite that is tested, either of which takes it back.

A unit is a day: hours of one day depend on each other, and a test that took them for independent
would promote up to half of all services that save nothing. So what is promised holds for days that
are independent, and `python -m benchmarks trust` measures for how long a regime of days it does.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field, replace

from scaler.decision.days import day_of
from scaler.decision.sequential_test import BettingTest

HOUR_S = 3600.0
# Hours that must be known of a day that counts: a restart may cost one, half a day is another day.
LEAST_HOURS = 18
# A day costs at most this share of the maximum more than the autoscaler alone. It bounds the bets;
# of replayed days the worst cost 4.9 % more than the mean. With half of it, regimes of a week
# promote falsely.
COST_BOUND = 0.25
# A day breaks at most this many times the budget more. With five, regimes of two days promote
# falsely; with twenty, a service without any violation waits for 87 days.
BUDGET_BOUND = 10.0
# The simulated autoscaler may differ from the real one by this share of the pod-hours.
APART = 0.05


class AutoStanding(enum.Enum):
    """What the evidence has come to."""

    ON_TRIAL = "on_trial"
    EARNED = "earned"  # so the floor is written
    COSTS_MORE = "costs_more"  # trust was taken back; it is on trial again
    BREAKS_MORE = "breaks_more"  # the same
    VOID = "void"  # the simulated autoscaler is not the real one; on trial from the beginning


@dataclass(frozen=True, slots=True)
class AutoRules:
    """What the evidence is judged by.

    Attributes:
        max_replicas: of the autoscaler.
        budget: share of the requests that may be broken, in (0, 1).
    """

    max_replicas: int
    budget: float

    def __post_init__(self) -> None:
        if self.max_replicas < 1 or not 0 < self.budget < 1:
            raise ValueError(f"{self} needs max_replicas >= 1 and a budget in (0, 1)")


@dataclass(frozen=True, slots=True)
class PairedHour:
    """One hour under the floor and without it, on the same demand; NaN is unknown.

    Attributes:
        at: when it began, in seconds since the epoch.
        ours: mean replicas under the floor.
        hpa: mean replicas that the autoscaler alone would have had, simulated.
        real: mean replicas that it had; NaN where a floor of ours stood.
        broken: requests that came while the ready replicas under the floor were too few.
        requests: all of them.
    """

    at: float
    ours: float
    hpa: float
    real: float
    broken: float
    requests: float


@dataclass(frozen=True, slots=True)
class PairedDay:
    """The sums of a day's known hours.

    Attributes:
        number: of the day in UTC, since the epoch; -1 for none.
        hours: that are known.
        extra: replica-hours under the floor beyond those of the autoscaler alone.
        apart: replica-hours by which the simulated autoscaler differed from the real one, hour by
            hour; real: those of the real one.
        broken: requests that came while replicas were too few; requests: all of them.
    """

    number: int = -1
    hours: int = 0
    extra: float = 0.0
    apart: float = 0.0
    real: float = 0.0
    broken: float = 0.0
    requests: float = 0.0

    def with_hour(self, hour: PairedHour) -> PairedDay:
        """Return the day with an hour more; one that is not known changes nothing."""
        known = (hour.ours, hour.hpa, hour.broken, hour.requests)
        if any(map(math.isnan, known)):
            return self
        seen = not math.isnan(hour.real)
        return PairedDay(
            self.number,
            self.hours + 1,
            self.extra + hour.ours - hour.hpa,
            self.apart + (abs(hour.hpa - hour.real) if seen else 0.0),
            self.real + (hour.real if seen else 0.0),
            self.broken + hour.broken,
            self.requests + hour.requests,
        )


@dataclass(frozen=True, slots=True)
class FloorEvidence:
    """All that is known for and against a floor.

    Attributes:
        standing: what it has come to.
        days: that count, since the tests began.
        cost, violations: the two tests, or their opposites once trust is earned.
        day: that is not over yet.
    """

    standing: AutoStanding = AutoStanding.ON_TRIAL
    days: int = 0
    cost: BettingTest = field(default_factory=BettingTest)
    violations: BettingTest = field(default_factory=BettingTest)
    day: PairedDay = PairedDay()

    @property
    def is_earned(self) -> bool:
        """Whether the floor is to be written."""
        return self.standing is AutoStanding.EARNED


def after_hour(evidence: FloorEvidence, hour: PairedHour, rules: AutoRules) -> FloorEvidence:
    """Return the evidence after an hour; it changes its mind only when a day is over."""
    number = day_of(hour.at)
    if number != evidence.day.number:
        evidence = replace(after_day(evidence, evidence.day, rules), day=PairedDay(number))
    return replace(evidence, day=evidence.day.with_hour(hour))


def after_day(evidence: FloorEvidence, day: PairedDay, rules: AutoRules) -> FloorEvidence:
    """Return the evidence after a day; one of which too little is known is no evidence."""
    if day.hours < LEAST_HOURS:
        return evidence
    if not evidence.is_earned and day.apart > APART * day.real:
        return FloorEvidence(AutoStanding.VOID)
    judged = _opposite if evidence.is_earned else _trial
    share = day.broken / day.requests if day.requests > 0 else math.nan
    return judged(evidence, day.extra / day.hours, share, rules)


def _trial(evidence: FloorEvidence, extra: float, share: float, rules: AutoRules) -> FloorEvidence:
    """Return the evidence after a day on trial that took ``extra`` replicas more."""
    budget = rules.budget
    cost = evidence.cost.after(-extra, COST_BOUND * rules.max_replicas)
    violations = evidence.violations.after(budget - share, BUDGET_BOUND * budget)
    if cost.is_shown and violations.is_shown:
        return FloorEvidence(AutoStanding.EARNED)
    void = evidence.standing is AutoStanding.VOID
    standing = AutoStanding.ON_TRIAL if void else evidence.standing
    return FloorEvidence(standing, evidence.days + 1, cost, violations)


def _opposite(
    evidence: FloorEvidence, extra: float, share: float, rules: AutoRules
) -> FloorEvidence:
    """Return the evidence after a day under the floor that took ``extra`` replicas more."""
    budget = rules.budget
    cost = evidence.cost.after(extra, COST_BOUND * rules.max_replicas, restarts=True)
    # A day without violations loses the budget, no more: that is the bound of this side.
    violations = evidence.violations.after(share - budget, budget, restarts=True)
    if violations.is_shown:
        return FloorEvidence(AutoStanding.BREAKS_MORE)
    if cost.is_shown:
        return FloorEvidence(AutoStanding.COSTS_MORE)
    return FloorEvidence(AutoStanding.EARNED, evidence.days + 1, cost, violations)
