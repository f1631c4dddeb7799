"""Bearer tokens from a file, which is read again when it changes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import logging
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from scaler.errors import ServingError

LOG = logging.getLogger(__name__)
CHECK_S = 1.0
_Stamp = tuple[int, int, int]


class Tokens:
    """The tokens in a file, one per line; blank lines and lines that begin with # are skipped.

    If the file cannot be read any more, the tokens stay as they were. If it holds no token any
    more, every request is refused.

    Raises:
        ServingError: the file cannot be read at the start, or holds no token.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock = path, clock
        self._checked_at = clock()
        try:
            self._stamp = self._stat()
            self._digests = self._read()
        except (OSError, UnicodeDecodeError) as error:
            raise ServingError(f"tokens cannot be read from {path}: {error}") from error
        if not self._digests:
            raise ServingError(f"{path} holds no token; write one per line")

    def accept(self, token: bytes) -> bool:
        """Whether this is one of the tokens; compared in constant time."""
        self._refresh()
        digest = hashlib.sha256(token).digest()
        found = False
        for known in self._digests:
            found |= hmac.compare_digest(known, digest)
        return found

    def _refresh(self) -> None:
        now = self._clock()
        if now - self._checked_at < CHECK_S:
            return
        self._checked_at = now
        try:
            stamp = self._stat()
            if stamp != self._stamp:
                self._digests, self._stamp = self._read(), stamp
                LOG.info("tokens read again path=%s tokens=%d", self._path, len(self._digests))
        except (OSError, UnicodeDecodeError) as error:
            LOG.warning("tokens kept as they were path=%s error=%s", self._path, error)

    def _stat(self) -> _Stamp:
        found = self._path.stat()
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _read(self) -> tuple[bytes, ...]:
        lines = map(str.strip, self._path.read_text("utf-8").splitlines())
        tokens = (line for line in lines if line and not line.startswith("#"))
        return tuple(hashlib.sha256(token.encode()).digest() for token in tokens)


def token_of(authorization: bytes) -> bytes:
    """Return the token of an Authorization header: Bearer, or the password of Basic (browsers).

    >>> token_of(b"Bearer abc"), token_of(b"Basic dXNlcjphYmM="), token_of(b"Digest abc")
    (b'abc', b'abc', b'')
    """
    scheme, _, value = authorization.partition(b" ")
    if scheme.lower() == b"bearer":
        return value.strip()
    if scheme.lower() == b"basic":
        try:
            return base64.b64decode(value.strip(), validate=True).partition(b":")[2]
        except binascii.Error:
            return b""
    return b""


@lru_cache(maxsize=1024)
def is_loopback(host: str) -> bool:
    """Whether a host is this machine's loopback; no name but localhost is.

    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "10.0.0.7")]
    [True, True, True, False, False]
    """
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool(mapped.is_loopback if mapped else address.is_loopback)
