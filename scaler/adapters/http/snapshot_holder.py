"""What the loop published last, for whoever serves it. Safe to use from any thread."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from scaler.control.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class HeldSnapshot:
    """A board, and when what it says was true, in monotonic seconds."""

    snapshot: Snapshot
    since: float

    def age_s(self, now: float) -> float:
        return max(0.0, now - self.since)


class SnapshotHolder:
    """Hands boards from the loop's thread to the server's.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._posted: HeldSnapshot | None = None
        self._lock = threading.Lock()
        self._listeners: dict[Callable[[], None], asyncio.AbstractEventLoop] = {}

    def publish(self, snapshot: Snapshot) -> None:
        """Make a board the latest one and wake who listens. Call it from any thread."""
        # The board shows the world as it was when the tick began.
        posted = HeldSnapshot(snapshot, self.clock() - snapshot.seconds)
        with self._lock:
            self._posted = posted
            listeners = list(self._listeners.items())
        for listener, loop in listeners:
            try:
                loop.call_soon_threadsafe(listener)
            except RuntimeError:  # its event loop has been closed meanwhile
                self.forget(listener)

    def latest(self) -> HeldSnapshot | None:
        """Return the latest board; None before the first tick."""
        return self._posted

    def is_fresh(self, stale_after_s: float) -> bool:
        """Whether a tick was published of late."""
        posted = self._posted
        return posted is not None and posted.age_s(self.clock()) < stale_after_s

    def leads(self, stale_after_s: float) -> bool:
        """Whether that tick says that it is for this replica to hand out limits."""
        posted = self._posted
        return posted is not None and posted.snapshot.leader and self.is_fresh(stale_after_s)

    def listen(self, listener: Callable[[], None]) -> None:
        """Have ``listener`` called on the running event loop after each tick."""
        with self._lock:
            self._listeners[listener] = asyncio.get_running_loop()

    def forget(self, listener: Callable[[], None]) -> None:
        with self._lock:
            self._listeners.pop(listener, None)
