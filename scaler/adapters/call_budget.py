"""The budget of one tick's calls to one server, which ends once the server no longer replies.

A server that is down or slow costs each call its time-out. For a thousand calls, a few at a time,
that is minutes: ticks would not end, limits would not be renewed, and a stop would take long.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from scaler.clocks.steady import steady_seconds


class CallBudget:
    """The calls of one tick to one server. Safe to use from several threads.

    Args:
        max_failures: after so many calls in a row without a reply, no more calls are made.
        budget_s: after so many seconds no more calls are made, even if the server replies.
        stopping: set when the process is to end; no more calls are made then.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        max_failures: int,
        budget_s: float,
        stopping: threading.Event,
        clock: Callable[[], float] = steady_seconds,
    ) -> None:
        self._max_failures, self._budget_s, self._stopping = max_failures, budget_s, stopping
        self._clock, self._began = clock, clock()
        self._lock = threading.Lock()
        self._failures, self._last_error = 0, ""

    def exhausted(self) -> str | None:
        """Return why no more calls are to be made; None while they may be made."""
        if self._stopping.is_set():
            return "not asked, for the scaler is being stopped"
        with self._lock:
            if self._failures >= self._max_failures:
                return f"not asked, for {self._failures} in a row had no answer: {self._last_error}"
        if self._clock() - self._began > self._budget_s:
            return f"not asked, for the others took {self._budget_s:g} s"
        return None

    def replied(self) -> None:
        """Count a reply of the server; a refusal is a reply, too."""
        with self._lock:
            self._failures = 0

    def unanswered(self, error: str) -> None:
        """Count a call to which the server did not reply."""
        with self._lock:
            self._failures, self._last_error = self._failures + 1, error
