"""When a tick is: wall time, for what others have stamped, and by how much it has been set.

Samples, pods, forecasts and announced events carry wall time, so a tick is told it. How old
something of our own is must not depend on it: an hour that the clock is set forward would end every
hold at once, and an hour back would keep everything for an hour. So whoever remembers a moment
moves it along when the wall clock is set (`rebase`), and its age goes on as if nothing had
happened. A clock that is slewed needs none of this: it is followed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

# The wall clock was set, rather than slewed, if between two ticks it has gone by so much more or
# less than the other clock. NTP slews by less than 10 ms in a tick, and sets above 128 ms.
SET_S = 0.1
# Both clocks are read again where reading them took longer than this: the process was paused.
READING_S, READINGS = 0.01, 5


@dataclass(frozen=True, slots=True)
class TickTime:
    """When a tick begins.

    Attributes:
        now: seconds since the epoch, by the wall clock as it is set now.
        set_by_s: how far the wall clock has been set since the tick before; 0 where it was not.
    """

    now: float
    set_by_s: float = 0.0


class Timekeeper:
    """Reads the wall clock beside one that is never set. Confined to the loop's thread.

    Args:
        wall: seconds since the epoch.
        steady: seconds of a clock that is never set.
    """

    def __init__(self, wall: Callable[[], float], steady: Callable[[], float]) -> None:
        self._wall, self._steady = wall, steady
        self._last: tuple[float, float] | None = None  # wall and steady, of the tick before

    def read(self) -> TickTime:
        """Return the time of a tick that begins now; without a setting it never goes back."""
        wall, steady = self._both()
        last, self._last = self._last, (wall, steady)
        if last is None:
            return TickTime(wall)
        set_by_s = wall - last[0] - (steady - last[1])
        if abs(set_by_s) > SET_S:
            return TickTime(wall, set_by_s)
        now = max(wall, last[0])
        self._last = now, steady
        return TickTime(now)

    def _both(self) -> tuple[float, float]:
        for _ in range(READINGS):
            before = self._steady()
            wall = self._wall()
            steady = self._steady()
            if steady - before <= READING_S:
                break
        return wall, (before + steady) / 2
