"""Tells the application by which names a client's certificate was verified, and who is a stranger.

ASGI's TLS extension would tell the names, but uvicorn has not implemented it. A connection's
certificate does not change, so it is read once.
"""

from __future__ import annotations

from asyncio import Transport

from scaler.adapters.http.access import GRANT, NOTHING, PEER_NAMES
from scaler.adapters.http.auth import certificate_names
from scaler.adapters.http.connections import Peers
from scaler.adapters.http.header_timeout import HeaderTimeoutProtocol


class PeerNamesProtocol(HeaderTimeoutProtocol):
    """Puts the names into the state of each request's scope.

    Attributes:
        peers: of the server, where this is a stranger until it answers a request of somebody known.
    """

    peers: Peers

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.peers.come(self)
        # None without TLS; empty where the server asks for no certificate, and so verifies none.
        certificate = transport.get_extra_info("peercert")
        if certificate:
            self.app_state = {**self.app_state, PEER_NAMES: certificate_names(certificate)}

    def on_response_complete(self) -> None:
        if self.scope["state"].get(GRANT, NOTHING) is not NOTHING:
            self.peers.known(self)
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self.peers.gone(self)
        super().connection_lost(exc)

    def end_if_idle(self) -> bool:
        idle = self._between_requests()
        if idle:
            self.transport.abort()
        return idle
