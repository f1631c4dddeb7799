"""Which Prometheus is queried, with which credentials, and how failed attempts are retried.

Rules of this file: secrets are not kept here, only the paths of the files that hold them; a wrong
combination is refused before the first request.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from forecaster.adapters.backoff import backoff_s
from forecaster.errors import ConfigError

FIRST_S = 0.5  # upper bound of the first wait; chosen: one lost request is hardly noticed


@dataclass(frozen=True)
class PrometheusSettings:
    """Where Prometheus is, and with which credentials it is queried.

    Attributes:
        url: base URL, without ``/api/v1``.
        headers: sent with every request, e.g. ``("X-Scope-OrgID", "team-a")``.
        timeout: for one attempt; Prometheus gets the same limit for evaluating the query.
        retries: attempts after the first.
    """

    url: str
    bearer_token_file: Path | None = None
    username: str | None = None
    password_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    ca_file: Path | None = None
    headers: tuple[tuple[str, str], ...] = ()
    timeout: timedelta = timedelta(seconds=30)
    retries: int = 5

    def __post_init__(self) -> None:
        self._check_url()
        self._check_credentials()
        if self.timeout <= timedelta(0) or self.retries < 0:
            raise ConfigError(
                f"timeout is {self.timeout} and retries {self.retries}; they must be > 0 and >= 0"
            )

    def _check_url(self) -> None:
        try:
            parts = urlsplit(self.url)
            _ = parts.port, (parts.hostname or "").encode("idna")
        except ValueError as error:
            # The URL is not shown: what cannot be read as a port may be a password.
            raise ConfigError(
                "host or port of the Prometheus URL cannot be read; "
                "it must look like http://prometheus:9090"
            ) from error
        if parts.username or parts.password:
            raise ConfigError(
                f"the URL of {parts.hostname} holds credentials, which end up in logs; "
                "use --username and --password-file"
            )
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigError(
                f"the Prometheus URL is {self.url!r}, but must look like http://prometheus:9090"
            )
        if parts.query or parts.fragment:
            raise ConfigError(f"the Prometheus URL is {self.url!r}, but '?' and '#' do not belong")

    def _check_credentials(self) -> None:
        if self.bearer_token_file and self.username:
            raise ConfigError("both a bearer token and a user name are given; use one of them")
        if (self.username is None) != (self.password_file is None):
            raise ConfigError("--username and --password-file belong together; give both")
        if self.client_key and not self.client_cert:
            raise ConfigError("--client-key needs --client-cert")
        for name, value in self.headers:
            if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or not value.isprintable():
                raise ConfigError(f"header {name!r} must be a name and one line: 'Name: value'")
        for path in self.files:
            if not path.is_file():
                raise ConfigError(f"{path} is not a file; it was named as credential or CA")

    @property
    def files(self) -> tuple[Path, ...]:
        named = (
            self.bearer_token_file,
            self.password_file,
            self.client_cert,
            self.client_key,
            self.ca_file,
        )
        return tuple(path for path in named if path is not None)

    @property
    def identity(self) -> tuple[str, ...]:
        """What decides which data the server returns: address, user and tenant; no secret."""
        return (
            self.url.rstrip("/"),
            self.username or "",
            str(self.bearer_token_file or ""),
            str(self.client_cert or ""),
            *(f"{name.lower()}: {value}" for name, value in sorted(self.headers)),
        )


@dataclass(frozen=True)
class Pacing:
    """How long to wait between attempts: exponential back-off with full jitter, see `backoff_s`.

    Attributes:
        jitter: returns a number in [0, 1).
        longest_s: upper bound of the last waits; it starts at `FIRST_S` and doubles up to this.
        max_retry_after_s: longest ``Retry-After`` that is honoured; a longer one ends the fetch.
    """

    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = field(default_factory=lambda: np.random.default_rng().random)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)  # noqa: TID251 - only for Retry-After
    longest_s: float = 30.0
    max_retry_after_s: float = 120.0

    def wait_s(self, failures: int, retry_after_s: float) -> float:
        """Return the seconds to wait after so many failed attempts."""
        return backoff_s(
            failures,
            first_s=FIRST_S,
            longest_s=self.longest_s,
            share=self.jitter(),
            retry_after_s=retry_after_s,
        )
