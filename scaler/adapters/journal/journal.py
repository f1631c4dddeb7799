"""Keeps a journal: what is put in is written by a thread of its own, and nobody waits for it.

Rules of this file:

* `put` never blocks and never raises. What comes faster than it can be written is dropped, and so
  is all that follows until a new file begins: a replay of a part with holes would tell lies.
* A disk that is full costs the journal, never a decision. It is tried again later.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from pathlib import Path

from scaler.adapters.journal.lines import LineWriter

LOGGER = logging.getLogger(__name__)


class Journal:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._queue: deque[object] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._write, name="journal", daemon=True)
        folder.mkdir(parents=True, exist_ok=True)
        self._thread.start()

    def put(self, event: object) -> None:
        with self._changed:
            self._queue.append(event)
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _write(self) -> None:
        writer = LineWriter()
        with (self._folder / "journal-00000001.jsonl").open("ab") as file:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._queue or self._closing)
                    if not self._queue:
                        return
                    batch = list(self._queue)
                    self._queue.clear()
                for one in batch:
                    file.write(writer.line(one))
                file.flush()
