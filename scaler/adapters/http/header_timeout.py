"""HTTP/1.1 with patience for no more than so long: who sends a request drop by drop is cut off.

uvicorn has a time limit for idle connections between two requests, but none from the first byte of
a request to the end of its head, nor for a connection on which nothing ever comes.
"""

from __future__ import annotations

import asyncio
from asyncio import Transport

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S = 5.0


class HeaderTimeoutProtocol(H11Protocol):
    """Closes a connection whose next request has not come whole within `HEAD_S`."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        if self._deadline is None and self._between_requests():
            self._await_head()
        super().data_received(data)
        if not self._between_requests():
            self._head_has_come()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        # The beginning of the next request may have come together with the one before.
        if self._between_requests() and self.conn.trailing_data[0] and self._deadline is None:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_has_come()
        super().connection_lost(exc)

    def _between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _await_head(self) -> None:
        self._deadline = self.loop.call_later(HEAD_S, self._give_up)

    def _head_has_come(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if self._between_requests():
            self.transport.abort()
