"""The endpoint of a running scaler, asked by a person's command for what it decides and why."""

from __future__ import annotations

import json
import re
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from scaler.errors import EndpointError

TIMEOUT_S = 10.0
# A thousand services with all that the page shows of each are less.
MAX_BYTES = 1 << 26
HTTP = re.compile(r"https?://(\[[0-9a-fA-F:.]+\]|[^/\[\]\s]+)(/\S*)?")
SHOWN = 200  # characters of what another server says
EXAMPLE = "http://127.0.0.1:8080"

Json = dict[str, Any]


class RefusedRedirects(HTTPRedirectHandler):
    """Follows none: the token would go to whoever is named."""

    def redirect_request(self, *_: object) -> None:
        return None


class EndpointClient:
    """Asks one endpoint; nothing is retried, for a person waits.

    Args:
        url: of the endpoint, without a path.
        token_file: holds the bearer token; read for each request, so it may change.

    Raises:
        EndpointError: the URL is none.
    """

    def __init__(self, url: str, token_file: Path | None = None) -> None:
        if not HTTP.fullmatch(url):
            raise EndpointError(f"--endpoint is {url!r}, but must look like {EXAMPLE}")
        self._url, self._token_file = url.rstrip("/"), token_file
        # It is in the cluster or on this machine, so proxies from the environment do not apply.
        self._opener = build_opener(ProxyHandler({}), RefusedRedirects())

    def services(self) -> list[Json]:
        """Return a summary of each service that the token reaches, by name."""
        found: list[Json] = self._get("/v1/services")["services"]
        return found

    def service(self, name: str) -> Json:
        """Return all that the page shows of a service; EndpointError if there is none."""
        return self._get(f"/v1/services/{quote(name)}")

    def explanation(self, name: str) -> Json:
        """Return why the decision on a service is as it is; EndpointError if there is none."""
        return self._get(f"/v1/explain/{quote(name)}")

    def _get(self, path: str) -> Json:
        request = Request(f"{self._url}{path}", headers=self._authorization())  # noqa: S310 - as checked above
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as answer:
                body = answer.read(MAX_BYTES + 1)
        except HTTPError as refused:
            with refused:
                raise EndpointError(f"{self._url}: {_refusal(refused)}") from refused
        except (OSError, HTTPException, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise EndpointError(
                f"{self._url} does not answer: {reason}; check --endpoint, and whether 'scaler "
                "run' listens there"
            ) from error
        return self._decoded(body)

    def _decoded(self, body: bytes) -> Json:
        try:
            found = json.loads(body) if len(body) <= MAX_BYTES else None
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise EndpointError(f"{self._url} answers with no JSON object; is it tidegate's?")
        return found

    def _authorization(self) -> dict[str, str]:
        if self._token_file is None:
            return {}
        try:
            words = self._token_file.read_text("utf-8").split()
        except (OSError, ValueError) as error:
            raise EndpointError(f"--token-file: no token can be read: {error}") from error
        if not words:
            raise EndpointError(f"--token-file: {self._token_file} is empty")
        return {"authorization": f"Bearer {words[0]}"}


def _refusal(refused: HTTPError) -> str:
    """Return what the endpoint says of a refusal, and what to do."""
    try:
        body = json.loads(refused.read(MAX_BYTES))
        detail = body["detail"]
    except (OSError, HTTPException, ValueError, TypeError, KeyError):
        detail = refused.reason
    fix = "; give --token-file" if refused.code == 401 else ""
    location = refused.headers.get("location")
    if 300 <= refused.code < 400 and location:
        fix = f": it redirects to {location[:SHOWN]}; if that is tidegate's, give it as --endpoint"
    return f"{refused.code} {str(detail)[:SHOWN]}{fix}"
