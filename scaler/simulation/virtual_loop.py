"""An event loop on virtual time: what waits for seconds passes at once, in the same order."""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Callable, Mapping
from typing import Any


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs up to a moment that it is given; time is in seconds and never goes back.

    Attributes:
        due: when there is something to do again; inf: never.

    Args:
        start: of its time.
    """

    def __init__(self, start: float = 0.0) -> None:
        self._virtual_now, self._until = start, start
        self.due = math.inf
        super().__init__(_IdleSelector(self._idle))

    def time(self) -> float:
        return self._virtual_now

    def run_up_to(self, until: float) -> None:
        """Carry out all that is due up to a moment, which then is now."""
        if until < self._virtual_now:
            raise ValueError(f"until is {until}, but it is {self._virtual_now} already")
        self._until = until
        self.run_forever()

    def end(self) -> None:
        """Cancel all tasks, and close."""
        tasks = asyncio.all_tasks(self)
        for task in tasks:
            task.cancel()
        if tasks:
            self.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self.close()

    def _idle(self, timeout: float | None) -> None:
        """Go on to what is due next, or stop where that is too late."""
        due = math.inf if timeout is None else self._virtual_now + timeout
        if due <= self._until:
            self._virtual_now = due
            return
        self._virtual_now, self.due = self._until, due
        self.stop()


class _IdleSelector(selectors.BaseSelector):
    """Says when there is nothing to do but to wait.

    Args:
        idle: called with the seconds until something is due; None: nothing ever is.
    """

    def __init__(self, idle: Callable[[float | None], None]) -> None:
        self._idle, self._files = idle, selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._files.select(0)  # who wakes the loop from another thread writes to it
        if not ready and timeout != 0:
            self._idle(timeout)
        return ready

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:  # noqa: ANN401 - as its base
        return self._files.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:  # noqa: ANN401 - as its base
        return self._files.unregister(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._files.get_map()

    def close(self) -> None:
        self._files.close()
