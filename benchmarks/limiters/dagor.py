"""Overload control by priority, after DAGOR.

Source: H. Zhou et al., "Overload Control for Scaling WeChat Microservices", SoCC 2018
(arXiv:1806.04075): a request's level is its business priority and, within that, a hash of its user
that changes every hour. All up to a cursor pass. A window in which the mean time in the queue was
too long moves the cursor down, so that ``alpha`` fewer would have passed in it; any other window
moves it up, so that of all that arrived ``beta`` more would have.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.limiters.rivals import Arrivals, LimiterReport
from forecaster.data.series import FloatArray

_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class DagorSettings:
    """As published but for ``queueing_s``; the window is one second.

    Attributes:
        queueing_s: 20 ms there; here, where requests take 50 ms and may take 500, that would leave
            a tenth of the capacity unused.
        users: levels within one business priority.
    """

    queueing_s: float = 0.05
    alpha: float = 0.05
    beta: float = 0.01
    users: int = 128


def next_cursor(
    histogram: FloatArray, cursor: int, *, overloaded: bool, settings: DagorSettings
) -> int:
    """Return how many levels pass in the next window.

    Args:
        histogram: requests that arrived on each level, the most important first.
        cursor: how many levels passed.
        overloaded: whether requests waited too long.
        settings: how fast it moves.

    >>> next_cursor(np.full(100, 10.0), 100, overloaded=True, settings=DagorSettings())
    95
    >>> next_cursor(np.full(100, 10.0), 95, overloaded=False, settings=DagorSettings())
    96
    """
    passed = np.cumsum(histogram)
    admitted = float(passed[cursor - 1]) if cursor else 0.0
    if overloaded:
        expected = (1 - settings.alpha) * admitted
        return min(cursor, int(np.searchsorted(passed, expected + 1e-9, side="right")))
    expected = admitted + settings.beta * float(passed[-1])
    wanted = int(np.searchsorted(passed, expected - 1e-9)) + 1
    return min(max(cursor, wanted), len(histogram))


class Dagor:
    """The cursor, and who is on which level."""

    limit_qps = math.inf

    def __init__(self, name: str, settings: DagorSettings | None = None) -> None:
        self.name, self.wanted_qps = name, 0.0
        self._settings = settings or DagorSettings()
        self._cursor: int | None = None  # None: all pass
        self._hour = -1
        self._levels: npt.NDArray[np.int64] = np.zeros((0, 0), dtype=np.int64)
        self._histogram: FloatArray = np.zeros(0)

    def shares(self, arrivals: Arrivals) -> FloatArray:
        counts, users = arrivals.counts, self._settings.users
        hour = int(arrivals.now // _HOUR_S)
        if hour != self._hour:
            self._hour = hour
            user = user_priority(counts.shape[1], hour, users)
            self._levels = np.arange(len(counts))[:, None] * users + user
        most = len(counts) * users
        found = np.bincount(self._levels.ravel(), counts.ravel(), minlength=most)
        self._histogram = found.astype(np.float64)
        self.wanted_qps = float(counts.sum())
        cursor = most if self._cursor is None else self._cursor
        return (self._levels < cursor).astype(np.float64)

    def learn(self, report: LimiterReport) -> None:
        cursor = len(self._histogram) if self._cursor is None else self._cursor
        overloaded = report.queueing_s > self._settings.queueing_s
        self._cursor = next_cursor(
            self._histogram, cursor, overloaded=overloaded, settings=self._settings
        )


def user_priority(clients: int, hour: int, users: int) -> npt.NDArray[np.int64]:
    """Return each client's level in that hour: as good as random, and the same for all requests."""
    # Multiplicative hashing with the golden ratio (Knuth, The Art of Computer Programming, 6.4).
    mixed = (np.arange(clients, dtype=np.uint64) + np.uint64(7919 * (hour + 1))) * np.uint64(
        0x9E3779B97F4A7C15
    )
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    return ((mixed >> np.uint64(40)) % np.uint64(users)).astype(np.int64)
