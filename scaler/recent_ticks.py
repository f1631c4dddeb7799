"""What a service's last ticks were like, for the page."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from scaler.published import Recent

# Ticks that the page can show: four hours of the default one.
REMEMBERED = 960


class RecentTicks:
    """The last ticks, row by row; what it has shown is never written over."""

    def __init__(self) -> None:
        self._rows = np.empty((REMEMBERED * 5 // 4, len(fields(Recent))))
        self._end = 0

    def append(self, row: tuple[float, ...]) -> None:
        if self._end == len(self._rows):
            # Into a new array: a board that was published still looks at the old one.
            rows = np.empty_like(self._rows)
            self._end = REMEMBERED - 1
            rows[: self._end] = self._rows[-self._end :]
            self._rows = rows
        self._rows[self._end] = row
        self._end += 1

    def shown(self) -> Recent:
        """Return the last ticks."""
        return Recent(*self._rows[max(self._end - REMEMBERED, 0) : self._end].T)
