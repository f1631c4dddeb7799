"""HTTP/1.1 with a time limit for request headers, against clients that send them slowly.

uvicorn limits the time that a connection is idle between two requests, but neither the time from
the first byte of a request to the end of its headers, nor that until the first request.
"""

from __future__ import annotations

import asyncio
from asyncio import Transport

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S = 5.0


class HeaderTimeoutProtocol(H11Protocol):
    """Closes a connection on which the headers of a request take longer than `HEAD_S`."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_timer()

    def data_received(self, data: bytes) -> None:
        if self._timer is None and self._between_requests():
            self._start_timer()
        super().data_received(data)
        if not self._between_requests():
            self._stop_timer()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        # The beginning of the next request may have arrived together with this one.
        if self._between_requests() and self.conn.trailing_data[0] and self._timer is None:
            self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def _between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(HEAD_S, self._abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _abort(self) -> None:
        self._timer = None
        if self._between_requests():
            self.transport.abort()
