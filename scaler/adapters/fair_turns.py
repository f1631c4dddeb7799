"""Whose turn it is: the namespace whose calls have taken the least time so far.

Pure: moments are given. A call counts as if it took all the time that it may take until it ends,
so a namespace whose calls hang gets one turn where the others get many.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Answer = TypeVar("Answer")


@dataclass(frozen=True, eq=False, slots=True)
class Call(Generic[Answer]):
    """One call that is to be made.

    Attributes:
        key: tells it from others, the same in each tick.
        namespace: whose share of the time it takes.
        ask: makes it within so many seconds.
    """

    key: Hashable
    namespace: str
    ask: Callable[[float], Answer]


@dataclass(slots=True)
class _Account:
    """What a namespace waits for, has running, and has been charged in seconds."""

    waiting: deque[Any]
    running: int = 0
    charged_s: float = 0.0


class FairTurns(Generic[Answer]):
    """Calls in line.

    Args:
        share: of a namespace: the most of its calls that run at once.
    """

    def __init__(self, share: int) -> None:
        self._share = share
        self._accounts: dict[str, _Account] = {}
        self._line: list[tuple[float, int, str]] = []  # the least charged first; some are outdated
        self._count = 0  # the longest in line first, among equals
        self.waiting = 0

    def add(self, calls: Iterable[Call[Answer]]) -> None:
        for call in calls:
            account = self._accounts.setdefault(call.namespace, _Account(deque()))
            account.waiting.append(call)
            self.waiting += 1
            if len(account.waiting) == 1:
                self._stand(call.namespace)

    def take(self, within_s: float) -> Call[Answer] | None:
        """Return the call whose turn it is, which may take so long; None: there is none now."""
        while self._line:
            charged_s, _, namespace = heapq.heappop(self._line)
            account = self._accounts.get(namespace)
            if account is None or charged_s != account.charged_s:  # outdated
                continue
            if not account.waiting or account.running >= self._share:
                continue
            call: Call[Answer] = account.waiting.popleft()
            account.running += 1
            account.charged_s += within_s
            self.waiting -= 1
            self._stand(namespace)
            return call
        return None

    def ended(self, call: Call[Answer], within_s: float, took_s: float) -> None:
        """Take back what the call was charged, but for what it took."""
        account = self._accounts[call.namespace]
        account.running -= 1
        account.charged_s -= within_s - took_s
        if account.waiting or account.running:
            self._stand(call.namespace)
        else:
            del self._accounts[call.namespace]

    def _stand(self, namespace: str) -> None:
        self._count += 1
        entry = (self._accounts[namespace].charged_s, self._count, namespace)
        heapq.heappush(self._line, entry)
