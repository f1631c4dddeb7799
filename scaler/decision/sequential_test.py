"""An anytime-valid test of a bounded mean, by betting.

The null is that a unit's mean gain is at most 0. Each bet stakes a constant share of its wealth on
every unit: ``wealth *= 1 + bet * gain / bound``. Under the null that is a supermartingale, so by
Ville's inequality the mean of the wealths ever reaches ``1 / ALPHA`` with a probability of at most
`ALPHA`, however often it is looked at. The mixture of bets replaces knowing the best one.

A bet is constant on purpose: one that knew the hour of the day would win by the daily season alone.
And units must not depend on each other: hours of one day do, so a unit is a day
(`scaler.decision.earned_trust`; `python -m benchmarks trust` shows what hours would do).

Source: Waudby-Smith and Ramdas, 2024, "Estimating means of bounded random variables by betting",
Journal of the Royal Statistical Society, Series B, 86(1); Ville, 1939, "Etude critique de la notion
de collectif". With restarts: Shin, Ramdas and Rinaldo, 2024, "E-detectors: a nonparametric
framework for sequential change detection", the CUSUM kind.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

ALPHA = 0.05
# Shares of the bound that the bets stake. The first is ruined by a loss of all of the bound.
BETS = (1.0, 0.5, 0.25, 0.125)
# More says nothing more, and a number without end could not be kept.
_MOST = 1e12


@dataclass(frozen=True, slots=True)
class BettingTest:
    """The wealth of each of `BETS`; each began with 1.

    >>> test = BettingTest()
    >>> for _ in range(7):
    ...     test = test.after(0.8, bound=1.0)
    >>> round(test.wealth, 1), test.is_shown
    (19.3, False)
    >>> test.after(0.8, bound=1.0).is_shown
    True
    """

    wealths: tuple[float, ...] = (1.0,) * len(BETS)

    def __post_init__(self) -> None:
        if len(self.wealths) != len(BETS) or not all(0 <= w < math.inf for w in self.wealths):
            raise ValueError(
                f"wealths are {self.wealths}, but must be {len(BETS)} finite numbers >= 0"
            )

    @property
    def wealth(self) -> float:
        """The evidence against the null: 1 before any."""
        return statistics.fmean(self.wealths)

    @property
    def is_shown(self) -> bool:
        """Whether the null is rejected."""
        return self.wealth >= 1 / ALPHA

    def after(self, gain: float, bound: float, *, restarts: bool = False) -> BettingTest:
        """Return the test after one more unit.

        Args:
            gain: of the unit; NaN is no evidence.
            bound: no unit loses more; one that does ruins the largest bets, and the rest go on.
            restarts: whether a bet that has lost begins again, to find a change soon: then a false
                alarm is as rare as one in ``1 / ALPHA`` units, not one in ``1 / ALPHA`` services.
        """
        if math.isnan(gain):
            return self
        least = 1.0 if restarts else 0.0
        return BettingTest(
            tuple(
                min(max(wealth, least) * max(1 + bet * gain / bound, 0.0), _MOST)
                for wealth, bet in zip(self.wealths, BETS, strict=True)
            )
        )
