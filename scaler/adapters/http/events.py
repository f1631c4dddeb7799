"""Server-sent events for the page: each tick as JSON, to every open stream.

``event: board`` holds a summary of each service, ``event: service`` everything about the service
that the client named. If there is no new tick a comment is sent, which detects a closed connection.

Source: WHATWG HTML, 9.2 "Server-sent events".
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from functools import partial

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from scaler.adapters.http.connections import MOST_STREAMS
from scaler.adapters.http.grants import EVERYTHING, AccessGrant
from scaler.adapters.http.middleware import CLOSE, PlainResponse, as_response, refusal
from scaler.adapters.http.problems import RETRY_AFTER_S, RequestProblem
from scaler.adapters.http.snapshot_holder import SnapshotHolder
from scaler.adapters.http.views import service_view, snapshot_view
from scaler.control.snapshot import Snapshot

KEEP_ALIVE_S = 15.0
# The shortest time between two events: a page that is too slow skips ticks.
MIN_INTERVAL_S = 0.25


class EventStream:
    """Sends every tick to every open stream. Confined to the server's event loop.

    What several streams show is rendered once.

    Args:
        holder: of the ticks.
        most: streams at once.
    """

    def __init__(self, holder: SnapshotHolder, most: int = MOST_STREAMS) -> None:
        self._holder, self._most = holder, most
        self._ticked = asyncio.Event()
        self._closed = False
        self._rendered: tuple[Snapshot | None, dict[object, bytes]] = None, {}
        self.open_streams = 0

    def tick(self) -> None:
        """Wake all streams: there is a new snapshot."""
        self._ticked.set()
        self._ticked = asyncio.Event()

    def close(self) -> None:
        self._closed = True
        self._ticked.set()

    def response(self, service: str | None, grant: AccessGrant) -> Response:
        """Return the response that is a stream of events; 503 where one more would be too many."""
        return _Followed(self, self.events(service, grant))

    def refusal(self) -> PlainResponse | None:
        """Return the answer where no more stream fits; None where one does."""
        if self.open_streams < self._most:
            return None
        detail = f"{self._most} pages are followed already; no more fit"
        answer = refusal(RequestProblem(503, detail, RETRY_AFTER_S))
        return replace(answer, headers=[*answer.headers, CLOSE])  # for somebody else to have it

    async def events(
        self, service: str | None, grant: AccessGrant = EVERYTHING
    ) -> AsyncIterator[bytes]:
        """Yield the events of one stream, the latest tick at once: of what the grant reaches."""
        if service is not None and not grant.reaches(service):
            service = None
        sent: Snapshot | None = None
        yield b"retry: 2000\n\n"
        while not self._closed:
            ticked, held = self._ticked, self._holder.latest()
            if held is not None and held.snapshot is not sent:
                sent = held.snapshot
                for event in self._events_of(sent, service, grant):
                    yield event
                await asyncio.sleep(MIN_INTERVAL_S)
            try:
                async with asyncio.timeout(KEEP_ALIVE_S):
                    await ticked.wait()
            except TimeoutError:
                yield b": nothing new\n\n"

    def _events_of(
        self, snapshot: Snapshot, service: str | None, grant: AccessGrant
    ) -> Iterator[bytes]:
        def board() -> object:
            return snapshot_view(snapshot, grant.reaches)

        yield self._once(snapshot, "board", grant.namespaces, board)
        view = snapshot.services.get(service) if service else None
        if view is not None:
            yield self._once(snapshot, "service", service, partial(service_view, view))

    def _once(
        self, snapshot: Snapshot, name: str, of: object, render: Callable[[], object]
    ) -> bytes:
        """Return the event with this name of a snapshot, which is rendered for the first stream."""
        if self._rendered[0] is not snapshot:
            self._rendered = snapshot, {}
        events = self._rendered[1]
        if (name, of) not in events:
            events[name, of] = _event(name, snapshot.tick, json.dumps(render()))
        return events[name, of]


class _Followed(StreamingResponse):
    """The events of one stream; it counts from the moment when it begins to be sent."""

    def __init__(self, stream: EventStream, events: AsyncIterator[bytes]) -> None:
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        super().__init__(events, headers=headers, media_type="text/event-stream")
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = self._stream.refusal()
        if refused is not None:
            await as_response(refused)(scope, receive, send)
            return
        self._stream.open_streams += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._stream.open_streams -= 1


def _event(name: str, number: int, data: str) -> bytes:
    return f"event: {name}\nid: {number}\ndata: {data}\n\n".encode()
