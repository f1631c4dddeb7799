"""The latest snapshot, handed from the control loop's thread to whoever serves it.

It is safe to use from any thread.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from scaler.clocks.steady import steady_seconds
from scaler.control.reign import Reign, Tenure
from scaler.control.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class HeldSnapshot:
    """A snapshot, when its tick began in monotonic seconds, and whether we may act on it now.

    Attributes:
        reign: at the moment when this was handed out; None without an election.
    """

    snapshot: Snapshot
    began_at: float
    reign: Reign | None = None

    @property
    def tenure(self) -> Tenure:
        if self.reign is not None:
            return self.reign.tenure
        return Tenure.LEADS if self.snapshot.leader else Tenure.FOLLOWS

    def age_s(self, now: float) -> float:
        return max(0.0, now - self.began_at)


class SnapshotHolder:
    """Hands snapshots from the control loop's thread to the server's.

    Args:
        clock: monotonic seconds.
        reign: whether this replica may hand out limits at this instant; a tick is too old to say.
    """

    def __init__(
        self,
        clock: Callable[[], float] = steady_seconds,
        reign: Callable[[], Reign | None] = lambda: None,
    ) -> None:
        self.clock, self._reign = clock, reign
        self._latest: HeldSnapshot | None = None
        self._lock = threading.Lock()
        self._listeners: dict[Callable[[], None], asyncio.AbstractEventLoop] = {}

    def publish(self, snapshot: Snapshot) -> None:
        """Make a snapshot the latest one and wake the listeners. Call it from any thread."""
        # The snapshot shows the cluster as it was when the tick began.
        held = HeldSnapshot(snapshot, self.clock() - snapshot.seconds, self._reign())
        with self._lock:
            self._latest = held
            listeners = list(self._listeners.items())
        for listener, loop in listeners:
            try:
                loop.call_soon_threadsafe(listener)
            except RuntimeError:  # its event loop has been closed meanwhile
                self.unsubscribe(listener)

    def latest(self) -> HeldSnapshot | None:
        """Return the latest snapshot, with the reign of now; None before the first tick."""
        held = self._latest
        if held is None or (reign := self._reign()) == held.reign:
            return held
        return replace(held, reign=reign)

    def is_fresh(self, stale_after_s: float) -> bool:
        """Whether the last tick began less than ``stale_after_s`` seconds ago."""
        held = self._latest
        return held is not None and held.age_s(self.clock()) < stale_after_s

    def hands_out_limits(self, stale_after_s: float) -> bool:
        """Whether the snapshot is fresh and this replica may hand out limits."""
        held = self.latest()
        return held is not None and held.tenure.hands_out and self.is_fresh(stale_after_s)

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` on the running event loop after each tick."""
        with self._lock:
            self._listeners[listener] = asyncio.get_running_loop()

    def unsubscribe(self, listener: Callable[[], None]) -> None:
        with self._lock:
            self._listeners.pop(listener, None)
