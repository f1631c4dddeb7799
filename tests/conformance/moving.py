"""An address that moves: connections are passed on to where it leads when they are made."""

from __future__ import annotations

import asyncio

from tests.conformance.loopback import Connections, loopback


class MovingAddress:
    """Listens while it is a context.

    Connections that have been made stay where they lead, as behind a name or a Service that moves.

    Attributes:
        port: on which it listens; leads_to: the port to which new connections go.
    """

    def __init__(self, leads_to: int) -> None:
        self.leads_to = leads_to
        self.port = 0
        self._connections = Connections()

    def __enter__(self) -> MovingAddress:
        loopback().run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        loopback().run(self._stop())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        self._server.close()
        await self._connections.cut()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with self._connections.served(writer):
            there_reader, there = await asyncio.open_connection("127.0.0.1", self.leads_to)
            await asyncio.gather(_pump(reader, there), _pump(there_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
