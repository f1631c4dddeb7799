"""Open-loop load: requests are sent when they are due, however slow the answers are."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.conformance.loopback import loopback, read_message
from tests.conformance.setup import CLIENT_HEADER
from tests.waiting import PATIENCE_S

ANSWER_WITHIN_S = 60.0


@dataclass(frozen=True)
class Answer:
    """What became of one request.

    Attributes:
        at: when it was sent, seconds since the load began.
        status: 0 where there was no answer.
        latency_s: until the answer was there.
        sent_at: monotonic seconds.
    """

    at: float
    status: int
    latency_s: float
    headers: Mapping[str, str]
    client: str
    sent_at: float
    body: bytes

    @property
    def answered_at(self) -> float:
        """When the answer was there, monotonic seconds."""
        return self.sent_at + self.latency_s

    @property
    def policy_rps(self) -> int | None:
        """The limit that RateLimit-Policy names; None: it names none."""
        found = re.search(r"q=(\d+);w=1$", self.headers.get("ratelimit-policy", ""))
        return int(found[1]) if found else None


@dataclass(frozen=True)
class Offered:
    """What became of all requests, in the order in which they were sent."""

    answers: Sequence[Answer]
    began_at: float

    def between(self, since: float, until: float = math.inf) -> list[Answer]:
        """Return those that were sent in that time, seconds since the load began."""
        return [one for one in self.answers if since <= one.at < until]

    def count(self, status: int, since: float = 0.0, until: float = math.inf) -> int:
        return sum(one.status == status for one in self.between(since, until))

    def statuses(self, since: float = 0.0, until: float = math.inf) -> Counter[int]:
        return Counter(one.status for one in self.between(since, until))

    def first(self, status: int) -> Answer:
        return next(one for one in self.answers if one.status == status)


def offer(url: str, rps: float, seconds: float, **how: object) -> Offered:
    """Offer evenly spaced requests, and wait until all are answered.

    Args:
        url: of the gateway.
        rps: requests per second.
        seconds: for how long.
        how: ``headers``: of each request; ``clients``: how many, or their names, which take turns
            (header `CLIENT_HEADER`); ``fresh``: a connection for each request, so that all workers
            are met.
    """
    return offering(url, rps, seconds, **how).result(seconds + PATIENCE_S)


def offering(
    url: str,
    rps: float,
    seconds: float,
    *,
    headers: Mapping[str, str] | None = None,
    clients: int | Sequence[str] = (),
    fresh: bool = False,
) -> Future[Offered]:
    """Begin to offer as `offer` does; several loads may go on at once."""
    load = _Load(url, headers or {}, _names(clients), fresh)
    return loopback().begin(load.offer(rps, round(rps * seconds)))


@dataclass
class Underway:
    """A load that goes on; ``answers`` has what has come so far, in the order in which it came."""

    answers: list[Answer] = field(default_factory=list)
    is_over: bool = False

    def since(self, moment: float) -> list[Answer]:
        """Return the answers to what was sent from a monotonic second on."""
        return [one for one in list(self.answers) if one.sent_at >= moment]


@contextmanager
def underway(
    url: str,
    rps: float,
    *,
    headers: Mapping[str, str] | None = None,
    clients: int | Sequence[str] = (),
    fresh: bool = False,
) -> Iterator[Underway]:
    """Offer as `offer` does until the block ends; then all that was sent is answered."""
    load = _Load(url, headers or {}, _names(clients), fresh)
    offered = loopback().begin(load.offer(rps, None))
    try:
        yield load.underway
    finally:
        load.underway.is_over = True
        offered.result(PATIENCE_S)


def _names(clients: int | Sequence[str]) -> Sequence[str]:
    return [f"client-{i}" for i in range(clients)] if isinstance(clients, int) else list(clients)


class _Load:
    def __init__(
        self, url: str, headers: Mapping[str, str], clients: Sequence[str], fresh: bool
    ) -> None:
        self.underway = Underway()
        address = urlsplit(url)
        self._host, self._port = address.hostname, address.port
        close = ["Connection: close"] if fresh else []
        lines = [f"{name}: {value}" for name, value in headers.items()]
        path = address.path or "/"
        self._head = "\r\n".join(
            [f"GET {path} HTTP/1.1", f"Host: {address.netloc}", *close, *lines]
        )
        self._clients, self._fresh = clients, fresh
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def offer(self, rps: float, requests: int | None) -> Offered:
        """Send so many requests; None: until the load is over."""
        began, number, tasks = time.monotonic(), 0, []
        while not self.underway.is_over and number != requests:
            wait = began + number / rps - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            client = self._clients[number % len(self._clients)] if self._clients else ""
            tasks.append(asyncio.create_task(self._ask(client, began)))
            number += 1
        await asyncio.gather(*tasks)
        for _, writer in self._idle:
            writer.close()
        return Offered(sorted(self.underway.answers, key=lambda one: one.at), began)

    async def _ask(self, client: str, load_began: float) -> None:
        began = time.monotonic()
        line = f"\r\n{CLIENT_HEADER}: {client}" if client else ""
        request = f"{self._head}{line}\r\n\r\n".encode()
        status, headers, body = 0, {}, b""
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                first, headers, body = await self._exchange(request)
            status = int(first.split(" ", 2)[1])
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            pass
        took = time.monotonic() - began
        answer = Answer(began - load_began, status, took, headers, client, began, body)
        self.underway.answers.append(answer)

    async def _exchange(self, request: bytes) -> tuple[str, dict[str, str], bytes]:
        while self._idle and not self._fresh:
            reader, writer = self._idle.pop()
            if reader.at_eof():
                writer.close()
                continue
            try:
                return await self._over(reader, writer, request)
            except (OSError, asyncio.IncompleteReadError):
                continue  # the gateway closed it just then; no promise of it is about that
        reader, writer = await asyncio.open_connection(self._host, self._port)
        return await self._over(reader, writer, request)

    async def _over(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
    ) -> tuple[str, dict[str, str], bytes]:
        try:
            writer.write(request)
            message = await read_message(reader)
        except BaseException:
            writer.close()
            raise
        if self._fresh or message[1].get("connection", "").lower() == "close":
            writer.close()
        else:
            self._idle.append((reader, writer))
        return message
