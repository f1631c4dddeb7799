"""What is remembered for a while, and then forgotten: what it was about may be gone."""

from __future__ import annotations

import threading
from itertools import takewhile
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class RecentValues(Generic[Key, Value]):
    """Values by key. Safe to use from several threads.

    Args:
        keep_s: for how long a value counts after it was put.
    """

    def __init__(self, keep_s: float) -> None:
        self._keep_s = keep_s
        self._put: dict[Key, tuple[float, Value]] = {}  # the oldest first
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._put)

    def get(self, key: Key, now: float) -> Value | None:
        """Return the value that counts at ``now``; None if there is none."""
        with self._lock:
            found = self._put.get(key)
        return found[1] if found is not None and self._counts(found[0], now) else None

    def put(self, key: Key, value: Value, now: float) -> None:
        """Put a value in the place of the one before, and forget those that count no more."""
        with self._lock:
            self._put.pop(key, None)
            self._put[key] = now, value
            old = takewhile(lambda one: not self._counts(one[1][0], now), self._put.items())
            for gone, _ in list(old):
                del self._put[gone]

    def _counts(self, at: float, now: float) -> bool:
        # By a clock that was set back, nothing was put later than now.
        return 0 <= now - at < self._keep_s
