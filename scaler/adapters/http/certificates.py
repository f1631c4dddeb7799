"""The server's certificate, read again when its files change, and when it expires.

A pair that is wrong or half written is told once, and the one before is served on. Whoever is
connected stays so: only new handshakes see a new certificate.
"""

from __future__ import annotations

import logging
import re
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scaler.errors import ServingError

LOG = logging.getLogger(__name__)
# Labels of the metric.
SERVER, CLIENT_CA = "server", "client_ca"
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_UTC_TIME, _VERSION = 0x17, 0xA0


@dataclass(frozen=True, slots=True)
class Tls:
    """The server's certificate and key in PEM; ``client_ca`` demands one of clients, too."""

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Return a TLS context of the files as they are now.

        Raises:
            ServingError: a file cannot be read, is no certificate, or they are no pair.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            # Without a password OpenSSL would ask for that of an encrypted key on the terminal.
            context.load_cert_chain(self.certificate, self.key, password="")
            if self.client_ca is not None:
                context.load_verify_locations(self.client_ca)
                context.verify_mode = ssl.CERT_REQUIRED
        except OSError as error:  # ssl.SSLError is one
            raise ServingError(
                f"TLS cannot be set up from {self.certificate}, {self.key} "
                f"and {self.client_ca}: {error}"
            ) from error
        return context


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The content of the files, of which ``context`` was made; ``client_ca`` may be absent."""

    certificate: bytes
    key: bytes = field(repr=False)
    client_ca: bytes | None
    context: ssl.SSLContext

    def expiries(self) -> Mapping[str, float]:
        """Return when each expires, in seconds since the epoch.

        A chain holds until the first of its certificates expires, a bundle until the last.
        """
        found = {SERVER: min(map(expiry, certificates_in(self.certificate)))}
        if self.client_ca is not None:
            found[CLIENT_CA] = max(map(expiry, certificates_in(self.client_ca)))
        return found


class RenewedCertificate:
    """The certificate as the files have it. Safe to use from any thread.

    Args:
        tls: where the files are.

    Raises:
        ServingError: they cannot be used at the start.
    """

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._lock = threading.Lock()
        self._tried = self._content()
        self._files = self._loaded(self._tried)

    def latest(self) -> TlsFiles:
        """Return what new handshakes use."""
        with self._lock:
            try:
                content = self._content()
                if content == self._tried:
                    return self._files
                self._tried = content
                self._files = self._loaded(content)
                until = datetime.fromtimestamp(self._files.expiries()[SERVER], UTC)
                LOG.info("certificate read again path=%s until=%s", self._tls.certificate, until)
            except ServingError as error:
                LOG.warning("certificate kept as it was: %s", error)
            return self._files

    def expiries(self) -> Mapping[str, float]:
        """Return when what is served expires, in seconds since the epoch, by what it is."""
        return self.latest().expiries()

    def context(self) -> ssl.SSLContext:
        """Return a context of which each new connection gets the latest certificate."""
        return _RenewedContext(lambda: self.latest().context)

    def _content(self) -> tuple[bytes | None, ...]:
        """Return the content of the files; None where one cannot be read."""
        tls = self._tls
        return tuple(_read(one) for one in (tls.certificate, tls.key, tls.client_ca))

    def _loaded(self, content: tuple[bytes | None, ...]) -> TlsFiles:
        context = self._tls.context()
        if content != self._content():
            raise ServingError(f"{self._tls.certificate} changes while it is read")
        certificate, key, client_ca = content
        assert certificate is not None, "the context has read it"
        assert key is not None, "the same"
        found = TlsFiles(certificate, key, client_ca, context)
        try:
            found.expiries()
        except (ValueError, IndexError) as error:
            raise ServingError(f"{self._tls.certificate} is no certificate: {error}") from error
        return found


class _RenewedContext(ssl.SSLContext):
    """Stands for the latest context: asyncio asks it for the TLS of each new connection."""

    latest: Callable[[], ssl.SSLContext]

    def __new__(cls, latest: Callable[[], ssl.SSLContext]) -> _RenewedContext:
        made = super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)
        made.latest = latest
        return made

    def wrap_bio(self, *args: Any, **named: Any) -> ssl.SSLObject:  # noqa: ANN401 - as they are given
        return self.latest().wrap_bio(*args, **named)


def certificates_in(pem: bytes) -> list[bytes]:
    """Return the certificates of a file in DER."""
    return [ssl.PEM_cert_to_DER_cert(one.decode("ascii")) for one in _PEM.findall(pem)]


def expiry(certificate: bytes) -> float:
    """Return when a certificate in DER expires, in seconds since the epoch.

    Python tells that of a peer's certificate only. Source: RFC 5280, 4.1.

    Raises:
        ValueError, IndexError: it is no certificate.
    """
    _, whole = next(_parts(certificate))
    _, signed = next(_parts(whole))
    fields = list(_parts(signed))
    # [version], serial number, signature, issuer, validity: (not before, not after)
    validity = fields[4 if fields[0][0] == _VERSION else 3][1]
    tag, text = list(_parts(validity))[1]
    digits = text.decode("ascii")
    if tag == _UTC_TIME:
        digits = ("19" if digits[:2] >= "50" else "20") + digits
    return datetime.strptime(digits, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _parts(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of each element in DER."""
    at = 0
    while at < len(der):
        tag, length, at = der[at], der[at + 1], at + 2
        if length >= 0x80:  # so many bytes hold the length
            after = at + (length & 0x7F)
            length, at = int.from_bytes(der[at:after], "big"), after
        yield tag, der[at : at + length]
        at += length


def _read(path: Path | None) -> bytes | None:
    try:
        return path.read_bytes() if path is not None else None
    except OSError:
        return None
