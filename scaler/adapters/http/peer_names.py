"""Tells the application by which names a client's certificate was verified.

ASGI's TLS extension would say so, but uvicorn has not implemented it. A connection's certificate
does not change, so it is read once.
"""

from __future__ import annotations

from asyncio import Transport

from scaler.adapters.http.access import PEER_NAMES
from scaler.adapters.http.auth import certificate_names
from scaler.adapters.http.header_timeout import HeaderTimeoutProtocol


class PeerNamesProtocol(HeaderTimeoutProtocol):
    """Puts the names into the state of each request's scope."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # None without TLS; empty where the server asks for no certificate, and so verifies none.
        certificate = transport.get_extra_info("peercert")
        if certificate:
            self.app_state = {**self.app_state, PEER_NAMES: certificate_names(certificate)}
