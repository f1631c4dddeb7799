"""Days of UTC, counted since the epoch."""

from __future__ import annotations

DAY_S = 86_400.0


def day_of(moment: float) -> int:
    """Return the day of a moment, which is given in seconds since the epoch.

    >>> day_of(2 * DAY_S - 1), day_of(2 * DAY_S)
    (1, 2)
    """
    return int(moment // DAY_S)
