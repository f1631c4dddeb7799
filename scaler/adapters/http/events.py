"""Server-sent events for the page: each tick as JSON, to every open stream.

``event: board`` holds a summary of each service, ``event: service`` everything about the service
that the client named. If there is no new tick a comment is sent, which detects a closed connection.

Source: WHATWG HTML, 9.2 "Server-sent events".
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from scaler.adapters.http.grants import EVERYTHING, AccessGrant
from scaler.adapters.http.snapshot_holder import SnapshotHolder
from scaler.adapters.http.views import service_view, snapshot_view
from scaler.control.snapshot import Snapshot

KEEP_ALIVE_S = 15.0
# The shortest time between two events: a page that is too slow skips ticks.
MIN_INTERVAL_S = 0.25


class EventStream:
    """Sends every tick to every open stream. Confined to the server's event loop."""

    def __init__(self, holder: SnapshotHolder) -> None:
        self._holder = holder
        self._ticked = asyncio.Event()
        self._closed = False
        self._rendered: tuple[Snapshot, bytes] | None = None
        self.open_streams = 0

    def tick(self) -> None:
        """Wake all streams: there is a new snapshot."""
        self._ticked.set()
        self._ticked = asyncio.Event()

    def close(self) -> None:
        self._closed = True
        self._ticked.set()

    async def events(
        self, service: str | None, grant: AccessGrant = EVERYTHING
    ) -> AsyncIterator[bytes]:
        """Yield the events of one stream, the latest tick at once: of what the grant reaches."""
        if service is not None and not grant.reaches(service):
            service = None
        sent: Snapshot | None = None
        self.open_streams += 1
        try:
            yield b"retry: 2000\n\n"
            while not self._closed:
                ticked, held = self._ticked, self._holder.latest()
                if held is not None and held.snapshot is not sent:
                    sent = held.snapshot
                    yield self._board_event(sent, grant)
                    view = sent.services.get(service) if service else None
                    if view is not None:
                        yield _event("service", sent.tick, json.dumps(service_view(view)))
                    await asyncio.sleep(MIN_INTERVAL_S)
                try:
                    async with asyncio.timeout(KEEP_ALIVE_S):
                        await ticked.wait()
                except TimeoutError:
                    yield b": nothing new\n\n"
        finally:
            self.open_streams -= 1

    def _board_event(self, snapshot: Snapshot, grant: AccessGrant) -> bytes:
        if grant.namespaces is not None:
            board = snapshot_view(snapshot, grant.reaches)
            return _event("board", snapshot.tick, json.dumps(board))
        if self._rendered is None or self._rendered[0] is not snapshot:
            event = _event("board", snapshot.tick, json.dumps(snapshot_view(snapshot)))
            self._rendered = snapshot, event
        return self._rendered[1]


def _event(name: str, number: int, data: str) -> bytes:
    return f"event: {name}\nid: {number}\ndata: {data}\n\n".encode()
