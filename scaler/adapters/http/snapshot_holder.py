"""The latest snapshot, handed from the control loop's thread to whoever serves it.

It is safe to use from any thread.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from scaler.control.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class HeldSnapshot:
    """A snapshot, and when its tick began in monotonic seconds."""

    snapshot: Snapshot
    began_at: float

    def age_s(self, now: float) -> float:
        return max(0.0, now - self.began_at)


class SnapshotHolder:
    """Hands snapshots from the control loop's thread to the server's.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._latest: HeldSnapshot | None = None
        self._lock = threading.Lock()
        self._listeners: dict[Callable[[], None], asyncio.AbstractEventLoop] = {}

    def publish(self, snapshot: Snapshot) -> None:
        """Make a snapshot the latest one and wake the listeners. Call it from any thread."""
        # The snapshot shows the cluster as it was when the tick began.
        held = HeldSnapshot(snapshot, self.clock() - snapshot.seconds)
        with self._lock:
            self._latest = held
            listeners = list(self._listeners.items())
        for listener, loop in listeners:
            try:
                loop.call_soon_threadsafe(listener)
            except RuntimeError:  # its event loop has been closed meanwhile
                self.unsubscribe(listener)

    def latest(self) -> HeldSnapshot | None:
        """Return the latest snapshot; None before the first tick."""
        return self._latest

    def is_fresh(self, stale_after_s: float) -> bool:
        """Whether the last tick began less than ``stale_after_s`` seconds ago."""
        held = self._latest
        return held is not None and held.age_s(self.clock()) < stale_after_s

    def leads(self, stale_after_s: float) -> bool:
        """Whether the snapshot is fresh and this replica is the leader, which hands out limits."""
        held = self._latest
        return held is not None and held.snapshot.leader and self.is_fresh(stale_after_s)

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` on the running event loop after each tick."""
        with self._lock:
            self._listeners[listener] = asyncio.get_running_loop()

    def unsubscribe(self, listener: Callable[[], None]) -> None:
        with self._lock:
            self._listeners.pop(listener, None)
