"""The endpoint over HTTP.

A response is bounded, whatever the other side sends: the time-outs of httpx are for each part of
one, of which there may be ever another, and it may be as long as memory lasts.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from types import TracebackType

from scaler.gateway.lease_document import MAX_BYTES
from scaler.gateway.limits_endpoint import NOT_MODIFIED, OK, LimitsAnswer, NoAnswerError

try:
    import httpx
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"the middleware needs {error.name}; install it: pip install 'tidegate[client]'",
        name=error.name,
    ) from error

logger = logging.getLogger(__name__)

RESPONSE_TIMEOUT_S = 3.0  # beyond the wait of a long poll


class HttpEndpoint:
    """Asks one endpoint for the leases of one gateway.

    Args:
        url: of the endpoint, without a path.
        service: whose limit applies, ``"namespace/name"``.
        instance: name of the gateway.
        token_file: file with the bearer token; it is read for each request, so it may change.
    """

    def __init__(self, url: str, service: str, instance: str, token_file: Path | None) -> None:
        self._url = f"{url.rstrip('/')}/v1/limits/{service}"
        self._instance, self._token_file = instance, token_file
        self._client: httpx.AsyncClient | None = None
        self._token_fault = ""  # as logged last; empty after a success
        self._failed = False

    def __str__(self) -> str:
        return self._url

    async def __aenter__(self) -> HttpEndpoint:
        # The endpoint is in the cluster, so proxies from the environment do not apply.
        limits = httpx.Limits(max_connections=4)
        self._client = httpx.AsyncClient(trust_env=False, limits=limits)
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._client is not None
        await self._client.__aexit__(kind, error, trace)

    async def ask(self, etag: str, wait_s: float) -> LimitsAnswer:
        assert self._client is not None
        request = self._client.build_request(
            "GET",
            self._url,
            params={"instance": self._instance, "wait": f"{wait_s:g}"},
            headers={**self._headers(), **({"if-none-match": etag} if etag else {})},
            timeout=httpx.Timeout(RESPONSE_TIMEOUT_S, read=wait_s + RESPONSE_TIMEOUT_S),
        )
        return await self._answer(request, wait_s + RESPONSE_TIMEOUT_S)

    async def report(self, report: dict[str, object]) -> LimitsAnswer:
        assert self._client is not None
        url, headers = f"{self._url}/reports", self._headers()
        request = self._client.build_request("POST", url, json=report, headers=headers)
        return await self._answer(request, RESPONSE_TIMEOUT_S)

    async def _answer(self, request: httpx.Request, within_s: float) -> LimitsAnswer:
        assert self._client is not None
        try:
            answer = await bounded_request(self._client, request, within_s, MAX_BYTES)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            self._failed = True
            raise NoAnswerError(f"{type(error).__name__}: {error}") from error
        self._failed = answer.status not in (OK, NOT_MODIFIED)
        return answer

    def _headers(self) -> dict[str, str]:
        # A connection that is kept would stay with an address that has moved.
        return {**self._authorization(), **({"connection": "close"} if self._failed else {})}

    def _authorization(self) -> dict[str, str]:
        if self._token_file is None:
            return {}
        fault, token = "", []
        try:
            token = self._token_file.read_text("utf-8").split()
        except (OSError, ValueError) as error:
            fault = f"no token: {error}"
        if fault and not self._token_fault:
            logger.warning("no lease from %s: %s", self._url, fault)
        self._token_fault = fault
        return {"authorization": f"Bearer {token[0]}"} if token else {}


async def bounded_request(
    client: httpx.AsyncClient, request: httpx.Request, within_s: float, max_bytes: int
) -> LimitsAnswer:
    """Send a request, and return its whole response.

    Raises:
        httpx.HTTPError: there is none.
        TimeoutError: it takes longer than ``within_s``.
        ValueError: it has more than ``max_bytes``.
    """
    async with asyncio.timeout(within_s):
        response = await client.send(request, stream=True)
        try:
            body = bytearray()
            async for part in response.aiter_bytes():
                body += part
                if len(body) > max_bytes:
                    raise ValueError(f"the response has more than {max_bytes} bytes")
        finally:
            await response.aclose()
    header = response.headers.get("retry-after", "")
    retry_after_s = float(header) if header.isdecimal() else 0.0
    etag = response.headers.get("etag", "")
    return LimitsAnswer(response.status_code, etag, bytes(body), retry_after_s)
