"""How much of the demand of many clients fits under a level that none of them may exceed.

A client's requests within a window are numbered 1, 2, 3, ... Where each client is admitted ``m``
requests of a window, those numbered up to ``m`` are admitted. So the number of requests at each
ordinal says what any level comes to, and the max-min fair level of a capacity is found without a
look at the clients: there may be any number of them, and each request costs one addition.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable

# Highest ordinal of each cell: 1 to 16, then in steps of an eighth. Within a cell the requests are
# taken as evenly spread.
_TOPS = list(range(1, 17))
while _TOPS[-1] < 10**7:
    _TOPS.append(_TOPS[-1] + _TOPS[-1] // 8)
_SINGLE = 16


class DemandCurve:
    """The requests of one window by their ordinal within their client's requests.

    >>> curve = DemandCurve()
    >>> for ordinal in (1, 2, 3, 1):  # a client with three requests, and one with one
    ...     curve.add(ordinal)
    >>> curve.within(2), curve.level(3)
    (3.0, 2.0)
    """

    def __init__(self) -> None:
        self._counts = [0.0] * len(_TOPS)
        self.total = 0.0

    def add(self, ordinal: int, hits: int = 1, times: int = 1) -> None:
        """Count ``hits`` requests that are their client's last ones, up to ``ordinal``.

        With ``times`` -1 they are taken out again.
        """
        self.total += hits * times
        while hits > 0:
            cell = ordinal - 1 if ordinal <= _SINGLE else bisect_left(_TOPS, ordinal)
            cell = min(cell, len(_TOPS) - 1)
            below = _TOPS[cell - 1] if cell else 0
            part = min(hits, ordinal - below)
            self._counts[cell] += part * times
            ordinal, hits = ordinal - part, hits - part

    def within(self, level: float) -> float:
        """Return how many requests are admitted where each client has ``level`` of them."""
        if level == math.inf:
            return self.total
        found, below = 0.0, 0
        for top, count in zip(_TOPS, self._counts, strict=True):
            if level < top:
                return found + count * max(0.0, level - below) / (top - below)
            found, below = found + count, top
        return found

    def level(self, capacity: float) -> float:
        """Return the requests of each client at which ``capacity`` of them are admitted.

        It is inf where all fit. Below 1 it is the share of the clients that are admitted one.
        """
        if self.total <= capacity:
            return math.inf
        left, below = capacity, 0
        for top, count in zip(_TOPS, self._counts, strict=True):
            if count > left:
                return below + (top - below) * left / count
            left, below = left - count, top
        return float(below)

    @classmethod
    def merged(cls, curves: Iterable[DemandCurve]) -> DemandCurve:
        """Return the curve of the clients of all these."""
        found = cls()
        for one in curves:
            found._counts = [a + b for a, b in zip(found._counts, one._counts, strict=True)]
            found.total += one.total
        return found
