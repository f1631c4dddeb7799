"""One event loop in a thread of its own, for all servers and all load of this process.

In one thread they never wait for each other's lock: a test's own thread only sleeps.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

T = TypeVar("T")


class Loopback:
    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="loopback", daemon=True).start()

    def begin(self, work: Coroutine[object, object, T]) -> Future[T]:
        """Start the work; its result comes with the future."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[object, object, T], within_s: float = 60) -> T:
        """Do the work, and wait for it."""
        return self.begin(work).result(within_s)


@cache
def loopback() -> Loopback:
    return Loopback()


class Connections:
    """The connections of a server, each served by a task of its own."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    @contextmanager
    def served(self, writer: asyncio.StreamWriter) -> Iterator[None]:
        """Serve one until it ends or is cut."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            yield
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            # What was answered still arrives, or nobody could say how old the gateway's lease is.
            writer.close()

    async def cut(self) -> None:
        """Cut all of them."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def read_message(reader: asyncio.StreamReader) -> tuple[str, dict[str, str], bytes]:
    """Return first line, headers (lower case) and body of an HTTP/1.1 message.

    Raises:
        asyncio.IncompleteReadError: the other side has closed.
    """
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head[:-4].split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return first, headers, await _chunks(reader)
    length = int(headers.get("content-length", 0))
    # A 304 may say how long the body would be that it does not have.
    if length == 0 or first.split(" ", 2)[1] == "304":
        return first, headers, b""
    return first, headers, await reader.readexactly(length)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        body += (await reader.readexactly(size + 2))[:-2]
    while (await reader.readuntil(b"\r\n")) != b"\r\n":
        pass
    return body
