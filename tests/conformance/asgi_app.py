"""An application behind `TidegateLimit` that asks the origin, for uvicorn to serve."""

from __future__ import annotations

import asyncio
import os
from urllib.parse import urlsplit

from scaler import TidegateLimit
from scaler.gateway.middleware import App, Message, Receive, Scope, Send, by_header
from tests.conformance.loopback import read_message
from tests.conformance.setup import CLASS_HEADER, CLIENT_HEADER


class Forwarded:
    """Asks the origin over connections that are kept."""

    def __init__(self, origin_url: str) -> None:
        address = urlsplit(origin_url)
        self._host, self._port = address.hostname, address.port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lived(receive, send)
            return
        if self._idle:
            reader, writer = self._idle.pop()
        else:
            reader, writer = await asyncio.open_connection(self._host, self._port)
        lines = b"".join(b"%b: %b\r\n" % (name, value) for name, value in scope["headers"])
        writer.write(b"GET / HTTP/1.1\r\n" + lines + b"\r\n")
        first, headers, body = await read_message(reader)
        self._idle.append((reader, writer))
        kept = [(b"content-type", headers["content-type"].encode())]
        status = int(first.split(" ", 2)[1])
        await send({"type": "http.response.start", "status": status, "headers": kept})
        await send({"type": "http.response.body", "body": body})


async def _lived(receive: Receive, send: Send) -> None:
    for moment in ("startup", "shutdown"):
        message: Message = await receive()
        assert message["type"] == f"lifespan.{moment}"
        await send({"type": f"lifespan.{moment}.complete"})


def create() -> App:
    said = os.environ  # noqa: TID251 - a server's child is told so
    return TidegateLimit(
        Forwarded(said["ORIGIN_URL"]),
        endpoint=said["ENDPOINT_URL"],
        service=said["SERVICE"],
        instance=said["INSTANCE"],
        classify=by_header(CLASS_HEADER),
        client_key=by_header(CLIENT_HEADER),
        dry_run=bool(said.get("DRY_RUN")),
        token_file=said.get("TOKEN_FILE") or None,
    )


def create_bare() -> App:
    return Forwarded(os.environ["ORIGIN_URL"])  # noqa: TID251 - as above
