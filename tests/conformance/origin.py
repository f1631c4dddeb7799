"""The service behind a gateway: it answers 200 at once, and counts whom it has served."""

from __future__ import annotations

import asyncio
from collections import Counter

from tests.conformance.loopback import loopback, read_message
from tests.conformance.setup import CLASS_HEADER, CLIENT_HEADER

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n"


class Origin:
    """Serves while it is a context.

    Attributes:
        served: requests in all.
        classes: by the class header; ``""`` where there is none.
        clients: by the client header.
    """

    def __init__(self) -> None:
        self.served = 0
        self.classes: Counter[str] = Counter()
        self.clients: Counter[str] = Counter()
        self.url = ""
        self._writers: set[asyncio.StreamWriter] = set()

    def __enter__(self) -> Origin:
        loopback().run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        loopback().run(self._stop())

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=512)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _stop(self) -> None:
        self._server.close()
        for writer in list(self._writers):
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                _, headers, _ = await read_message(reader)
                self.served += 1
                self.classes[headers.get(CLASS_HEADER, "")] += 1
                self.clients[headers.get(CLIENT_HEADER, "")] += 1
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()
