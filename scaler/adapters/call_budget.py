"""Many questions to one server in one tick, given up once it is plain that it does not answer.

A server that is down or slow costs each question its time-out, and a thousand of them, a few at
once, minutes: no tick would come to its end, no limit be renewed, no stop be swift.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class CallBudget:
    """One tick's questions. Safe to use from several threads.

    Args:
        at_once: so many in a row without an answer, and nobody asks on.
        budget_s: after which nobody asks on either, though answers come.
        stopping: is set when the process is to end: what has not been begun is not begun.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        at_once: int,
        budget_s: float,
        stopping: threading.Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._at_once, self._budget_s, self._stopping = at_once, budget_s, stopping
        self._clock, self._began = clock, clock()
        self._lock = threading.Lock()
        self._in_vain, self._said = 0, ""

    def over(self) -> str | None:
        """Return why nobody is to ask any more; None while they may."""
        if self._stopping.is_set():
            return "not asked, for the scaler is being stopped"
        with self._lock:
            if self._in_vain >= self._at_once:
                return f"not asked, for {self._in_vain} in a row had no answer: {self._said}"
        if self._clock() - self._began > self._budget_s:
            return f"not asked, for the others took {self._budget_s:g} s"
        return None

    def answered(self) -> None:
        """Note an answer, be it a refusal."""
        with self._lock:
            self._in_vain = 0

    def in_vain(self, said: str) -> None:
        """Note that no answer came."""
        with self._lock:
            self._in_vain, self._said = self._in_vain + 1, said
