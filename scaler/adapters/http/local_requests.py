"""What a page of elsewhere could make a browser on this machine send: refused.

On loopback without tokens whoever sends a request may do everything, so a browser must not be led
to send one: by a name of elsewhere that suddenly means 127.0.0.1 (DNS rebinding), or by a page that
posts here (CSRF), which it may unasked, with any content type but JSON.

Source: the Fetch standard, "CORS-safelisted request-header" and the Origin header; W3C, Fetch
Metadata Request Headers.
"""

from __future__ import annotations

from collections.abc import Iterable

from scaler.adapters.http.auth import is_loopback
from scaler.adapters.http.problems import RefusalReason, RequestProblem

BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
_OF_ELSEWHERE = (b"cross-site", b"same-site")


def check_local(method: str, scheme: str, headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Refuse what a page of elsewhere may have caused.

    Raises:
        RequestProblem: 403 for its host or its origin, 415 for a body that is not JSON.
    """
    found = dict(headers)
    host = found.get(b"host")
    if host is not None and not is_loopback(host_name(host)):
        raise RequestProblem(
            403,
            f"Host is {_shown(host)}, but without tokens only localhost and 127.0.0.1 are served; "
            "ask for one of these, or start with --token-file or --allow-anonymous",
            reason=RefusalReason.HOST,
        )
    origin = found.get(b"origin")
    is_ours = origin is None or origin.lower() == b"%s://%s" % (scheme.encode(), host or b"")
    if not is_ours or found.get(b"sec-fetch-site") in _OF_ELSEWHERE:
        raise RequestProblem(
            403,
            f"a page of {_shown(origin or b'elsewhere')} asks, but without tokens only this "
            "endpoint's own page may",
            reason=RefusalReason.ORIGIN,
        )
    kind = found.get(b"content-type", b"")
    if method in BODY_METHODS and kind.partition(b";")[0].strip().lower() != b"application/json":
        raise RequestProblem(415, f"content-type is {_shown(kind)}, but must be application/json")


def host_name(host: bytes) -> str:
    """Return the host of a Host header, without its port.

    >>> [host_name(one) for one in (b"LocalHost:80", b"127.0.0.1", b"[::1]:80", b"")]
    ['localhost', '127.0.0.1', '::1', '']
    """
    text = host.decode("latin-1").strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0]


def _shown(value: bytes) -> str:
    return ascii(value[:100].decode("latin-1"))
