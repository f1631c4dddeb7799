"""How many connections and streams are taken at once: fewer than the process may have files open.

A connection is a file. The kernel gives a new one the lowest free number, so its number tells how
many files are open at least, whoever has opened them. A connection whose number is too high is
refused, which leaves files for what the scaler itself asks: Prometheus and the API server.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import math
import resource
import socket
from typing import Any, Protocol

LOG = logging.getLogger(__name__)

# A connection takes some 40 kB, whatever the limit of files allows.
MOST_CONNECTIONS = 8192
MOST_STREAMS = 500
# A gateway gives its poll up after about 3 s.
TLS_HANDSHAKE_S = 5.0
_REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 2\r\ncontent-length: 0\r\n"
    b"connection: close\r\n\r\n"
)
_NO_FILE_LEFT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def file_limit() -> int:
    """Return how many files this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS * 4 if soft == resource.RLIM_INFINITY else soft


def most_connections(files: int) -> int:
    """Return how many files may be open for a connection to be taken: three quarters of all.

    >>> [most_connections(files) for files in (256, 1024, 1_048_576)]
    [192, 768, 8192]
    """
    return min(files - files // 4, MOST_CONNECTIONS)


def most_streams(files: int) -> int:
    """Return how many pages may be followed at once, so that gateways have the other connections.

    >>> [most_streams(files) for files in (256, 1024, 1_048_576)]
    [48, 192, 500]
    """
    return min(most_connections(files) // 4, MOST_STREAMS)


class Ending(Protocol):
    """A connection that can be ended."""

    def end_if_idle(self) -> bool:
        """End it unless a request is being answered; return whether it is ended."""


class Peers:
    """The connections there are; of those on which nobody known has asked yet, the oldest first.

    Where no more fit, these make room for others: who fills the endpoint with silence holds a
    connection only for as long as nobody else comes.
    """

    def __init__(self) -> None:
        self._strangers: dict[Ending, None] = {}
        self.count = 0

    def come(self, one: Ending) -> None:
        self._strangers[one] = None
        self.count += 1

    def known(self, one: Ending) -> None:
        self._strangers.pop(one, None)

    def gone(self, one: Ending) -> None:
        self._strangers.pop(one, None)
        self.count -= 1

    def make_room(self) -> bool:
        """End the oldest stranger's that is idle; return whether there was one."""
        for one in self._strangers:
            if one.end_if_idle():
                del self._strangers[one]
                return True
        return False


class GuardedListener(socket.socket):
    """A listening socket that refuses connections where few files are left.

    Attributes:
        refused: how many connections it has refused.

    Args:
        family: of addresses.
        files: that the process may have open.
        peers: the connections that it has accepted.
        encrypted: whether TLS is spoken, so that a refusal cannot be told.
    """

    refused = 0
    _pauses = False
    _fits = math.inf  # connections, as of when one more was too many

    def __init__(self, family: int, files: int, peers: Peers, *, encrypted: bool) -> None:
        # asyncio sets TCP_NODELAY only if the protocol is given as TCP. Without it each response,
        # whose headers and body are two writes, would wait 40 ms for an acknowledgement.
        super().__init__(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._files, self._most, self._peers = files, most_connections(files), peers
        self._words = b"" if encrypted else _REFUSAL

    def accept(self) -> tuple[socket.socket, Any]:
        if self._pauses:  # asyncio would ask again at once
            self._pauses = False
            raise BlockingIOError
        try:
            connection, address = super().accept()
        except OSError as error:
            self._pauses = error.errno in _NO_FILE_LEFT  # it has planned to ask again in a second
            raise
        if not self._has_room(connection.fileno()):
            self._refuse(connection)
            raise BlockingIOError  # nothing else waits for long meanwhile
        return connection, address

    def _has_room(self, file: int) -> bool:
        """Whether a connection with this number fits, perhaps in place of a stranger's."""
        if file >= self._most:
            self._fits = self._peers.count
        if self._peers.count < self._fits:
            return True
        room = self._peers.make_room()
        self._pauses = room  # until the one that was ended has given its file back
        return file < self._most or (room and file < self._files - self._files // 8)

    def _refuse(self, connection: socket.socket) -> None:
        self.refused += 1
        self._pauses = False
        with connection, contextlib.suppress(OSError):
            connection.setblocking(False)
            connection.send(self._words)
            connection.recv(65_536)  # unread, it would take the refusal with it
        LOG.warning(
            "connection refused: more than %d files are open; raise the limit of open files",
            self._most,
            extra={"repeats": True},
        )


class ServerLoop(asyncio.SelectorEventLoop):
    """An event loop whose servers wait for a TLS handshake no longer than for a request."""

    async def create_server(self, *args: Any, **named: Any) -> asyncio.Server:  # noqa: ANN401 - as they are given
        if named.get("ssl") is not None:
            named["ssl_handshake_timeout"] = TLS_HANDSHAKE_S
        return await super().create_server(*args, **named)
