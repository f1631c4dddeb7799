"""Whether a minute of the hour is covered far below its level, as where a scheduled job runs.

A job that is missed in every hour hides in a day that is covered as promised: one minute is a
sixtieth of the moments.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import bdtr

# Of a warning about items of which every minute is covered as it should be.
FALSE_ALARM = 0.01


@dataclass(frozen=True)
class MinuteCoverage:
    """One minute of the hour: the share of moments below the level, and in how many hours."""

    minute: int
    covered: float
    hours: int

    def chance(self, level: float) -> float:
        """Return how likely so few hours or fewer are covered where each is by ``level``.

        The moment of an hour is forecast from several origins; it counts once, as the binomial
        distribution asks for.

        >>> MinuteCoverage(17, 1 / 3, 3).chance(0.5)
        0.5
        """
        return float(bdtr(round(self.covered * self.hours), self.hours, level))


def worst_minute(
    covered: Sequence[float], hours: Sequence[int], level: float
) -> MinuteCoverage | None:
    """Return the minute that is covered least, for how often it was seen; None if none was."""
    seen = [
        MinuteCoverage(minute, share, count)
        for minute, (share, count) in enumerate(zip(covered, hours, strict=True))
        if count and math.isfinite(share)
    ]
    return min(seen, key=lambda one: (one.chance(level), one.covered), default=None)
