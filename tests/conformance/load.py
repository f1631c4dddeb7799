"""Open-loop load: requests are sent when they are due, however slow the answers are."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.conformance.loopback import loopback, read_message
from tests.conformance.setup import CLIENT_HEADER

ANSWER_WITHIN_S = 10.0


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


@dataclass(frozen=True)
class Offered:
    """What became of all requests, in the order in which they were sent."""

    answers: Sequence[Answer]
    seconds: float
    began_at: float

    def between(self, since: float, until: float = math.inf) -> list[Answer]:
        """Return those that were sent in that time, seconds since the load began."""
        return [one for one in self.answers if since <= one.at < until]

    def count(self, status: int, since: float = 0.0, until: float = math.inf) -> int:
        return sum(one.status == status for one in self.between(since, until))

    def rate(self, status: int, since: float = 0.0, until: float = math.inf) -> float:
        """Return answers of that status per second of that time."""
        return self.count(status, since, until) / (min(until, self.seconds) - since)

    def statuses(self, since: float = 0.0, until: float = math.inf) -> Counter[int]:
        return Counter(one.status for one in self.between(since, until))

    def per_second(self, status: int) -> list[int]:
        """Return how many were so answered, by the second in which they were sent."""
        return [self.count(status, second, second + 1) for second in range(int(self.seconds))]

    def latency_s(self, quantile: float) -> float:
        ordered = sorted(one.latency_s for one in self.answers)
        return ordered[min(int(len(ordered) * quantile), len(ordered) - 1)]

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
    return offering(url, rps, seconds, **how).result(seconds + ANSWER_WITHIN_S + 30)


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
    names = [f"client-{i}" for i in range(clients)] if isinstance(clients, int) else list(clients)
    return loopback().begin(_Load(url, headers or {}, names, fresh).offer(rps, seconds))


class _Load:
    def __init__(
        self, url: str, headers: Mapping[str, str], clients: Sequence[str], fresh: bool
    ) -> None:
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

    async def offer(self, rps: float, seconds: float) -> Offered:
        began = time.monotonic()
        tasks = []
        for number in range(round(rps * seconds)):
            wait = began + number / rps - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            client = self._clients[number % len(self._clients)] if self._clients else ""
            tasks.append(asyncio.create_task(self._ask(client, began)))
        answers = await asyncio.gather(*tasks)
        for _, writer in self._idle:
            writer.close()
        return Offered(sorted(answers, key=lambda one: one.at), seconds, began)

    async def _ask(self, client: str, load_began: float) -> Answer:
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
        return Answer(began - load_began, status, took, headers, client, began, body)

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
