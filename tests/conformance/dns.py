"""A name server that knows one name, whose address can be changed."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from tests.conformance.loopback import loopback

NAME = "tidegate.test"
_A, _TTL_S = 1, 1


class NameServer(asyncio.DatagramProtocol):
    """Answers while it is a context.

    Attributes:
        port: on which it is asked; address: of every name, IPv4.
        asked: questions for an address.
    """

    def __init__(self, address: str) -> None:
        self.address, self.port, self.asked = address, 0, 0

    def __enter__(self) -> NameServer:
        async def start() -> None:
            loop = asyncio.get_running_loop()
            made, _ = await loop.create_datagram_endpoint(lambda: self, ("127.0.0.1", 0))
            self.port = made.get_extra_info("sockname")[1]

        loopback().run(start())
        return self

    def __exit__(self, *_: object) -> None:
        async def stop() -> None:
            self._transport.close()

        loopback().run(stop())

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer a question (RFC 1035, 4.1): its header, itself, and perhaps a record."""
        end = data.index(b"\0", 12) + 5
        question, kind = data[12:end], int.from_bytes(data[end - 4 : end - 2], "big")
        answer = b""
        if kind == _A:
            self.asked += 1
            ttl = _TTL_S.to_bytes(4, "big")
            answer = b"\xc0\x0c\0\x01\0\x01" + ttl + b"\0\x04" + socket.inet_aton(self.address)
        counts = b"\0\x01" + len(answer[:1]).to_bytes(2, "big") + b"\0\0\0\0"
        self._transport.sendto(data[:2] + b"\x81\x80" + counts + question + answer, addr)
