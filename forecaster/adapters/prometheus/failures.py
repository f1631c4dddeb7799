"""What a failed attempt means: whether the same request may succeed later, and what is to be done.

Used by `client` alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import requests
from urllib3.exceptions import MaxRetryError, ProtocolError

from forecaster.adapters.prometheus.answers import one_line
from forecaster.errors import PrometheusError


class RetryableError(Exception):
    """The same request may succeed later."""

    def __init__(self, reason: str, retry_after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class RefusedError(Exception):
    """The same request would be refused again."""


def translated(error: requests.RequestException, timeout_s: float, url: str) -> Exception:
    if isinstance(error, requests.exceptions.SSLError):
        if "EOF" in _reason(error):  # the server restarts, or ends the handshake without a reason
            return RetryableError("the TLS connection broke off; the server may want --client-cert")
        return PrometheusError(
            f"{url}: no trusted TLS connection ({_reason(error)}); "
            "check --ca-file, --client-cert and --client-key"
        )
    if isinstance(error, requests.Timeout):
        return RetryableError(f"no answer within {timeout_s:.3g} s")
    if isinstance(error, requests.exceptions.JSONDecodeError):
        return RetryableError("the answer broke off in the middle")
    if isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError):
        return RetryableError(_reason(error))
    return PrometheusError(f"{url}: {_reason(error)}; check the URL and the headers")


def _reason(error: Exception) -> str:
    """Return the innermost cause; requests wraps it in two layers of object representations."""
    inner = error.args[0] if error.args else error
    if isinstance(inner, MaxRetryError) and inner.reason is not None:
        inner = inner.reason
    if isinstance(inner, ProtocolError):
        inner = inner.args[-1]
    return one_line(re.sub(r".*: (?:[A-Z_]+\] )?", "", str(inner)))


def explanation(response: requests.Response) -> str:
    """Return the status, and the server's message about it."""
    text = response.text
    with suppress(ValueError, LookupError, TypeError):  # a proxy answers in plain text or HTML
        text = str(json.loads(text)["error"])
    return f"{response.status_code} {response.reason}: {one_line(text) or 'no explanation'}"


def answered_at(headers: Mapping[str, str]) -> float | None:
    """Return when an answer was made by the server's clock, in whole seconds since the epoch.

    An answer that a cache has kept says for how long. None: it has no date.

    >>> answered_at({"Date": "Thu, 01 Jan 1970 00:01:40 GMT", "Age": "5"})
    105.0
    """
    age = headers.get("Age", "").strip()
    try:
        date = parsedate_to_datetime(headers.get("Date", ""))
    except (ValueError, TypeError):
        return None
    return date.replace(tzinfo=UTC).timestamp() + (float(age) if age.isdecimal() else 0.0)


def retry_after_s(response: requests.Response, now: datetime) -> float:
    """Return the seconds that ``Retry-After`` asks for: a number or an HTTP date (RFC 9110)."""
    field = response.headers.get("Retry-After", "").strip()
    if field.isdecimal():
        return float(field)
    try:
        return max((parsedate_to_datetime(field) - now).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return 0.0
