"""Server-sent events for the page: each tick as JSON, as long as somebody looks.

``event: board`` has one line for each service; ``event: service`` all of the one that was asked
for. A comment is sent when there is nothing new, so that a client that has gone is noticed.

Source: WHATWG HTML, 9.2 "Server-sent events".
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from scaler.adapters.http.snapshot_holder import SnapshotHolder
from scaler.adapters.http.views import snapshot_view, whole
from scaler.control.snapshot import Snapshot

KEEP_ALIVE_S = 15.0
# A page that cannot follow is sent the latest tick, not all that it has missed.
LEAST_S = 0.25


class EventStream:
    """Tells every page of every tick. Confined to the server's event loop."""

    def __init__(self, holder: SnapshotHolder) -> None:
        self._holder = holder
        self._ticked = asyncio.Event()
        self._closed = False
        self._rendered: tuple[Snapshot, bytes] | None = None
        self.watching = 0

    def tick(self) -> None:
        """Wake all pages: there is a new board."""
        self._ticked.set()
        self._ticked = asyncio.Event()

    def close(self) -> None:
        self._closed = True
        self._ticked.set()

    async def events(self, service: str | None) -> AsyncIterator[bytes]:
        """Return the events for one page, the latest tick at once."""
        seen: Snapshot | None = None
        self.watching += 1
        try:
            yield b"retry: 2000\n\n"
            while not self._closed:
                ticked, posted = self._ticked, self._holder.latest()
                if posted is not None and posted.snapshot is not seen:
                    seen = posted.snapshot
                    yield self._board_event(seen)
                    view = seen.services.get(service) if service else None
                    if view is not None:
                        yield _event("service", seen.tick, json.dumps(whole(view)))
                    await asyncio.sleep(LEAST_S)
                try:
                    async with asyncio.timeout(KEEP_ALIVE_S):
                        await ticked.wait()
                except TimeoutError:
                    yield b": nothing new\n\n"
        finally:
            self.watching -= 1

    def _board_event(self, snapshot: Snapshot) -> bytes:
        if self._rendered is None or self._rendered[0] is not snapshot:
            event = _event("board", snapshot.tick, json.dumps(snapshot_view(snapshot)))
            self._rendered = snapshot, event
        return self._rendered[1]


def _event(name: str, number: int, data: str) -> bytes:
    return f"event: {name}\nid: {number}\ndata: {data}\n\n".encode()
