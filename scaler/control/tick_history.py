"""What a service's last ticks were like, for the page."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from scaler.control.snapshot import RecentTicks

# Ticks that the page can show: four hours of the default one.
REMEMBERED = 960
_ROOM = REMEMBERED * 5 // 4


class TickHistory:
    """The last ticks, row by row; what it has shown is never written over."""

    def __init__(self) -> None:
        # Of a thousand services, the memory counts; only stamps need all the digits. It is filled,
        # so that it is taken at once, and does not grow for hours.
        self._stamps = np.full(_ROOM, np.nan)
        self._rows = np.full((_ROOM, len(fields(RecentTicks)) - 1), np.nan, dtype=np.float32)
        self._end = 0

    def append(self, stamp: float, row: tuple[float, ...]) -> None:
        """Remember a tick: when it was, and the other fields of `RecentTicks` in their order."""
        if self._end == _ROOM:
            # Into new arrays: a board that was published still looks at the old ones.
            self._end = REMEMBERED - 1
            stamps, rows = np.empty_like(self._stamps), np.empty_like(self._rows)
            stamps[: self._end] = self._stamps[-self._end :]
            rows[: self._end] = self._rows[-self._end :]
            self._stamps, self._rows = stamps, rows
        self._stamps[self._end] = stamp
        self._rows[self._end] = row
        self._end += 1

    def rebase(self, set_by_s: float) -> None:
        """Show the ticks as long ago as they were, by a wall clock that has been set."""
        self._stamps = self._stamps + set_by_s  # anew: what was shown is looked at still

    def shown(self) -> RecentTicks:
        """Return the last ticks."""
        last = slice(max(self._end - REMEMBERED, 0), self._end)
        return RecentTicks(self._stamps[last], *self._rows[last].T)
