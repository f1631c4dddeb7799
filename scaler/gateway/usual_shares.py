"""The usual shares of a gateway's requests: of newcomers by hour of the day, and of each class.

They are moving means over windows in which all requests fitted the limit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from scaler.gateway.fair_levels import Usual

# Of newcomers, until it was seen; and at most, as whoever uses many names may well be one client.
NEWCOMERS, MAX_NEWCOMERS = 0.1, 0.5
# At first all clients are newcomers.
SETTLED_S = 120.0
WINDOW_WEIGHT = 0.02


class UsualShares:
    """What is learned of them; time is monotonic seconds."""

    def __init__(self) -> None:
        self._newcomers: dict[int, float] = {}  # by hour
        self._classes: dict[str, float] = {}
        self._began_at = math.inf

    def at(self, now: float) -> Usual:
        """Return what is usual at this hour."""
        return Usual(self._newcomers.get(_hour(now), NEWCOMERS), self._classes)

    def learn(self, newcomers: float, classes: Mapping[str, float], now: float) -> None:
        """Take in a window: requests of newcomers, and of all clients by class."""
        self._began_at = min(self._began_at, now)
        total = sum(classes.values())
        if not total or now - self._began_at < SETTLED_S:
            return
        share, hour = min(newcomers / total, MAX_NEWCOMERS), _hour(now)
        self._newcomers[hour] = _moved(self._newcomers.get(hour, share), share)
        for name, requests in classes.items():
            share = requests / total
            self._classes[name] = _moved(self._classes.get(name, share), share)


def _moved(mean: float, newest: float) -> float:
    return mean + WINDOW_WEIGHT * (newest - mean)


def _hour(now: float) -> int:
    """Return the hour of a day that began with the clock: alike at the same time of any day."""
    return int(now // 3600) % 24
