"""Keeps a journal: what is put in is written by a thread of its own, and nobody waits for it.

Rules of this file:

* `put` never blocks, and what fails within `recording` fails nobody else. What comes faster than it
  can be written is dropped, and so is all that follows until the next file begins: a replay of a
  part with holes would tell lies.
* A disk that is full costs the journal, never a decision; it is tried again later.
* A file begins between two ticks, with what the loop remembers then.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from scaler.adapters.journal.events import Dropped, JournalHead, LoopRemembers
from scaler.adapters.journal.files import JournalFiles
from scaler.adapters.journal.lines import LineWriter
from scaler.clocks.steady import steady_seconds
from scaler.control.memory import LoopMemory

LOGGER = logging.getLogger(__name__)

# What may wait to be written, in `put`'s units of about a kilobyte: it is all in memory.
MOST_WAITING = 64_000
# Events are written so long after they happened: a process that is killed loses that much.
REST_S = 0.1
# A disk that was full is tried again after so long.
RETRY_S = 30.0


@dataclass(frozen=True, slots=True)
class _Begin:
    """The next file begins here; ``dropped`` events before it were not kept."""

    head: JournalHead
    dropped: int


class Journal:
    """Safe to use from any thread, but that `due` and `begin` are the loop's.

    Args:
        files: that are written.
        clock: monotonic seconds.
        most_waiting: what may wait to be written; rest_s: for how long it waits at least.
    """

    def __init__(
        self,
        files: JournalFiles,
        clock: Callable[[], float] = steady_seconds,
        most_waiting: int = MOST_WAITING,
        rest_s: float = REST_S,
    ) -> None:
        self._files, self._clock, self._most_waiting = files, clock, most_waiting
        self._rest_s = rest_s
        self._queue: deque[tuple[object, int]] = deque()
        self._waiting = 0  # units in the queue, and in the batch that is being written
        self._dropped, self._dropped_ever = 0, 0
        self._open = False  # a file has been begun, and nothing is missing from it
        self._tried_at = -math.inf
        self._complained = False
        self.first_tick: int | None = None  # of the file that is open
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def put(self, event: object, units: int = 1) -> None:
        """Have an event written; nothing is waited for."""
        with self._changed:
            if self._open and self._waiting + units > self._most_waiting:
                self._open, self.first_tick = False, None
                LOGGER.warning("the journal has a gap: the disk is slower than what is recorded")
            if not self._open:
                self._dropped += 1
                self._dropped_ever += 1
            else:
                self._waiting += units
                if not self._queue:
                    self._changed.notify()
                self._queue.append((event, units))

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Have what fails inside cost the journal, not the caller."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - it is told
            self._fail(error)

    @property
    def waiting(self) -> int:
        """What is not written yet, in `put`'s units; 1 for the beginning of a file."""
        return self._waiting

    def health(self) -> tuple[bool, int]:
        """Return whether it is written now, and how many events it lacks."""
        return self._open, self._dropped_ever

    def due(self) -> bool:
        """Whether a file is to begin before the next tick."""
        with self._changed:
            if self._open:
                return self._files.full
            rested = self._clock() - self._tried_at >= RETRY_S
            return rested and self._waiting <= self._most_waiting // 2

    def begin(self, head: JournalHead, memory: LoopMemory) -> None:
        """Begin a file between two ticks; `memory` is the loop's."""
        with self._changed:
            self._tried_at = self._clock()
            self._waiting += 2
            self._queue.append((_Begin(head, self._dropped), 1))
            self._queue.append((LoopRemembers(memory), 1))
            self._open, self.first_tick, self._dropped = True, head.first_tick, 0
            self._changed.notify()

    def close(self) -> None:
        """Write what is waiting, and stop."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        writer: LineWriter | None = None
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closing)
                # What follows at once, as in a tick, is left to run first.
                self._changed.wait_for(lambda: self._closing, self._rest_s)
                batch, done = list(self._queue), self._closing and not self._queue
                self._queue.clear()
            if done:
                break
            for event, units in batch:
                writer = self._written(event, writer)
                with self._changed:
                    self._waiting -= units
        self._files.end(self._gap(self._dropped))
        self._files.close()

    def _written(self, event: object, writer: LineWriter | None) -> LineWriter | None:
        """Write an event; return what writes the next one, None where none can be written."""
        try:
            if isinstance(event, _Begin):
                self._complained &= writer is None  # the file before was written to its end
                self._files.begin(self._gap(event.dropped))
                writer = LineWriter()
                event = event.head
            if writer is not None:
                self._files.write(writer.line(event))
                if isinstance(event, LoopRemembers):
                    self._files.begun()
            elif not isinstance(event, LoopRemembers):
                self._dropped_ever += 1  # it came before the failure was known
        except Exception as error:  # noqa: BLE001 - decisions go on whatever becomes of it
            writer = None
            self._fail(error)
            self._files.give_up(error)
        return writer

    def _fail(self, error: Exception) -> None:
        """Drop what follows until the next file; log why, once until something is written again."""
        with self._changed:
            self._open, self.first_tick = False, None
        if not self._complained:
            trace = not isinstance(error, OSError)
            LOGGER.warning("no journal is written: %s", error, exc_info=trace)
        self._complained = True

    @staticmethod
    def _gap(dropped: int) -> bytes:
        return LineWriter().line(Dropped(dropped)) if dropped else b""
