"""What a floor has saved against the autoscaler alone: replica-hours, what they cost, and how sure.

The interval is Student's t over days: what one day saved is paired, for both are on the same
demand. Days are taken for independent; seasons of the week make it wider, not narrower. Source:
NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.5.2, confidence limits for the mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from scaler.decision.days import DAY_S, day_of
from scaler.decision.student import student_quantile

# A day counts if so much of it is known; half a day is another day.
LEAST_S = 18 * 3600.0
# Below a week of days, no interval: what Sundays are like is not known.
LEAST_DAYS = 7
_LEVEL = 0.975  # of both ends of an interval of 95 %


@dataclass(frozen=True, slots=True)
class ReplicaPrice:
    """What a replica costs.

    Attributes:
        replica_hour: for an hour, above 0.
        currency: its code by ISO 4217.
    """

    replica_hour: float
    currency: str

    def __post_init__(self) -> None:
        if not 0 < self.replica_hour < math.inf:
            raise ValueError(f"replica_hour is {self.replica_hour}, but must be finite and > 0")


@dataclass(frozen=True, slots=True)
class Savings:
    """Replica-hours that were saved while a floor stood; below 0 it cost more.

    Attributes:
        hours: saved in all; seconds: in which.
        days: that count for the interval; mean: hours saved on one; squares: sum of the squared
            differences from that.
        number: of the day in UTC that is not over yet, since the epoch; -1 for none.
        day_hours: saved on it; day_s: seconds that are known of it.
    """

    hours: float = 0.0
    seconds: float = 0.0
    days: int = 0
    mean: float = 0.0
    squares: float = 0.0
    number: int = -1
    day_hours: float = 0.0
    day_s: float = 0.0

    def after(self, now: float, seconds: float, hours: float) -> Savings:
        """Return the savings after ``seconds`` more, up to ``now``, in which ``hours`` were saved.

        >>> Savings().after(86400.0, 7200.0, -1.5).hours
        -1.5
        """
        number = day_of(now)
        begun = self if number == self.number else self._next_day(number)
        return replace(
            begun,
            hours=begun.hours + hours,
            seconds=begun.seconds + seconds,
            day_hours=begun.day_hours + hours,
            day_s=begun.day_s + seconds,
        )

    def _next_day(self, number: int) -> Savings:
        begun = replace(self, number=number, day_hours=0.0, day_s=0.0)
        if self.day_s < LEAST_S:
            return begun
        # Welford's update of a mean and of the squares about it.
        saved, days = self.day_hours * DAY_S / self.day_s, self.days + 1
        mean = self.mean + (saved - self.mean) / days
        squares = self.squares + (saved - self.mean) * (saved - mean)
        return replace(begun, days=days, mean=mean, squares=squares)

    @property
    def half_width(self) -> float | None:
        """Half of the 95 % interval around ``hours``; None: of too few days."""
        if self.days < LEAST_DAYS:
            return None
        error = math.sqrt(self.squares / (self.days - 1) / self.days)
        return student_quantile(_LEVEL, self.days - 1) * error * self.seconds / DAY_S


NOTHING_SAVED = Savings()


@dataclass(frozen=True, slots=True)
class SavedMoney:
    """What was saved in one currency; ``half`` is half of the 95 % interval; None: not known."""

    currency: str
    amount: float
    half: float | None


def saved_money(savings: Savings, price: ReplicaPrice) -> SavedMoney:
    """Return what replica-hours are worth at a price."""
    half = savings.half_width
    each = price.replica_hour
    return SavedMoney(price.currency, savings.hours * each, None if half is None else half * each)


def in_all(parts: list[SavedMoney]) -> list[SavedMoney]:
    """Return the sum for each currency, by its code.

    Half widths add up, which is wide enough however the days of services go together; one that is
    not known leaves the sum without.

    >>> in_all([SavedMoney("EUR", 5.0, 1.0), SavedMoney("EUR", -2.0, 2.0)])
    [SavedMoney(currency='EUR', amount=3.0, half=3.0)]
    """
    found = []
    for currency in sorted({one.currency for one in parts}):
        of_it = [one for one in parts if one.currency == currency]
        halves = [one.half for one in of_it if one.half is not None]
        half = sum(halves) if len(halves) == len(of_it) else None
        found.append(SavedMoney(currency, sum(one.amount for one in of_it), half))
    return found
