"""Which settings a service is best run with, by what each would have cost on its own past.

The cheapest settings stand that keep the objective; an objective is a share of the requests that
may be broken (over the SLO's latency, dropped or refused), or a price of a broken one. What is kept
of the past is what each setting came to on each day, so nothing here knows how that was found.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace

# Settings must have kept to this share of what is allowed: the days to come are others than the
# past. Half of it, as in the simulation that this was asked for by.
MARGIN = 0.5
# and where the error budget is spent to this: even an idle service breaks something.
LEAST_MARGIN = 0.125
# Others replace those that stand only where they save so much of the replica-hours,
HYSTERESIS = 0.02
# and from one review to the next at most so much of them, or one of the settings that were tried.
LARGEST_STEP = 0.15
# Days that must be known before anything is chosen.
LEAST_DAYS = 3


@dataclass(frozen=True, slots=True, order=True)
class Tuning:
    """The settings of a policy that can be chosen.

    Attributes:
        risk: accepted share of lead times whose peak exceeds what is foreseen, in (0, 1).
        target_utilization: planned demand per replica as a share of its capacity, above 0.
        stabilization_s: window within which the highest number wanted holds back a scale-down.
    """

    risk: float = 0.05
    target_utilization: float = 0.8
    stabilization_s: float = 300.0

    def __str__(self) -> str:
        """Return them by the names of a policy's keys.

        >>> str(Tuning())
        'risk 0.05, targetUtilization 0.8, stabilization 300s'
        """
        return (
            f"risk {self.risk:g}, targetUtilization {self.target_utilization:g}, "
            f"stabilization {self.stabilization_s:g}s"
        )


@dataclass(frozen=True, slots=True)
class Overrides:
    """Settings that a policy fixes; None: it leaves the choice."""

    risk: float | None = None
    target_utilization: float | None = None
    stabilization_s: float | None = None

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to choose."""
        return None not in (self.risk, self.target_utilization, self.stabilization_s)

    def applied(self, tuning: Tuning) -> Tuning:
        """Return settings with those that are fixed."""
        fixed = {one.name: getattr(self, one.name) for one in fields(self)}
        return replace(tuning, **{name: at for name, at in fixed.items() if at is not None})


@dataclass(frozen=True, slots=True)
class Spent:
    """What some time came to.

    Attributes:
        requests: all of them.
        broken: of these, over the SLO's latency, dropped or refused.
        replica_hours: of all replicas.
        days: that are known.
    """

    requests: float = 0.0
    broken: float = 0.0
    replica_hours: float = 0.0
    days: int = 0

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            self.requests + other.requests,
            self.broken + other.broken,
            self.replica_hours + other.replica_hours,
            self.days + other.days,
        )

    @property
    def violations(self) -> float:
        """The share of the requests that is broken.

        >>> Spent(requests=2000.0, broken=1.0).violations
        0.0005
        """
        return self.broken / self.requests if self.requests else 0.0


@dataclass(frozen=True, slots=True)
class Objective:
    """What is asked of a service; exactly one of both.

    Attributes:
        violations: share of the requests that may be broken, in (0, 1).
        price: how many served requests one broken request costs as much as, above 0.

    Raises:
        ValueError: none is given, or both, or one is out of its range.
    """

    violations: float | None = None
    price: float | None = None

    def __post_init__(self) -> None:
        if (self.violations is None) is (self.price is None):
            raise ValueError("an objective is either violations or a price; give exactly one")
        if self.violations is not None and not 0 < self.violations < 1:
            raise ValueError(f"violations is {self.violations}, but must be in (0, 1)")
        if self.price is not None and not 0 < self.price < math.inf:
            raise ValueError(f"price is {self.price}, but must be finite and > 0")


class ChoiceReason(enum.Enum):
    """Why these settings stand."""

    TOO_LITTLE_PAST = "too_little_past"  # so the settings of before stand
    CHEAPEST = "cheapest"  # of those that keep the objective
    STANDS = "stands"  # nothing that keeps the objective saves enough
    STEPPED = "stepped"  # cheaper ones keep it, but too much cheaper for one review
    UNREACHABLE = "unreachable"  # none keeps it, so those that break least


@dataclass(frozen=True, slots=True)
class Choice:
    """The settings that stand until the next review, and why.

    Attributes:
        tuning: the settings.
        reason: why they stand.
        spent: what they came to on the past that was looked at.
        allowed: share of the requests that settings might have broken to be chosen; None by a
            price, and before anything is chosen.
    """

    tuning: Tuning
    reason: ChoiceReason
    spent: Spent
    allowed: float | None = None


@dataclass(frozen=True, slots=True)
class ReviewRules:
    """What settings are chosen by.

    Attributes:
        objective: what is asked.
        given: the settings of the policy, which stand until others are chosen.
        replica_requests: requests that a replica serves in an hour at its capacity.
        overrides: settings that the policy fixes.
    """

    objective: Objective
    given: Tuning = field(default_factory=Tuning)
    replica_requests: float = 1.0
    overrides: Overrides = field(default_factory=Overrides)

    def paid(self, spent: Spent) -> float:
        """Return what is paid, in replica-hours; by a price, broken requests are paid for, too.

        >>> rules = ReviewRules(Objective(price=100.0), replica_requests=3000.0)
        >>> rules.paid(Spent(1e6, 300.0, 210.0))
        220.0
        """
        if self.objective.price is None:
            return spent.replica_hours
        return spent.replica_hours + spent.broken * self.objective.price / self.replica_requests


def choose(
    past: Mapping[Tuning, Spent], standing: Tuning, rules: ReviewRules, left: float = 1.0
) -> Choice:
    """Return the settings that stand after a review.

    Args:
        past: what each setting came to, all on the same days; ``standing`` is one of them.
        standing: the settings that stand until now.
        rules: what is asked.
        left: share of the error budget of the last days that is not spent yet; see `budget_left`.

    >>> dear, cheap = Tuning(), Tuning(target_utilization=0.9)
    >>> past = {dear: Spent(1e6, 100.0, 240.0, 7), cheap: Spent(1e6, 300.0, 210.0, 7)}
    >>> choose(past, dear, ReviewRules(Objective(violations=0.001))).tuning.target_utilization
    0.9
    >>> choose(past, dear, ReviewRules(Objective(violations=0.0005))).reason
    <ChoiceReason.STANDS: 'stands'>
    """
    now, asked = past[standing], rules.objective.violations
    if now.days < LEAST_DAYS:
        return Choice(standing, ChoiceReason.TOO_LITTLE_PAST, now)
    costs = {one: rules.paid(spent) for one, spent in past.items()}
    if asked is None:
        return _settled(costs, past, standing, None)
    allowed = asked * min(MARGIN, max(left, LEAST_MARGIN))
    keep = {one: cost for one, cost in costs.items() if past[one].violations <= allowed}
    if not keep:
        best = min(past, key=lambda one: (past[one].violations, past[one].replica_hours))
        return Choice(best, ChoiceReason.UNREACHABLE, past[best], allowed)
    return _settled(keep, past, standing, allowed)


def _settled(
    costs: Mapping[Tuning, float],
    past: Mapping[Tuning, Spent],
    standing: Tuning,
    allowed: float | None,
) -> Choice:
    """Return the cheapest of those that may be chosen, by hysteresis and the largest step."""
    best = min(costs, key=lambda one: (costs[one], past[one].broken))
    if standing not in costs:
        return Choice(best, ChoiceReason.CHEAPEST, past[best], allowed)
    cheaper = [one for one in costs if costs[one] <= costs[standing] * (1 - HYSTERESIS)]
    if not cheaper:
        return Choice(standing, ChoiceReason.STANDS, past[standing], allowed)
    least = past[standing].replica_hours * (1 - LARGEST_STEP)
    near = [one for one in cheaper if past[one].replica_hours >= least]
    # Where even the next ones are further away, one at a time.
    step = min(near, key=costs.__getitem__) if near else max(cheaper, key=costs.__getitem__)
    if past[best].replica_hours >= least or step == best:
        return Choice(best, ChoiceReason.CHEAPEST, past[best], allowed)
    return Choice(step, ChoiceReason.STEPPED, past[step], allowed)


def budget_left(spent: Iterable[Spent], objective: float) -> float:
    """Return which share of the error budget of some days is left, at most 1, below 0 if overspent.

    Args:
        spent: of each of these days, under the settings that stood then.
        objective: share of the requests that may be broken.

    >>> budget_left([Spent(1e6, 600.0), Spent(1e6, 200.0)], objective=0.001)
    0.6
    """
    in_all = sum(spent, Spent())
    if not in_all.requests:
        return 1.0
    return 1.0 - in_all.violations / objective
