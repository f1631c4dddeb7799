"""Tokens and certificates of clients, by a file that is read again when it changes."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import logging
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from scaler.adapters.http.grants import AccessGrant, AccessGrants, read_grants
from scaler.clocks.steady import steady_seconds
from scaler.errors import ServingError

LOG = logging.getLogger(__name__)
CHECK_S = 1.0
_Stamp = tuple[int, int, int]
# Names by which a certificate is looked up, the most telling first.
_NAME_KINDS = ("URI", "DNS", "email", "commonName", "IP Address")


class Tokens:
    """The grants in a file; `grants` says what its lines mean.

    If the file cannot be read any more, or a line of it is wrong, the grants stay as they were. If
    it holds none any more, every request is refused.

    Args:
        path: of the file.
        clock: monotonic seconds.
        peers_verified: whether clients show certificates, which lines can then name.

    Raises:
        ServingError: the file cannot be read at the start, a line is wrong, or it holds no token.
    """

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float] = steady_seconds,
        *,
        peers_verified: bool = False,
    ) -> None:
        self._path, self._clock, self._peers_verified = path, clock, peers_verified
        self._checked_at = clock()
        try:
            self._stamp = self._stat()
            self._grants = self._read()
        except (OSError, UnicodeDecodeError) as error:
            raise ServingError(f"tokens cannot be read from {path}: {error}") from error
        if not self._grants:
            raise ServingError(f"{path} holds no token; write one per line")

    def of_token(self, token: bytes) -> AccessGrant | None:
        """Return what a token may do; None: it is none of these."""
        self._refresh()
        return self._grants.of_token(token)

    def of_certificate(self, names: Iterable[str]) -> AccessGrant | None:
        """Return what a verified certificate with these names may do; None: no line names it."""
        self._refresh()
        return self._grants.of_certificate(names)

    def names_certificates(self) -> bool:
        """Whether a line is of a certificate."""
        self._refresh()
        return bool(self._grants.certificates)

    def _refresh(self) -> None:
        now = self._clock()
        if now - self._checked_at < CHECK_S:
            return
        self._checked_at = now
        try:
            stamp = self._stat()
            if stamp != self._stamp:
                self._stamp = stamp  # a line that is wrong is told once
                self._grants = self._read()
                LOG.info("tokens read again path=%s tokens=%d", self._path, len(self._grants))
        except (OSError, UnicodeDecodeError, ServingError) as error:
            LOG.warning("tokens kept as they were path=%s error=%s", self._path, error)

    def _stat(self) -> _Stamp:
        found = self._path.stat()
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _read(self) -> AccessGrants:
        text = self._path.read_text("utf-8")
        grants = read_grants(text, str(self._path), peers_verified=self._peers_verified)
        for warning in token_warnings(self._path, grants):
            LOG.warning("%s", warning)
        return grants


def token_warnings(path: Path, grants: AccessGrants) -> Iterator[str]:
    """Yield what is dangerous about a token file that can be used.

    Raises:
        OSError: the file is gone.
    """
    mode = path.stat().st_mode
    if mode & stat.S_IROTH:
        yield (
            f"tokens can be read by everybody on this machine path={path} "
            f"mode={stat.S_IMODE(mode):04o}: chmod o-r, or defaultMode: 0440 of a Secret's volume"
        )
    if grants.open_lines:
        yield (
            f"tokens without a role path={path} lines={','.join(map(str, grants.open_lines))}: "
            "each may take shares of every service's limit and report in the name of every "
            "gateway that others of them have, read everything, and scrape the metrics; write "
            "what it is for behind it, such as 'TOKEN role=gateway namespaces=shop "
            "name=shop-gateways' or 'TOKEN role=metrics'"
        )


def certificate_names(certificate: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of a verified certificate, as `ssl.SSLSocket.getpeercert` tells it.

    >>> certificate_names(
    ...     {"subject": ((("commonName", "gw"),),), "subjectAltName": (("DNS", "gw.shop"),)}
    ... )
    ('gw.shop', 'gw')
    """
    subject = [pair for part in certificate.get("subject", ()) for pair in part]
    pairs = [*certificate.get("subjectAltName", ()), *subject]
    return tuple(name for kind in _NAME_KINDS for known, name in pairs if known == kind)


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
