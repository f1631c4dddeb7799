"""How long the pods of one service took to become Ready, each counted once.

Rules of this file:

* A pod is its UID. Its first readiness counts, never a later one: a pod that is Ready again after
  a blip, days after it was created, has not taken days to start.
* A pod that was there before we looked tells nothing, unless it is young and still starts; nor
  does one that was always there, which nobody has seen.
* Where we have not looked for a while, a pod that is new to us may be Ready for the second time.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence

from scaler.control.memory import StartUpsMemory
from scaler.control.observations import Pod
from scaler.decision.lead_time import MAX_LEAD_S

# Start-ups that the quantile is taken from: 19 make one at 0.95, a release replaces them all.
MOST = 100
# After a longer silence than this, pods that are new to us and Ready tell nothing.
SILENCE_S = 120.0


class StartUps:
    """Confined to the loop's thread.

    Args:
        times: that were observed before this process started, the latest last.
    """

    def __init__(self, times: Iterable[float] = ()) -> None:
        self._times: deque[float] = deque(times, maxlen=MOST)
        self._starting: set[str] = set()  # UIDs whose first readiness is waited for
        self._known: frozenset[str] = frozenset()
        self._looked_at = -math.inf
        self._latest: Sequence[Pod] | None = None

    @property
    def times(self) -> tuple[float, ...]:
        """Seconds from creation to first readiness, the latest last."""
        return tuple(self._times)

    def memory(self) -> StartUpsMemory:
        starting = frozenset(self._starting)
        return StartUpsMemory(self.times, starting, self._known, self._looked_at)

    def recall(self, memory: StartUpsMemory) -> None:
        self._times = deque(memory.times, maxlen=MOST)
        self._starting, self._known = set(memory.starting), memory.known
        self._looked_at, self._latest = memory.looked_at, None

    def rebase(self, set_by_s: float) -> None:
        """Go on under a wall clock that has been set by so much."""
        self._looked_at += set_by_s

    def observe(self, pods: Sequence[Pod], now: float) -> bool:
        """Take in the pods of a tick; return whether a start-up time has been added."""
        silent = now - self._looked_at > SILENCE_S
        self._looked_at = now
        if pods is self._latest:  # nothing has changed
            return False
        self._latest, added = pods, False
        for pod in pods:
            if pod.uid in self._starting:
                if pod.ready_at is not None:
                    self._starting.discard(pod.uid)
                    self._times.append(max(pod.ready_at - pod.created_at, 0.0))
                    added = True
            elif pod.uid not in self._known:
                if pod.ready_at is None:
                    if not silent or now - pod.created_at <= MAX_LEAD_S:
                        self._starting.add(pod.uid)
                elif not silent and pod.created_at > -math.inf:
                    self._times.append(max(pod.ready_at - pod.created_at, 0.0))
                    added = True
        self._known = frozenset([pod.uid for pod in pods])
        self._starting &= self._known
        return added
