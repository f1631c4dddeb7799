"""tidegate's limits endpoint, played: it says what it is told to, and dies when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.conformance.leases import SHOP
from tests.conformance.loopback import Connections, loopback, read_message
from tests.waiting import PATIENCE_S, eventually


@dataclass(frozen=True)
class Asked:
    """One request for a lease, and how it was answered.

    Attributes:
        came_at: when the question was there, at: when the answer was sent; monotonic seconds.
        version: answered; None: something that is no lease, or none.
    """

    came_at: float
    at: float
    instance: str
    etag: str
    wait_s: float
    authorization: str
    status: int
    version: int | None


class ScriptedEndpoint:
    """Serves while it is a context, on the same port after `down` and `up`.

    Args:
        token: that every request must bear; None: none need.
        host, port: where it listens; 0: on any free port.

    Attributes:
        asked: each GET that was answered; reports: bodies of each POST.
        garbled: questions that were answered by `wire`.
    """

    def __init__(self, token: str | None = None, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.asked: list[Asked] = []
        self.reports: list[dict[str, object]] = []
        self.token = token
        self.garbled = 0
        self.host, self.port = host, port
        self._body, self._etag, self._status = b"", "", 503
        self._named: tuple[str, int] | None = None  # epoch and version of the lease
        self._garbage = 0
        self._longest_wait_s = 0.0
        self._hanging = False
        self._wire: tuple[bytes, bytes] | None = None
        self._told: dict[str, float] = {}
        self._held: dict[str, str] = {}
        # Of each method and instance, when each question that was answered by a lease came, and
        # when it was answered.
        self._answered: dict[tuple[str, str], list[tuple[float, float]]] = {}
        self._changed = asyncio.Event()
        self._connections = Connections()
        self._server: asyncio.Server | None = None

    def __enter__(self) -> ScriptedEndpoint:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def set(self, lease: Mapping[str, Any]) -> None:
        """Hand out this lease from now on; who waits is told at once."""
        # As the real one: a wait ends while the lease that waits is still fresh.
        self._longest_wait_s = lease["valid_for_s"] - lease["refresh_s"]
        etag = f'"{lease["epoch"]}-{lease["version"]}-{lease["share"]["rps"]:.3f}"'
        self._say(200, json.dumps(lease).encode(), etag, (lease["epoch"], lease["version"]))

    def raw(self, body: bytes) -> None:
        """Answer this instead of a lease, with an ETag that nobody holds."""
        self._garbage += 1
        self._say(200, body, f'"bad-{self._garbage}-0.000"', None)

    def failing(self, status: int = 503) -> None:
        """Answer with this status."""
        self._say(status, b'{"detail": "as scripted"}', "", None)

    def hang(self, *, hanging: bool = True) -> None:
        """Take requests, and answer none of them."""
        self._hanging = hanging

    def wire(self, first: bytes, then: bytes = b"") -> None:
        """Answer these bytes instead of HTTP, and ``then`` again and again, until `set`.

        Who has been answered so is not let go: ``then`` goes on for as long as anybody listens.
        """
        self._say(0, b"", "", None)
        self._wire = first, then

    def down(self) -> None:
        """Be gone: connections are cut, new ones refused."""
        loopback().run(self._down())

    def up(self) -> None:
        loopback().run(self._up())

    def told(self, instances: int = 1) -> None:
        """Wait until so many instances were answered with what is said now."""
        eventually(lambda: len(self._told) >= instances)

    def held(self, instances: int = 1, within_s: float = PATIENCE_S) -> None:
        """Wait until so many instances hold the lease that is handed out now.

        They say so themselves: by the ETag of their next question, or in a report. By then they act
        on it.
        """
        eventually(lambda: self.is_held(instances), within_s)

    def is_held(self, instances: int = 1) -> bool:
        """Return whether so many instances have said that they hold what is handed out now."""
        return list(self._held.values()).count(self._etag) >= instances

    def last_true(self) -> tuple[float, float]:
        """Return between which moments the last question was sent that a lease, or its renewal,
        answered: from then on the gateway's lease ages.

        A gateway asks one question of a kind at a time: the last was sent after the one before it
        was answered, and before it came here, which on a busy machine is long after.
        """
        asked = self._answered.values()
        return max(one[-2][1] for one in asked if len(one) > 1), max(one[-1][0] for one in asked)

    def _say(self, status: int, body: bytes, etag: str, named: tuple[str, int] | None) -> None:
        async def change() -> None:
            self._wire = None
            self._status, self._body, self._etag, self._named = status, body, etag, named
            self._told.clear()
            self._changed.set()
            self._changed = asyncio.Event()

        loopback().run(change())

    async def _up(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.host, self.port, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _down(self) -> None:
        if self._server is None:
            return
        self._server.close()
        self._server = None
        await self._connections.cut()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with self._connections.served(writer):
            while True:
                first, headers, body = await read_message(reader)
                await self._while_hanging()
                answer = None
                if self._wire is None:
                    answer = await self._answer(first, headers, body)
                if answer is None and self._wire is not None:
                    await self._garbage_to(writer, *self._wire)
                    return
                writer.write(answer or b"")

    async def _garbage_to(self, writer: asyncio.StreamWriter, first: bytes, then: bytes) -> None:
        self.garbled += 1
        writer.write(first)
        while not writer.is_closing() and then:
            await asyncio.sleep(0.05)
            writer.write(then)
            await writer.drain()
        await asyncio.sleep(0.05)

    async def _while_hanging(self) -> None:
        while self._hanging:
            await asyncio.sleep(0.05)

    async def _answer(self, first: str, headers: Mapping[str, str], body: bytes) -> bytes | None:
        """Return the answer to a question; None: it was not answered before `wire`."""
        came_at = time.monotonic()
        method, target, _ = first.split(" ", 2)
        url = urlsplit(target)
        authorization = headers.get("authorization", "")
        if self.token is not None and authorization != f"Bearer {self.token}":
            return _message(401, b'{"detail": "a bearer token is needed"}')
        if (method, url.path) == ("POST", f"/v1/limits/{SHOP}/reports"):
            report = json.loads(body)
            self.reports.append(report)
            if (report.get("epoch"), report.get("version")) == self._named:
                self._held[str(report["instance"])] = self._etag
            self._told.setdefault(str(report["instance"]), time.monotonic())
            self._note(method, str(report["instance"]), came_at)
            return _message(self._status, self._body, self._etag)
        if (method, url.path) != ("GET", f"/v1/limits/{SHOP}"):
            return _message(404, b'{"detail": "no such path"}')
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        wait_s, etag = float(query.get("wait", 0)), headers.get("if-none-match", "")
        self._held[query.get("instance", "")] = etag
        if wait_s > 0 and self._status == 200 and etag == self._etag:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), min(wait_s, self._longest_wait_s))
        await self._while_hanging()
        if self._wire is not None:
            return None
        renewed = self._status == 200 and etag == self._etag
        status, at = 304 if renewed else self._status, time.monotonic()
        instance = query.get("instance", "")
        self._told.setdefault(instance, at)
        self._note(method, instance, came_at)
        version = self._named[1] if self._named else None
        self.asked.append(
            Asked(came_at, at, instance, etag, wait_s, authorization, status, version)
        )
        return _message(status, b"" if renewed else self._body, self._etag)

    def _note(self, method: str, instance: str, came_at: float) -> None:
        """Note a question that is answered now."""
        if self._status == 200:
            questions = self._answered.setdefault((method, instance), [])
            questions.append((came_at, time.monotonic()))


def _message(status: int, body: bytes, etag: str = "") -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", "Cache-Control: no-store"]
    lines += [f"ETag: {etag}"] if etag else []
    # A 304 has no body, and no length of one either, as uvicorn serves it.
    lines += [] if status == 304 else ["Content-Type: application/json"]
    lines += [] if status == 304 else [f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
